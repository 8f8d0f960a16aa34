"""Domain values. All are immutable; times are milliseconds since the epoch unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from copilotedge.values import dataclass

Role = Literal["user", "assistant", "system", "tool"]
MemberRole = Literal["read", "write"]
MessageStatus = Literal["complete", "incomplete", "cancelled", "failed"]
TitleAuthor = Literal["words", "model", "user"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's reply counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants its caller to call. ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation's log.

    ``seq`` orders the log and is never used twice in one epoch. A user message whose turn ended without an answer
    carries the status ``failed`` or ``cancelled``; an answer that was cut short is ``incomplete`` or ``cancelled``.
    ``replaces`` is the seq of the answer that a regenerated one took the place of. ``tokens`` is what answering took,
    prompt included. ``instructions`` is the system text that came with a question, and ``options`` the JSON of what
    else its model is asked with (see ``ModelRequest``); they are never shown. An answer with ``tool_calls`` is waited
    for by its client: a message of the role ``tool`` brings the result of the call ``tool_call_id``. ``cost`` is an
    answer's, in nanodollars; None where it is not known.
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
    options: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The one turn of a conversation, and its lease.

    ``attempt`` counts the holders so far: 0 means that no one has claimed it yet. Only the holder named here may post
    the turn's words or commit its answer, and only before ``lease_until``. A turn that is ``telling`` has ended in the
    log: its holder tells the sockets, and lets go. So does, without a ``message_id``, whoever changed the log without a
    turn; what is told begins at ``question_seq``. ``closing`` is set by a clear: the holder
    announces it and lets go; with ``deleting`` the conversation then ends, unless it has been used again. With
    ``has_standby`` a worker waits beside the holder, in case it dies. ``user`` asked, and is charged for the answer.
    It ``began_at`` (ms) the moment when its question entered the log; 0 where nobody wrote that down.
    """

    turn_id: str
    message_id: str
    question_seq: int
    holder: str = ""
    attempt: int = 0
    lease_until: int = 0
    cancel: bool = False
    telling: bool = False
    closing: bool = False
    deleting: bool = False
    has_standby: bool = False
    replaces: int = 0
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    user: str = ""
    began_at: int = 0

    def is_held(self, now: int) -> bool:
        return self.lease_until > now


@dataclass(frozen=True, slots=True)
class State:
    """Head of a conversation. Every change is a compare-and-swap of its ``version``.

    ``life`` names one life of the conversation (birth to expiry or deletion), ``epoch`` one span between two clears;
    both are time-ordered, and ``epoch`` is part of every message's key. ``nonce`` names the write that made this
    version, so that a writer whose connection broke can tell whether it was its own. ``expires_at`` is in seconds, as
    DynamoDB's TTL wants it. ``listeners`` counts the sockets that came to listen. ``members`` are the users that
    the owner shares it with. ``listed_at`` is when it was last written into its owner's list of conversations. Until
    ``followed_until`` somebody reads the running answer over HTTP, so its holder keeps drafts of it. ``total_cost`` is
    the sum of the known costs of the epoch's answers, in nanodollars.
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
    listeners: int = 0
    followed_until: int = 0
    listed_at: int = 0
    total_cost: int = 0
    members: Mapping[str, MemberRole] = field(default_factory=dict)
    turn: Turn | None = None

    @property
    def running(self) -> Turn | None:
        """The turn that is to bring an answer; None where there is none, or only its end is still being told."""
        return None if self.turn is None or self.turn.telling else self.turn

    @property
    def is_deleted(self) -> bool:
        """It stays behind until who has the slot has told so."""
        return self.turn is not None and self.turn.deleting

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
    """A message that waits for its turn. ``place`` sorts the queue: gateway's arrival time, then commit order."""

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
    role: Role = "user"
    tool_call_id: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A conversation as one strongly consistent read saw it: newest messages only, oldest first.

    ``state`` is None where the conversation does not exist, was deleted, or is past its expiry. ``connections`` are its
    sockets, at least those that ``state`` counts among its listeners; None where nobody has looked.
    """

    state: State | None = None
    settings: ConversationSettings = ConversationSettings()
    queue: tuple[QueuedMessage, ...] = ()
    messages: tuple[Message, ...] = ()
    connections: tuple[Connection, ...] | None = None

    @property
    def is_heard(self) -> bool:
        """Whether sockets may be there."""
        return self.connections is None or bool(self.connections)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is there, as one strongly consistent read saw it; of ``state`` and ``connections`` see ``Snapshot``."""

    state: State | None
    connections: tuple[Connection, ...] = ()


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

    It was listed at ``connected_at``, if that is known. From ``token_expires`` (0: never) it is sent nothing any more.
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
class Draft:
    """A piece of an answer that is being written: its characters from ``offset`` on, of this attempt at the turn."""

    turn_id: str
    attempt: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Swept:
    """How many items were deleted, and when the newest message among them was written (ms; 0: there was none)."""

    deleted: int
    last_message_at: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a user has used: messages, slot by slot, and the day's tokens; whether this was the day's first message."""

    messages: Mapping[int, int]
    tokens: int = 0
    is_first_today: bool = False


@dataclass(frozen=True, slots=True)
class PromptMessage:
    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def length(self) -> int:
        """Characters that the model reads, names and ids of tool calls included."""
        calls = sum(len(call.id) + len(call.name) + len(call.arguments) for call in self.tool_calls)
        return len(self.content) + len(self.tool_call_id) + calls


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What the model is asked. ``max_tokens`` bounds the answer; temperature None leaves the model's own default.

    ``options`` is a JSON object of what is handed on as it is, by OpenAI's names (see ``questions``); "" for nothing.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float | None = None
    options: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of answer text, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the tool call number ``index``. The first one has its id and its name, the others are empty there."""

    index: int
    arguments: str
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """End of the model's answer. ``model`` is the one that answered (the fallback, perhaps)."""

    usage: Usage
    model: str
    finish_reason: str = "stop"


ModelEvent = TextDelta | ToolCallDelta | Finished


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A complete answer that may be given again."""

    text: str
    model: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A conversation in its owner's list. ``last_activity`` may lag behind the conversation's own by minutes.

    Each title has one author, so none overwrites another: ``first_words`` are the first question's, ``model_title`` is
    a model's, ``user_title`` the owner's. The first two are of ``epoch``, the rest of ``life``.
    """

    name: str
    created_at: int
    last_activity: int
    life: str = ""
    epoch: str = ""
    first_words: str = ""
    model_title: str = ""
    user_title: str = ""
    pinned: bool = False
    archived: bool = False

    @property
    def title(self) -> str:
        """Empty where nothing has been said yet."""
        return self.user_title or self.model_title or self.first_words

    @property
    def titled_by(self) -> TitleAuthor:
        if self.user_title:
            return "user"
        return "model" if self.model_title else "words"


@dataclass(frozen=True, slots=True)
class Marks:
    """What an owner changes of an entry in the list; None leaves it as it is, and a title of "" is automatic again."""

    title: str | None = None
    pinned: bool | None = None
    archived: bool | None = None
