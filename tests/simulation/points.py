"""Points of I/O: each takes a random time, and may fail or be the last one of its process."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from copilotedge.errors import ModelInterrupted, ModelUnavailable, StoreUnavailable
from copilotedge.models import (
    Audience,
    Change,
    Connection,
    Draft,
    Finished,
    Listing,
    Message,
    ModelEvent,
    ModelRequest,
    Receipt,
    Snapshot,
    State,
    Swept,
    TextDelta,
    Usage,
)
from copilotedge.ports import ConversationStore

STALL_SECONDS = 8.0
_Result = TypeVar("_Result")


class Crash(BaseException):
    """The process is gone: no ``except`` of ours may catch it, and none of its later I/O happens."""


@dataclass(frozen=True)
class Faults:
    """Probabilities, a point of I/O each."""

    store_fails: float = 0.0
    process_crashes: float = 0.0
    process_stalls: float = 0.0
    model_fails: float = 0.0
    duplicates: float = 0.0


@dataclass
class Dice:
    """All randomness of a schedule, and the trace that tells two schedules apart."""

    random: random.Random
    faults: Faults
    trace: Any = field(default_factory=hashlib.sha256)
    calm: bool = False

    async def pause(self, what: str, seconds: float) -> None:
        """One point of I/O. The calls of all processes meet here, in the order that the trace remembers."""
        await asyncio.sleep(self.random.expovariate(1 / seconds))
        self.trace.update(what.encode())

    def strikes(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability


@dataclass
class Process:
    """One execution environment of a function; once dead, it does nothing more."""

    name: str
    dice: Dice
    mortal: bool = True
    dead: bool = False
    stalled_until: float = 0.0

    async def point(self, what: str, seconds: float) -> None:
        if self.dead:
            raise Crash
        await self.dice.pause(f"{self.name}:{what};", seconds)
        if self.dice.strikes(self.dice.faults.process_stalls):
            self.stalled_until = asyncio.get_running_loop().time() + STALL_SECONDS
        if self.mortal and self.dice.strikes(self.dice.faults.process_crashes):
            self.dead = True
        if self.dead:
            raise Crash

    async def thaw(self) -> None:
        """A stalled process stands still for longer than a lease: what it asked for happens, it hears of it late."""
        now = asyncio.get_running_loop().time()
        if self.stalled_until > now:
            await asyncio.sleep(self.stalled_until - now)


class SimulatedStore:
    """A process's view of the one store: slow, and sometimes failing before or after a write has happened."""

    def __init__(self, store: ConversationStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def snapshot(self, conversation_id: str, messages: int) -> Snapshot:
        return await self._do("snapshot", lambda: self._store.snapshot(conversation_id, messages))

    async def state(self, conversation_id: str) -> State | None:
        return await self._do("state", lambda: self._store.state(conversation_id))

    async def messages(self, conversation_id: str, epoch: str, **span: Any) -> tuple[Message, ...]:
        return await self._do("messages", lambda: self._store.messages(conversation_id, epoch, **span))

    async def receipt(self, conversation_id: str, message_id: str) -> Receipt | None:
        return await self._do("receipt", lambda: self._store.receipt(conversation_id, message_id))

    async def commit(self, conversation_id: str, change: Change) -> None:
        await self._do("commit", lambda: self._store.commit(conversation_id, change))
        await self._process.point("committed", 0.005)
        self._fail()

    async def write_draft(self, conversation_id: str, epoch: str, draft: Draft) -> None:
        await self._do("draft", lambda: self._store.write_draft(conversation_id, epoch, draft))

    async def drafts(self, conversation_id: str, turn_id: str, attempt: int, offset: int) -> tuple[Draft, ...]:
        return await self._do("drafts", lambda: self._store.drafts(conversation_id, turn_id, attempt, offset))

    async def listings(self, owner: str) -> tuple[Listing, ...]:
        return await self._do("listings", lambda: self._store.listings(owner))

    async def sweep(self, conversation_id: str) -> Swept:
        return await self._do("sweep", lambda: self._store.sweep(conversation_id))

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        await self._do("connect", lambda: self._store.connect(conversation_id, connection))

    async def disconnect(self, conversation_id: str, connection_id: str) -> None:
        await self._do("disconnect", lambda: self._store.disconnect(conversation_id, connection_id))

    async def audience(self, conversation_id: str) -> Audience:
        return await self._do("audience", lambda: self._store.audience(conversation_id))

    async def connections(self, conversation_id: str) -> tuple[Connection, ...]:
        return await self._do("connections", lambda: self._store.connections(conversation_id))

    async def _do(self, what: str, request: Callable[[], Awaitable[_Result]]) -> _Result:
        await self._process.point(what, 0.005)
        self._fail()
        result = await request()
        await self._process.thaw()
        return result

    def _fail(self) -> None:
        if self._process.dice.strikes(self._process.dice.faults.store_fails):
            raise StoreUnavailable("The store does not answer.", retry_after=1)


class SimulatedModel:
    """Echoes the last user message, no two calls alike, now and then failing before or after its first word."""

    def __init__(self, process: Process, calls: list[str], word_seconds: float) -> None:
        self._process = process
        self._calls = calls
        self._word_seconds = word_seconds

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        question = request.messages[-1].content.rpartition("\n\n")[2]
        self._calls.append(question)
        for number, word in enumerate(f"You said {question} and call {len(self._calls)} heard it".split(" ")):
            await self._process.point("word", self._word_seconds)
            await self._process.thaw()
            if self._process.dice.strikes(self._process.dice.faults.model_fails):
                raise ModelInterrupted("It was cut.") if number else ModelUnavailable("It does not answer.")
            yield TextDelta(word + " ")
        yield Finished(Usage(3, 4), request.model)
