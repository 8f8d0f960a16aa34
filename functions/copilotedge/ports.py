"""What the core needs of the world. Adapters implement these; tests hand in fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from copilotedge.models import Change, Connection, Message, ModelEvent, ModelRequest, Receipt, Snapshot, State

Clock = Callable[[], int]
"""Milliseconds since the epoch."""


class ConversationStore(Protocol):
    """Keeps conversations. Reads are strongly consistent and treat expired conversations as absent.

    Every method raises ``StoreUnavailable`` when the store does not answer after its own retries.
    """

    async def snapshot(self, conversation_id: str, messages: int) -> Snapshot:
        """State, settings, queue and up to ``messages`` newest messages, in one request."""
        ...

    async def state(self, conversation_id: str) -> State | None: ...

    async def messages(
        self, conversation_id: str, epoch: str, *, after: int, before: int, limit: int, newest: bool
    ) -> tuple[Message, ...]:
        """Messages with ``after < seq < before``, oldest first: the ``limit`` oldest, or the newest of them."""
        ...

    async def receipt(self, conversation_id: str, message_id: str) -> Receipt | None: ...

    async def commit(self, conversation_id: str, change: Change) -> None:
        """Apply ``change`` whole or raise ``StateChanged`` or ``ReceiptExists``; safe to repeat after a time-out."""
        ...

    async def sweep(self, conversation_id: str) -> int:
        """Delete every item that the conversation can no longer show; returns how many were deleted."""
        ...

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        """List the socket, or list it anew; a resume wish that it has stays unless there is another."""
        ...

    async def disconnect(self, conversation_id: str, connection_id: str) -> None: ...

    async def connections(self, conversation_id: str) -> tuple[Connection, ...]: ...


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


class Waker(Protocol):
    """Asks a worker, durably and asynchronously, to look after a conversation."""

    async def run_turn(self, conversation_id: str, turn_id: str, connection_id: str = "") -> None:
        """Claim and run this turn and what waits behind it. ``connection_id`` hears it, listed or not."""
        ...

    async def stand_by(self, conversation_id: str) -> None:
        """Wait beside the running turn and those after it; wake a worker should their holder die."""
        ...

    async def sweep(self, conversation_id: str) -> None: ...


class Log(Protocol):
    """Structured log. Never pass tokens, secrets or message text."""

    def info(self, event: str, **fields: Any) -> None: ...

    def error(self, event: str, **fields: Any) -> None: ...
