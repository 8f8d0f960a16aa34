"""Posting to sockets through API Gateway's ``@connections``."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from botocore.exceptions import ConnectionError as NoConnection

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

GONE, THROTTLED, FAULT = 410, 429, 500
"""HTTP statuses, the last with all above it. Not the errors' names: what answers in the gateway's place gives none."""
POST_TRIES = 6
POST_SECONDS = 5.0
"""After which no try is begun any more."""
_BACKOFF_SECONDS = 0.05


class WebSocketGateway:
    """Implements ``ports.Gateway``."""

    def __init__(self, client: ApiGatewayManagementApiClient, threads: Executor) -> None:
        """``threads`` are for posts alone: sockets that hang must not hold up anything else."""
        self._client = client
        self._threads = threads

    async def post(self, connection_id: str, frame: bytes) -> bool:
        """False when the socket is gone (410). What the gateway did not take is tried again in place, so order holds.

        That is a throttled post, a fault of its own, a connection that did not come about or was an old one and closed.
        Not one that stays without an answer: its frame may have been sent. Raises ``OSError`` when it is not taken.
        """
        end = asyncio.get_running_loop().time() + POST_SECONDS
        for attempt in range(POST_TRIES):
            try:
                await self._post(connection_id, frame)
                return True
            except ClientError as exc:
                status, code = exc.response["ResponseMetadata"]["HTTPStatusCode"], exc.response["Error"]["Code"]
                if status == GONE:
                    return False
                if status != THROTTLED and status < FAULT:
                    raise OSError(f"the gateway refused a frame: {code}") from exc
                trouble: Exception = exc
            except (NoConnection, ConnectionClosedError) as exc:
                trouble = exc
            except BotoCoreError as exc:
                raise OSError("the gateway does not answer") from exc
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1))
        raise OSError(f"the gateway took no frame in {attempt + 1} tries") from trouble

    async def disconnect(self, connection_id: str) -> None:
        """Raises ``OSError`` when the gateway does not answer; a socket that is gone is what was wanted."""
        close = partial(self._client.delete_connection, ConnectionId=connection_id)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, close)
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] != GONE:
                raise OSError(f"the gateway refused to close a socket: {exc.response['Error']['Code']}") from exc
        except BotoCoreError as exc:
            raise OSError("the gateway does not answer") from exc

    async def _post(self, connection_id: str, frame: bytes) -> None:
        post = partial(self._client.post_to_connection, ConnectionId=connection_id, Data=frame)
        await asyncio.get_running_loop().run_in_executor(self._threads, post)
