"""Secrets, read when first needed and kept for the life of the execution environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from copilotedge.errors import CopilotEdgeError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Secret:
    """One secret string. ``refresh`` reads it again, after a rotation made the known one useless.

    ``unreadable`` makes the error to raise when it cannot be read, out of a line for the operator.
    """

    def __init__(self, client: SecretsManagerClient, arn: str, unreadable: Callable[[str], CopilotEdgeError]) -> None:
        self._client = client
        self._arn = arn
        self._unreadable = unreadable
        self._value: str | None = None

    async def __call__(self, *, refresh: bool = False) -> str:
        if self._value is None or refresh:
            self._value = await self._read()
        return self._value

    async def _read(self) -> str:
        try:
            reply = await asyncio.to_thread(self._client.get_secret_value, SecretId=self._arn)
        except (ClientError, BotoCoreError) as exc:
            raise self._unreadable(f"the secret cannot be read: {type(exc).__name__}") from exc
        return reply["SecretString"]
