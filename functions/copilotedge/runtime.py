"""What every function stands on: its settings, an event loop, the log, the clock, how AWS is called."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aws_lambda_powertools import Logger

from copilotedge import correlation, snapshots
from copilotedge.adapters.aws import CONNECTIONS
from copilotedge.settings import Settings

if TYPE_CHECKING:
    from copilotedge.ports import Log

THREADS = CONNECTIONS
"""Posts to sockets that may be under way at once, and as many other AWS calls."""

_Result = TypeVar("_Result")


class Runtime:
    """Parts are imported and made when first used, once a cold start. ``wiring`` and ``entrance`` add theirs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._resources = AsyncExitStack()

    def prepare(self, *parts: str) -> None:
        """Makes these parts now: for a function that will need them, while it has time."""
        snapshots.renew_when_restored()
        for part in ("log", *parts):
            getattr(self, part)

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
    """Implements ``ports.Log`` with Powertools' JSON logger. Each line has the id of the turn that it is about."""

    def __init__(self) -> None:
        self._logger = Logger(service="copilotedge")

    def info(self, event: str, **fields: Any) -> None:
        self._logger.info(event, **cast("Any", _discreet(fields)))

    def error(self, event: str, **fields: Any) -> None:
        self._logger.error(event, **cast("Any", _discreet(fields)))


def _discreet(fields: dict[str, Any]) -> dict[str, Any]:
    """Conversations by a hash: their ids name users, and often more."""
    if turn_id := correlation.turn_id():
        fields = {"turn_id": turn_id} | fields
    if "conversation_id" not in fields:
        return fields
    known = hashlib.sha256(fields["conversation_id"].encode()).hexdigest()[:12]
    return {name: value for name, value in fields.items() if name != "conversation_id"} | {"conversation": known}


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
