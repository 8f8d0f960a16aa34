"""Posting to sockets through API Gateway's ``@connections``."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

POST_TRIES = 6
_BACKOFF_SECONDS = 0.05


class WebSocketGateway:
    """Implements ``ports.Gateway``."""

    def __init__(self, client: ApiGatewayManagementApiClient, threads: Executor) -> None:
        """``threads`` are for posts alone: sockets that hang must not hold up anything else."""
        self._client = client
        self._threads = threads

    async def post(self, connection_id: str, frame: bytes) -> bool:
        """False when the socket is gone (410). Throttled posts are tried again in place, so order holds.

        Raises ``OSError`` when the gateway does not take the frame.
        """
        for attempt in range(POST_TRIES):
            try:
                await self._post(connection_id, frame)
                return True
            except ClientError as exc:
                code = exc.response["Error"]["Code"]
                if code in ("GoneException", "410"):
                    return False
                if code not in ("LimitExceededException", "ThrottlingException", "TooManyRequestsException"):
                    raise OSError(f"the gateway refused a frame: {code}") from exc
            except BotoCoreError as exc:
                raise OSError("the gateway does not answer") from exc
            await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1))
        raise OSError("the gateway throttles this socket")

    async def disconnect(self, connection_id: str) -> None:
        """Raises ``OSError`` when the gateway does not answer; a socket that is gone is what was wanted."""
        close = partial(self._client.delete_connection, ConnectionId=connection_id)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, close)
        except ClientError as exc:
            code = exc.response["Error"]["Code"]
            if code not in ("GoneException", "410"):
                raise OSError(f"the gateway refused to close a socket: {code}") from exc
        except BotoCoreError as exc:
            raise OSError("the gateway does not answer") from exc

    async def _post(self, connection_id: str, frame: bytes) -> None:
        post = partial(self._client.post_to_connection, ConnectionId=connection_id, Data=frame)
        await asyncio.get_running_loop().run_in_executor(self._threads, post)
