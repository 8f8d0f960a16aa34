"""What every transition is made of: the rules, the next state, ids and times."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Protocol

from copilotedge.models import Message, Role, State, Turn
from copilotedge.values import dataclass

CLAIM_GRACE_MS = 10_000
"""How long a fresh turn may wait for the worker that was woken for it; past it anyone may wake another."""

FRESH_MS = 1_000
"""How long a turn's beginning is news. Its worker believes it and asks the model before it has claimed the turn, and no
other is woken beside it, whose claim would make that call one in vain. Later on it reads first: the event may be an old
one that comes again."""

MOST_TELLING_MS = 8_000
"""The lease of who has only to tell how its turn ended. If it dies meanwhile, others wait so long."""

LIST_EVERY_MS = 300_000
"""How far the owner's list of conversations may lag behind a conversation's activity."""

FOLLOW_MS = 20_000
"""How long the holder keeps drafts for readers over HTTP that do not ask for more."""

EVICT_EVERY = 50
"""Messages between two evictions; even, for a turn adds two."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that transitions depend on; times in milliseconds."""

    inactivity_ms: int = 86_400_000
    lease_ms: int = 20_000
    max_queued: int = 20
    max_stored: int = 1000
    max_attempts: int = 4

    @property
    def telling_ms(self) -> int:
        return min(self.lease_ms, MOST_TELLING_MS)

    def lease_of(self, turn: Turn) -> int:
        return self.telling_ms if turn.telling else self.lease_ms

    def evicts_at(self, seq: int) -> bool:
        """Whether evicted messages are to be deleted now that the log has come to ``seq``: now and then, in bulk."""
        return seq > self.max_stored and seq % EVICT_EVERY < 2


def next_state(state: State, **changes: Any) -> State:
    """The next version of ``state``, with a nonce of its own."""
    return replace(state, version=state.version + 1, nonce=new_id(), **changes)


def touch(state: State, rules: Rules, now: int) -> State:
    """Mark activity: the conversation lives on, even if it was about to be deleted, and is listed anew now and then."""
    turn = replace(state.turn, deleting=False) if state.turn else None
    listed_at = now if now - state.listed_at >= LIST_EVERY_MS else state.listed_at
    expires_at = seconds(now + rules.inactivity_ms)
    return replace(state, turn=turn, last_activity=now, expires_at=expires_at, listed_at=listed_at)


def born(rules: Rules, now: int) -> State:
    """First state of a conversation's life."""
    life = next_epoch(now, "")
    return State(
        version=1,
        nonce=new_id(),
        life=life,
        epoch=life,
        seq=0,
        queued=0,
        message_count=0,
        total_tokens=0,
        created_at=now,
        last_activity=now,
        expires_at=seconds(now + rules.inactivity_ms),
    )


def new_turn(turn_id: str, message_id: str, question_seq: int, holder: str, rules: Rules, now: int) -> Turn:
    """A turn held by ``holder``, or, without one, to be claimed by a worker."""
    lease = rules.lease_ms if holder else CLAIM_GRACE_MS
    attempt = 1 if holder else 0
    return Turn(turn_id, message_id, question_seq, holder, attempt, lease_until=now + lease, began_at=now)


def tell(turn: Turn, rules: Rules, now: int) -> Turn:
    """``turn``, which has ended, with the time to tell so. A standby that sleeps for the turn's lease would be late."""
    return replace(turn, telling=True, lease_until=now + rules.telling_ms, has_standby=False)


def announcement(holder: str, first_seq: int, rules: Rules, now: int) -> Turn:
    """Keeps the slot for ``holder`` while it tells of messages from ``first_seq`` on that no turn has brought."""
    return tell(Turn(new_id(), "", first_seq, holder, attempt=1, began_at=now), rules, now)


class Asked(Protocol):
    """What a question is made of, whether it has waited or not."""

    @property
    def role(self) -> Role: ...
    @property
    def content(self) -> str: ...
    @property
    def tool_call_id(self) -> str: ...
    @property
    def instructions(self) -> str: ...
    @property
    def options(self) -> str: ...


def question_of(turn: Turn, asked: Asked, now: int) -> Message:
    """The user's words, or what a tool gave, as the log keeps them."""
    return Message(
        seq=turn.question_seq,
        role=asked.role,
        content=asked.content,
        timestamp=now,
        message_id=turn.message_id,
        turn_id=turn.turn_id,
        instructions=asked.instructions,
        options=asked.options,
        tool_call_id=asked.tool_call_id,
    )


def new_id() -> str:
    """128 random bits, as 32 hexadecimal characters."""
    return secrets.token_hex(16)


def next_epoch(now: int, previous: str) -> str:
    """Time-ordered and unique; later than ``previous`` even when this clock is behind the one that made it."""
    floor = int(previous.partition("-")[0]) + 1 if previous else 0
    return f"{max(now, floor):013d}-{secrets.token_hex(4)}"


def seconds(milliseconds: int) -> int:
    """Rounded up."""
    return -(-milliseconds // 1000)
