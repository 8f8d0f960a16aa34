"""Secrets, read when first needed and kept for the life of the execution environment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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
            reply = await asyncio.to_thread(self._client.get_secret_value, SecretId=self._arn)
            self._value = reply["SecretString"]
        return self._value
