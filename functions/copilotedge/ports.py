"""What the core needs of the world. Adapters implement these; tests hand in fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

from copilotedge.identity import Identity
from copilotedge.models import (
    Audience,
    CachedAnswer,
    Change,
    Connection,
    Draft,
    Listing,
    Marks,
    Message,
    ModelEvent,
    ModelRequest,
    Receipt,
    Snapshot,
    State,
    Swept,
    Tally,
)

Clock = Callable[[], int]
"""Milliseconds since the epoch."""

Amount = float | Sequence[float]
"""Of a metric: one value, or up to a hundred that were measured together."""

EVERYBODY = ""
"""The account of the whole stack, where a user is asked for; no user has this name."""


class ConversationStore(Protocol):
    """Keeps conversations. Reads are strongly consistent and treat expired conversations as absent.

    Every method raises ``StoreUnavailable`` when the store does not answer after its own retries.
    """

    async def snapshot(self, conversation_id: str, messages: int) -> Snapshot:
        """State, sockets, settings, queue and up to ``messages`` newest messages, in one request."""
        ...

    async def state(self, conversation_id: str) -> State | None: ...

    async def audience(self, conversation_id: str) -> Audience:
        """State and sockets, in one request."""
        ...

    async def messages(
        self, conversation_id: str, epoch: str, *, after: int, before: int, limit: int, newest: bool
    ) -> tuple[Message, ...]:
        """Messages with ``after < seq < before``, oldest first: the ``limit`` oldest, or the newest of them."""
        ...

    async def receipt(self, conversation_id: str, message_id: str) -> Receipt | None: ...

    async def commit(self, conversation_id: str, change: Change) -> None:
        """Apply ``change`` whole or raise ``StateChanged`` or ``ReceiptExists``; safe to repeat after a time-out."""
        ...

    async def write_draft(self, conversation_id: str, epoch: str, draft: Draft) -> None:
        """Keep a piece of a running answer for an hour. Of one attempt, pieces begin where the one before ended."""
        ...

    async def drafts(self, conversation_id: str, turn_id: str, attempt: int, offset: int) -> tuple[Draft, ...]:
        """The pieces of this attempt that begin at ``offset`` or later, in their order."""
        ...

    async def listings(self, owner: str) -> tuple[Listing, ...]:
        """The owner's conversations, in no order; some may be gone already."""
        ...

    async def listing(self, conversation_id: str) -> Listing | None:
        """The conversation in its owner's list, which may outlive it by minutes."""
        ...

    async def mark(self, conversation_id: str, life: str, marks: Marks) -> Listing | None:
        """The entry with these marks; None, and nothing is changed, where it is not of this life."""
        ...

    async def entitle(self, conversation_id: str, epoch: str, title: str) -> Listing | None:
        """The entry with this title by a model; None, and nothing is changed, where it has one or the epoch is over."""
        ...

    async def sweep(self, conversation_id: str) -> Swept:
        """Delete every item that the conversation can no longer show."""
        ...

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        """List the socket, or list it anew; a resume wish that it has stays unless there is another."""
        ...

    async def disconnect(self, conversation_id: str, connection_id: str) -> None: ...

    async def connections(self, conversation_id: str) -> tuple[Connection, ...]: ...


class UsageStore(Protocol):
    """Counts what users use. Slots and days are numbers that grow with time; the past may be forgotten.

    Every method raises ``StoreUnavailable`` when the store does not answer after its own retries. A write that is
    repeated because its answer was lost may then count twice.
    """

    async def take(self, user: str, slot: int, oldest: int, day: int) -> Tally:
        """Count a message in ``slot``, and tell what is counted since ``oldest``, later slots too.

        Also tells whether it is the first of ``day``.

        Slots more than one before ``oldest`` may be forgotten, and the days before ``day``.
        """
        ...

    async def give_back(self, user: str, slot: int, day: int) -> None:
        """Take one message of ``slot`` off again."""
        ...

    async def spend(self, user: str, day: int, tokens: int) -> None: ...

    async def tokens(self, user: str, day: int) -> int: ...

    async def open_socket(self, user: str, connection_id: str, token_expires: int) -> None:
        """Counts until it is closed, its token expires (ms; 0: never) or it has lived as long as sockets can."""
        ...

    async def close_socket(self, user: str, connection_id: str) -> None: ...

    async def sockets_of_user(self, user: str) -> int: ...

    async def sockets_of_conversation(self, conversation_id: str) -> int:
        """Those that the ``ConversationStore`` lists."""
        ...

    async def forget(self, user: str) -> tuple[str, ...]:
        """Delete the list of the user's sockets, and tell which they were.

        The counters stay till the day is over: who could delete them could lift the limits.
        """
        ...


class AnswerCache(Protocol):
    """Keeps answers for a while, each user's apart. ``key`` names what was asked.

    Every method raises ``StoreUnavailable`` when the store does not answer after its own retries.
    """

    async def find(self, user: str, key: str) -> CachedAnswer | None:
        """None once its time is over, to the second."""
        ...

    async def keep(self, user: str, key: str, answer: CachedAnswer, seconds: int) -> None: ...

    async def forget(self, user: str) -> None: ...


class Model(Protocol):
    """A language model that streams."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """``TextDelta``s, then one ``Finished``. Closing the generator closes the call.

        Retries and the fallback model are its own business, up to the first token. Raises the ``ModelError``s.
        """
        ...


class Gateway(Protocol):
    """Posts frames to sockets."""

    async def post(self, connection_id: str, frame: bytes) -> bool:
        """False when the socket is gone for good. Throttling is retried within; other failures raise ``OSError``."""
        ...

    async def disconnect(self, connection_id: str) -> None:
        """Close the socket, if it is still there. Raises ``OSError``."""
        ...


class Waker(Protocol):
    """Asks a worker, durably and asynchronously, to look after a conversation."""

    async def run_turn(
        self,
        conversation_id: str,
        turn_id: str,
        connection_id: str = "",
        token_expires: int = 0,
        begun: Snapshot | None = None,
    ) -> None:
        """Claim and run this turn and what waits behind it.

        ``connection_id`` hears it, listed or not, until its token ends (ms; 0: never). ``begun`` is the conversation as
        it stood when the turn began, which may save the worker to read it.
        """
        ...

    async def stand_by(self, conversation_id: str) -> None:
        """Wait beside the running turn and those after it; wake a worker should their holder die."""
        ...

    async def sweep(self, conversation_id: str) -> None: ...

    async def entitle(self, conversation_id: str) -> None:
        """Have a model give the conversation a title."""
        ...

    async def forget_user(self, user: str) -> None: ...


class Tokens(Protocol):
    """Tells whose a token is."""

    async def verify(self, token: str) -> Identity:
        """Raises ``Unauthenticated`` with the reason as its code; ``StoreUnavailable`` when no keys can be read."""
        ...


class Log(Protocol):
    """Structured log. Never pass tokens, secrets or message text."""

    def info(self, event: str, **fields: Any) -> None: ...

    def error(self, event: str, **fields: Any) -> None: ...


class Metrics(Protocol):
    """Numbers for whoever runs the stack."""

    def count(self, amounts: Mapping[str, Amount], **dimensions: str) -> None:
        """Add each amount to the metric of its name: in all, and by the dimension that the metric has, if any.

        A dimension has few values: never a user, a conversation, or text. Makes no request.
        """
        ...
