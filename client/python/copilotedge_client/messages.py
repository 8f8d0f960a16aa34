"""Messages, and what becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation's log.

    ``seq`` is its place. A question and its answer share ``turn_id``. ``status`` is complete, incomplete, cancelled or
    failed. ``timestamp`` is in milliseconds since the epoch. ``replaces`` is the seq of the answer that this one took
    the place of. ``metadata`` is all that the server says of it, by the protocol's names.
    """

    role: str
    content: str
    seq: int
    message_id: str = ""
    turn_id: str = ""
    status: str = "complete"
    timestamp: int = 0
    tokens: int = 0
    model: str = ""
    replaces: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, oldest first. ``has_more``: there are older ones."""

    messages: tuple[Message, ...]
    epoch: str
    has_more: bool
    total_tokens: int


@dataclass(slots=True)
class Turn:
    """The answer that is being written. ``waiting`` are deltas behind a hole, as offset and text."""

    turn_id: str
    attempt: int
    message_id: str = ""
    phase: str = "thinking"
    text: str = ""
    waiting: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Pending:
    """A message of one's own that the log does not have yet. ``acknowledged``: it waits in the server's queue."""

    id: str
    content: str
    acknowledged: bool = False
    rejected: bool = False
    position: int = 0


def message_of(role: str, content: str, metadata: Mapping[str, Any], seq: int) -> Message:
    return Message(
        role=role,
        content=content,
        seq=seq,
        message_id=metadata.get("messageId") or "",
        turn_id=metadata.get("turnId") or "",
        status=metadata.get("status") or "complete",
        timestamp=metadata.get("timestamp") or 0,
        tokens=metadata.get("tokens") or 0,
        model=metadata.get("model") or "",
        replaces=metadata.get("replaces") or 0,
        metadata=metadata,
    )
