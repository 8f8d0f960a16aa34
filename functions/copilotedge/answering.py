"""An answer on its way to the one who asked: its pieces as they come, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import field, replace
from typing import Any

from copilotedge.caching import CacheUse
from copilotedge.limits import UNLIMITED, Quota
from copilotedge.models import MessageStatus, ToolCall, ToolCallDelta, Usage
from copilotedge.values import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Text of the answer, after its first ``offset`` characters (Unicode code points).

    A higher ``attempt`` than before begins the answer anew, at offset 0: whoever wrote it has died.
    """

    text: str
    offset: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CallWords:
    """A piece of the tool call number ``index``; the first one of each has its id and its name."""

    index: int
    arguments: str
    call_id: str = ""
    name: str = ""
    attempt: int = 1


Piece = Words | CallWords
Hear = Callable[[Piece], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``conversation_id`` is empty for a stateless chat; ``answer_id`` is the answer's id in the log.

    ``finish_reason`` is ``stop``, ``length`` or ``tool_calls``. ``cost`` in nanodollars (None: not known); ``cache``
    tells whether the answer was given before, see ``caching``.
    """

    turn_id: str
    text: str
    model: str
    created_at: int
    conversation_id: str = ""
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    quota: Quota = UNLIMITED
    tool_calls: tuple[ToolCall, ...] = ()
    answer_id: str = ""
    message_id: str = ""
    status: MessageStatus = "complete"
    cost: int | None = None
    cache: CacheUse = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """No answer within the caller's time; it will be in the log."""

    conversation_id: str
    turn_id: str
    message_id: str
    quota: Quota = UNLIMITED


def add_piece(calls: list[ToolCall], piece: ToolCallDelta) -> None:
    """Lengthen the call that ``piece`` belongs to, or begin it."""
    if piece.index == len(calls):
        calls.append(ToolCall(piece.call_id, piece.name, ""))
    known = calls[piece.index]
    calls[piece.index] = replace(known, arguments=known.arguments + piece.arguments)


def length_of(text: str, calls: Sequence[ToolCall]) -> int:
    """Characters of an answer, its tool calls included."""
    return len(text) + sum(len(call.name) + len(call.arguments) for call in calls)


def finish_reason(given: str, calls: Sequence[ToolCall]) -> str:
    """In the words of ``Reply``; ``given`` is the model's own."""
    if given == "length":
        return given
    return "tool_calls" if calls else "stop"


def nobody(_: Piece) -> None:
    """Hears nothing."""


class Answering:
    """One answer, being given. ``created_at`` in ms; ``cache`` as in ``Reply``.

    ``conversation_id`` and ``message_id`` are empty where there is no conversation.

    It goes on whether or not anybody iterates over it: a conversation's turn is not lost with its caller.
    """

    def __init__(
        self,
        work: Callable[[Hear], Coroutine[Any, Any, Reply | Pending]],
        *,
        turn_id: str,
        created_at: int,
        conversation_id: str = "",
        message_id: str = "",
        quota: Quota = UNLIMITED,
        repeated: bool = False,
        cache: CacheUse = "",
    ) -> None:
        self.turn_id = turn_id
        self.created_at = created_at
        self.conversation_id = conversation_id
        self.message_id = message_id
        self.quota = quota
        self.repeated = repeated
        self.cache = cache
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._first: Piece | None = None
        self._task = asyncio.create_task(work(self._pieces.put_nowait))
        self._task.add_done_callback(lambda _: self._pieces.put_nowait(None))

    async def began(self) -> None:
        """Wait for the first piece, or the end. Raises what went wrong before it, so that it can still be a status."""
        if self._first is None:
            self._first = await self._pieces.get()
        if self._first is None:
            self._pieces.put_nowait(None)
            await self._task

    async def __aiter__(self) -> AsyncIterator[Piece]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def end(self) -> Reply | Pending:
        """Raises the ``ModelError``, ``TurnFailed`` or ``Conflict`` that it ended with."""
        return await self._task

    async def finished(self) -> None:
        """Wait until this process is needed no more, whatever came of it."""
        await asyncio.wait({self._task})
        self._task.exception()

    @property
    def ends_with_caller(self) -> bool:
        """So does a chat without a conversation, and listening to an answer that was asked for before."""
        return not self.conversation_id or self.repeated

    async def close(self) -> None:
        """The caller has gone. A turn is brought to its end."""
        if self.ends_with_caller:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
