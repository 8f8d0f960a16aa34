"""Waking the turn worker: an asynchronous invocation, which Lambda keeps, repeats twice, and then sends to a queue."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from copilotedge import parcels
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


MAX_PARCEL_BYTES = 200_000
"""Lambda took events of 256 KB for many years, and each 256 KB of one are billed as a request."""


class TurnWorker:
    """Implements ``ports.Waker``. The event's shape is ``turn_worker.handler``'s input."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    async def run_turn(
        self,
        conversation_id: str,
        turn_id: str,
        connection_id: str = "",
        token_expires: int = 0,
        begun: Snapshot | None = None,
    ) -> None:
        event: dict[str, Any] = {"action": "run_turn", "conversationId": conversation_id, "turnId": turn_id}
        if connection_id:
            event |= {"connectionId": connection_id, "tokenExpires": token_expires}
        await self._invoke(event | _begun(begun))

    async def stand_by(self, conversation_id: str) -> None:
        await self._invoke({"action": "stand_by", "conversationId": conversation_id})

    async def sweep(self, conversation_id: str) -> None:
        await self._invoke({"action": "sweep", "conversationId": conversation_id})

    async def entitle(self, conversation_id: str) -> None:
        await self._invoke({"action": "entitle", "conversationId": conversation_id})

    async def forget_user(self, user: str) -> None:
        await self._invoke({"action": "forget_user", "user": user})

    async def _invoke(self, event: dict[str, Any]) -> None:
        payload = json.dumps(event, ensure_ascii=False).encode()
        try:
            await asyncio.to_thread(
                self._client.invoke, FunctionName=self._function, InvocationType="Event", Payload=payload
            )
        except (ClientError, BotoCoreError) as exc:
            raise StoreUnavailable("The worker cannot be reached.", code="worker_unavailable", retry_after=1) from exc


def _begun(snapshot: Snapshot | None) -> dict[str, Any]:
    """Left out where it is too long: the worker reads the table then."""
    if snapshot is None:
        return {}
    parcel = parcels.pack(snapshot)
    fits = len(json.dumps(parcel, ensure_ascii=False).encode()) <= MAX_PARCEL_BYTES
    return {"begun": parcel} if fits else {}
