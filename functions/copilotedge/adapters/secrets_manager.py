"""Secrets, read when first needed and kept for the life of the execution environment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from copilotedge.errors import ModelNotAllowed

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Secret:
    """One secret string. ``refresh`` reads it again, after a rotation made the known one useless."""

    def __init__(self, client: SecretsManagerClient, arn: str) -> None:
        self._client = client
        self._arn = arn
        self._value: str | None = None

    async def __call__(self, *, refresh: bool = False) -> str:
        if self._value is None or refresh:
            self._value = await self._read()
        return self._value

    async def _read(self) -> str:
        """Raises ``ModelNotAllowed``: without its token the model cannot be asked, which is the operator's matter."""
        try:
            reply = await asyncio.to_thread(self._client.get_secret_value, SecretId=self._arn)
        except (ClientError, BotoCoreError) as exc:
            detail = f"the secret cannot be read: {type(exc).__name__}"
            raise ModelNotAllowed("The model cannot be used.", detail=detail) from exc
        return reply["SecretString"]
