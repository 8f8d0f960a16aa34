"""What every function stands on: its settings, an event loop, the log, the clock, how AWS is called."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import Any, TypeVar, cast

from aws_lambda_powertools import Logger
from botocore.config import Config

from copilotedge.ports import Log
from copilotedge.settings import Settings

THREADS = 32
"""Posts to sockets that may be under way at once, and as many other AWS calls."""

_Result = TypeVar("_Result")


class Runtime:
    """Parts are made when first used, once a cold start. ``wiring`` and ``entrance`` add theirs to these."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._resources = AsyncExitStack()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS))
        return loop

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(work)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """For a server with an event loop of its own, which awaits the parts there: meanwhile nothing is ``run``."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        yield
        await self._resources.aclose()

    def close(self) -> None:
        """Only tests end a runtime; Lambda just stops."""
        self.run(self._resources.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.close()

    @cached_property
    def log(self) -> Log:
        return StructuredLog()


class StructuredLog:
    """Implements ``ports.Log`` with Powertools' JSON logger."""

    def __init__(self) -> None:
        self._logger = Logger(service="copilotedge")

    def info(self, event: str, **fields: Any) -> None:
        self._logger.info(event, **cast("Any", _discreet(fields)))

    def error(self, event: str, **fields: Any) -> None:
        self._logger.error(event, **cast("Any", _discreet(fields)))


def _discreet(fields: dict[str, Any]) -> dict[str, Any]:
    """Conversations by a hash: their ids name users, and often more."""
    if "conversation_id" not in fields:
        return fields
    known = hashlib.sha256(fields["conversation_id"].encode()).hexdigest()[:12]
    return {name: value for name, value in fields.items() if name != "conversation_id"} | {"conversation": known}


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def aws_config(read_timeout: int, attempts: int) -> Config:
    """Of a boto3 client; ``read_timeout`` in seconds, ``attempts`` with the first."""
    return Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=THREADS,
    )
