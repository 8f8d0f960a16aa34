"""What came of a client's command, and how things stand."""

from __future__ import annotations

from copilotedge.limits import UNLIMITED, Quota
from copilotedge.models import Message, QueuedMessage, Snapshot, State, Turn
from copilotedge.runs import Run
from copilotedge.values import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the log, oldest first. ``more`` tells whether the log goes on in the direction of reading."""

    state: State | None
    messages: tuple[Message, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message that was taken. ``run`` is set where the caller asked to hold the turn and got it.

    ``begun`` is the conversation with the turn that began, where a worker is to claim it. ``quota`` is what its sender
    may still send.
    """

    turn_id: str
    message_id: str
    position: int = 0
    repeated: bool = False
    run: Run | None = None
    begun: Snapshot | None = None
    quota: Quota = UNLIMITED


@dataclass(frozen=True, slots=True)
class Appended:
    """Messages that were stored, the state with them, and what their sender may still send.

    ``run`` is for the caller to tell the sockets, None where there are none.
    """

    messages: tuple[Message, ...]
    state: State
    run: Run | None = None
    quota: Quota = UNLIMITED

    @property
    def message(self) -> Message:
        return self.messages[0]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Whether the running turn will stop, or which waiting message was taken off the queue; false if neither."""

    stopping: bool = False
    withdrawn: QueuedMessage | None = None

    def __bool__(self) -> bool:
        return self.stopping or self.withdrawn is not None


@dataclass(frozen=True, slots=True)
class Cleared:
    """The epoch that a clear began; ``run`` is for its caller to tell the sockets.

    None: there is nobody to tell, or who has the slot will.
    """

    epoch: str
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message fares: its running turn, itself in the log or the queue and, once there is one, its answer."""

    turn: Turn | None
    question: Message | None
    answer: Message | None
    state: State | None
    queued: QueuedMessage | None = None

    @property
    def is_gone(self) -> bool:
        """Cleared, deleted, or taken off the queue."""
        return self.question is None and self.turn is None and self.queued is None

    @property
    def is_over(self) -> bool:
        """A turn that runs for it will say more, be it another answer to an old question."""
        has_ended = self.answer is not None or (self.question is not None and self.question.status != "complete")
        return has_ended and self.turn is None

    @property
    def turn_id(self) -> str:
        """Of the turn that answers it, answered it, or will; empty where it is gone."""
        known = self.turn or self.question or self.queued
        return known.turn_id if known else ""
