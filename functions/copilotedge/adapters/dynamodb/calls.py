"""Requests beside the event loop, and what their failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from copilotedge.errors import StoreUnavailable

_ANSWERS = {
    "ConditionalCheckFailedException",
    "TransactionCanceledException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
"""Errors of writes that their caller reads for itself."""


async def call(method: Callable[..., Any], **arguments: Any) -> Any:
    """Run one request. ``ClientError`` of writes passes through, to be read by the caller.

    Raises ``StoreUnavailable`` for every other failure.
    """
    try:
        return await asyncio.to_thread(method, **arguments)
    except ClientError as exc:
        if exc.response["Error"]["Code"] in _ANSWERS:
            raise
        raise unavailable(exc) from exc
    except BotoCoreError as exc:
        raise StoreUnavailable("The store does not answer.", retry_after=1) from exc


async def pages(query: Callable[..., Any], **arguments: Any) -> AsyncIterator[Any]:
    """The replies to a query, as many as it takes."""
    while True:
        reply = await call(query, **arguments)
        yield reply
        if "LastEvaluatedKey" not in reply:
            return
        arguments["ExclusiveStartKey"] = reply["LastEvaluatedKey"]


def unavailable(exc: ClientError) -> StoreUnavailable:
    return StoreUnavailable(f"The store refused: {exc.response['Error']['Code']}.", retry_after=1)
