"""Waking the turn worker: an asynchronous invocation, which Lambda keeps, repeats twice, and then sends to a queue."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from copilotedge.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class TurnWorker:
    """Implements ``ports.Waker``. The event's shape is ``turn_worker.handler``'s input."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    async def run_turn(
        self, conversation_id: str, turn_id: str, connection_id: str = "", token_expires: int = 0
    ) -> None:
        event: dict[str, Any] = {"action": "run_turn", "conversationId": conversation_id, "turnId": turn_id}
        listener = {"connectionId": connection_id, "tokenExpires": token_expires} if connection_id else {}
        await self._invoke(event | listener)

    async def stand_by(self, conversation_id: str) -> None:
        await self._invoke({"action": "stand_by", "conversationId": conversation_id})

    async def sweep(self, conversation_id: str) -> None:
        await self._invoke({"action": "sweep", "conversationId": conversation_id})

    async def entitle(self, conversation_id: str) -> None:
        await self._invoke({"action": "entitle", "conversationId": conversation_id})

    async def forget_user(self, user: str) -> None:
        await self._invoke({"action": "forget_user", "user": user})

    async def _invoke(self, event: dict[str, Any]) -> None:
        payload = json.dumps(event).encode()
        try:
            await asyncio.to_thread(
                self._client.invoke, FunctionName=self._function, InvocationType="Event", Payload=payload
            )
        except (ClientError, BotoCoreError) as exc:
            raise StoreUnavailable("The worker cannot be reached.", code="worker_unavailable", retry_after=1) from exc
