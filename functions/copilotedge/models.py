"""Domain values. All are immutable; times are milliseconds since the epoch unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant", "system"]
MemberRole = Literal["read", "write"]
MessageStatus = Literal["complete", "incomplete", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's reply counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation's log.

    ``seq`` orders the log and is never used twice in one epoch. A user message whose turn ended without an answer
    carries the status ``failed`` or ``cancelled``; an answer that was cut short is ``incomplete`` or ``cancelled``.
    ``replaces`` is the seq of the answer that a regenerated one took the place of. ``tokens`` is what answering took,
    prompt included. ``instructions`` is the system text that came with a question; it is never shown.
    """

    seq: int
    role: Role
    content: str
    timestamp: int
    message_id: str
    turn_id: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    status: MessageStatus = "complete"
    model: str = ""
    replaces: int = 0
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """The one running turn of a conversation, and its lease.

    ``attempt`` counts the holders so far: 0 means that no one has claimed it yet. Only the holder named here may post
    the turn's words or commit its answer, and only before ``lease_until``. ``closing`` is set by a clear: the holder
    announces it and lets go; with ``deleting`` the conversation then ends, unless it has been used again. With
    ``has_standby`` a worker waits beside the holder, in case it dies. ``user`` asked, and is charged for the answer.
    """

    turn_id: str
    message_id: str
    question_seq: int
    holder: str = ""
    attempt: int = 0
    lease_until: int = 0
    cancel: bool = False
    closing: bool = False
    deleting: bool = False
    has_standby: bool = False
    replaces: int = 0
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    user: str = ""

    def is_held(self, now: int) -> bool:
        return self.lease_until > now


@dataclass(frozen=True, slots=True)
class State:
    """Head of a conversation. Every change is a compare-and-swap of its ``version``.

    ``life`` names one life of the conversation (birth to expiry or deletion), ``epoch`` one span between two clears;
    both are time-ordered, and ``epoch`` is part of every message's key. ``nonce`` names the write that made this
    version, so that a writer whose connection broke can tell whether it was its own. ``expires_at`` is in seconds, as
    DynamoDB's TTL wants it. ``listeners`` counts the sockets that came to listen to a running turn. Until
    ``voice_until`` the holder of the turn before may still be posting its last frames. ``members`` are the users that
    the owner shares it with. ``listed_at`` is when it was last written into its owner's list of conversations.
    """

    version: int
    nonce: str
    life: str
    epoch: str
    seq: int
    queued: int
    message_count: int
    total_tokens: int
    created_at: int
    last_activity: int
    expires_at: int
    voice_until: int = 0
    listeners: int = 0
    listed_at: int = 0
    members: Mapping[str, MemberRole] = field(default_factory=dict)
    turn: Turn | None = None

    def is_expired(self, now: int) -> bool:
        return self.expires_at * 1000 <= now


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """What a client stored for its conversation; the model, system prompt and temperature shape the next answer."""

    model: str = ""
    user_id: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A user message that waits for its turn. ``place`` sorts the queue: gateway's arrival time, then commit order."""

    place: str
    message_id: str
    turn_id: str
    content: str
    arrival: int
    epoch: str
    instructions: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    user: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A conversation as one strongly consistent read saw it: newest messages only, oldest first.

    ``state`` is None where the conversation does not exist, was deleted, or is past its expiry.
    """

    state: State | None = None
    settings: ConversationSettings = ConversationSettings()
    queue: tuple[QueuedMessage, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a client's message id was taken, kept as long as the conversation's messages."""

    message_id: str
    turn_id: str
    fingerprint: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Change:
    """One atomic change of a conversation: applied whole, or not at all when ``expected`` no longer holds.

    ``expected`` is the state that was read (None: the conversation must be absent or expired); its version must still
    be current. ``state`` is the next state; with ``removes_state`` it is not stored: the conversation ends.
    """

    expected: State | None
    state: State
    removes_state: bool = False
    messages: tuple[Message, ...] = ()
    removed_messages: tuple[int, ...] = ()
    queued: tuple[QueuedMessage, ...] = ()
    dequeued: tuple[QueuedMessage, ...] = ()
    receipt: Receipt | None = None
    settings: ConversationSettings | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One socket in a conversation. ``resume`` asks the turn's holder for the text so far (see frames: resume).

    From ``token_expires`` (0: never) it is sent nothing any more.
    """

    connection_id: str
    user: str = ""
    connected_at: int = 0
    resume: Resume | None = None
    token_expires: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """A client that came back mid-turn, with its first ``offset`` characters (of ``attempt``, if known)."""

    nonce: str
    turn_id: str
    offset: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a user has used: messages, slot by slot, and the day's tokens."""

    messages: Mapping[int, int]
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class PromptMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What the model is asked. ``max_tokens`` bounds the answer; temperature None leaves the model's own default."""

    model: str
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of answer text, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """End of the model's answer. ``model`` is the one that answered (the fallback, perhaps)."""

    usage: Usage
    model: str
    finish_reason: str = "stop"


ModelEvent = TextDelta | Finished


@dataclass(frozen=True, slots=True)
class Listing:
    """A conversation in its owner's list. ``last_activity`` may lag behind the conversation's own by minutes."""

    name: str
    created_at: int
    last_activity: int
