"""One attempt at a turn, while it runs, and how it ended."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from copilotedge.answering import Hear, length_of, nobody
from copilotedge.charges import Charge
from copilotedge.errors import Fenced, ModelError
from copilotedge.head_start import HeadStart
from copilotedge.models import (
    Change,
    Connection,
    ConversationSettings,
    Message,
    ModelRequest,
    Snapshot,
    State,
    ToolCall,
    Turn,
    Usage,
)
from copilotedge.times import Times
from copilotedge.values import dataclass

Verdict = Literal["answered", "interrupted", "failed", "cancelled", "closing", "fenced", "out_of_time"]


@dataclass(slots=True)
class Run:
    """What a turn's holder knows. ``messages`` is the log up to the question, which comes last.

    ``connections`` are the sockets that were there when it began, None where that is not known. ``ahead`` is the call
    of the model, if it began before the turn was claimed. ``text`` is the answer so far, of which ``sent`` characters
    have gone out in ``index`` delta frames. ``asked`` is what the model was asked, as long as it has not been charged,
    and ``charge`` what was. ``drafted`` characters are kept as drafts for readers over HTTP. ``hear`` is told every
    piece as it comes, if somebody waits for them in this process: ``told`` characters so far, and so many of each of
    its ``told_calls``. ``times`` are for the metrics.
    """

    conversation_id: str
    state: State
    turn: Turn
    settings: ConversationSettings
    messages: tuple[Message, ...]
    connections: tuple[Connection, ...] | None = None
    ahead: HeadStart | None = None
    text: str = ""
    sent: int = 0
    index: int = 0
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: str = ""
    error: ModelError | None = None
    asked: ModelRequest | None = None
    charge: Charge = field(default_factory=Charge)
    calls: list[ToolCall] = field(default_factory=list)
    drafted: int = 0
    told: int = 0
    told_calls: dict[int, int] = field(default_factory=dict)
    times: Times = field(default_factory=Times)
    hear: Hear = nobody

    @property
    def question(self) -> Message:
        return self.messages[-1]

    @property
    def length(self) -> int:
        """Characters of the answer so far, its tool calls included."""
        return length_of(self.text, self.calls)

    def is_still_mine(self, current: Turn | None) -> bool:
        mine = (self.turn.turn_id, self.turn.holder, self.turn.attempt)
        return current is not None and (current.turn_id, current.holder, current.attempt) == mine


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended: ``answer`` is what the log keeps, ``next`` the turn that its holder has begun along with it."""

    verdict: Verdict
    answer: Message | None = None
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    error: ModelError | None = None
    next: Run | None = None


def run_of(conversation_id: str, snapshot: Snapshot, change: Change) -> Run:
    """The run that a committed ``change`` has begun or claimed, in the light of the ``snapshot`` it was made from."""
    turn = change.state.turn
    if turn is None:
        raise Fenced("This change began no turn.")
    known = {message.seq: message for message in (*snapshot.messages, *change.messages)}
    hidden = {turn.replaces, *change.removed_messages}
    log = tuple(known[seq] for seq in sorted(known) if seq <= turn.question_seq and seq not in hidden)
    waited = next((turn.began_at - queued.arrival for queued in change.dequeued if queued.turn_id == turn.turn_id), -1)
    times = Times(turn.began_at, waited)
    return Run(conversation_id, change.state, turn, snapshot.settings, log, snapshot.connections, times=times)
