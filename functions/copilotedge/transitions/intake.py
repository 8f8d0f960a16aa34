"""A message comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from copilotedge.errors import Conflict, QueueFull, StillTelling
from copilotedge.models import Change, Message, PromptMessage, QueuedMessage, Receipt, Role, Snapshot, State, Turn
from copilotedge.transitions.leases import with_standby
from copilotedge.transitions.steps import Rules, announcement, born, new_id, new_turn, next_state, question_of, touch
from copilotedge.values import dataclass

QUESTIONS: tuple[Role, ...] = ("user", "tool")
"""Roles of messages that are answered."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A user message on its way in.

    ``context`` are messages that come before it and are not in the log yet (a client that brings its own history).
    ``client_id`` tells whether the client chose ``message_id``, and so may repeat it. ``arrival`` is when the gateway
    received it. ``instructions`` is system text for this answer alone, ``options`` what else its model is asked with.
    ``holder`` is set by a caller that will run the turn itself; without it a worker has to claim it. ``user`` sent it.
    The ``role`` is ``tool`` for the result of the tool call ``tool_call_id``.
    """

    message_id: str
    content: str
    arrival: int
    client_id: bool = False
    holder: str = ""
    user: str = ""
    context: tuple[PromptMessage, ...] = ()
    instructions: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    role: Role = "user"
    tool_call_id: str = ""
    options: str = ""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.content)


@dataclass(frozen=True, slots=True)
class Began:
    change: Change
    turn: Turn


@dataclass(frozen=True, slots=True)
class Queued:
    """``position`` is how many are answered before it: none, where the slot's holder has only to tell of the last."""

    change: Change
    turn_id: str
    position: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """The message id was taken before; ``turn_id`` is the turn that answers, or answered, it."""

    turn_id: str


def submit(snapshot: Snapshot, submission: Submission, rules: Rules, now: int) -> Began | Queued | Repeated:
    """Raises ``Conflict`` (id reused with other content; history brought along during a turn) and ``QueueFull``.

    ``StillTelling`` where history is brought along a moment too early.
    """
    earlier = _find_repeat(snapshot, submission)
    if earlier is not None:
        return earlier
    if submission.context:
        _check_idle(snapshot.state)
    elif snapshot.state is not None and snapshot.state.turn is not None:
        return _enqueue(snapshot.state, snapshot.state.turn, submission, rules, now, snapshot.queue)
    return _begin(snapshot, submission, rules, now)


def match_receipt(receipt: Receipt, submission: Submission) -> Repeated:
    """The outcome of a submission whose id was found taken. Raises ``Conflict`` when the content differs."""
    if receipt.fingerprint != submission.fingerprint:
        raise Conflict("This message id was used before with other content.", code="message_id_reused")
    return Repeated(receipt.turn_id)


def regenerate(snapshot: Snapshot, turn_id: str, holder: str, user: str, rules: Rules, now: int) -> Began:
    """Answer the last question once more.

    Raises ``Conflict`` while a turn runs or when there is no question, and ``StillTelling``.
    """
    state = snapshot.state
    _check_idle(state)
    question, answer = _last_exchange(snapshot.messages)
    if state is None or question is None:
        raise Conflict("There is no message to answer again.", code="nothing_to_regenerate")
    turn = new_turn(turn_id, question.message_id, question.seq, holder, rules, now)
    turn = replace(turn, replaces=answer.seq if answer else 0, user=user)
    marked = () if answer else (replace(question, status="complete", turn_id=turn_id),)
    change = Change(expected=state, state=touch(next_state(state, turn=turn), rules, now), messages=marked)
    return Began(change, turn)


def append(snapshot: Snapshot, role: Role, content: str, tokens: int, holder: str, rules: Rules, now: int) -> Change:
    """Append a message without answering it; the caller announces it, as ``holder`` of the slot.

    Raises ``Conflict`` while a turn runs, and ``StillTelling``.
    """
    state = snapshot.state
    _check_idle(state)
    head = next_state(state) if state else born(rules, now)
    message = Message(head.seq + 1, role, content, now, new_id(), tokens=tokens)
    grown = replace(
        head,
        seq=message.seq,
        message_count=head.message_count + 1,
        total_tokens=head.total_tokens + tokens,
    )
    change = Change(expected=state, state=touch(grown, rules, now), messages=(message,))
    return _to_be_told(snapshot, change, holder, rules, now)


def append_all(snapshot: Snapshot, messages: Sequence[PromptMessage], holder: str, rules: Rules, now: int) -> Change:
    """The same for several messages at once."""
    return _to_be_told(snapshot, import_history(snapshot, messages, rules, now), holder, rules, now)


def import_history(snapshot: Snapshot, brought: Sequence[PromptMessage], rules: Rules, now: int) -> Change:
    """Append messages that a client has from elsewhere. Raises ``Conflict`` while a turn runs, and ``StillTelling``."""
    state = snapshot.state
    _check_idle(state)
    head = next_state(state) if state else born(rules, now)
    messages = _earlier(head, brought, now)
    grown = replace(head, seq=head.seq + len(messages), message_count=head.message_count + len(messages))
    return Change(expected=state, state=touch(grown, rules, now), messages=messages)


def withdraw(snapshot: Snapshot, message_id: str) -> Change | None:
    """Take a waiting message off the queue; None when it does not wait."""
    waiting = next((queued for queued in snapshot.queue if queued.message_id == message_id), None)
    if snapshot.state is None or waiting is None:
        return None
    state = next_state(snapshot.state, queued=snapshot.state.queued - 1)
    return Change(expected=snapshot.state, state=state, dequeued=(waiting,))


def fingerprint(content: str) -> str:
    """Tells contents apart without keeping them."""
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _find_repeat(snapshot: Snapshot, submission: Submission) -> Repeated | None:
    taken = [(m.message_id, m.content, m.turn_id) for m in snapshot.messages if m.role in QUESTIONS]
    taken += [(q.message_id, q.content, q.turn_id) for q in snapshot.queue]
    for message_id, content, turn_id in taken:
        if message_id == submission.message_id:
            return match_receipt(Receipt(message_id, turn_id, fingerprint(content), ""), submission)
    return None


def _last_exchange(messages: Sequence[Message]) -> tuple[Message | None, Message | None]:
    """The last question and its answer (None where it has none)."""
    if messages and messages[-1].role in QUESTIONS:
        return messages[-1], None
    if len(messages) >= 2 and messages[-1].role == "assistant" and messages[-2].role in QUESTIONS:
        return messages[-2], messages[-1]
    return None, None


def _begin(snapshot: Snapshot, submission: Submission, rules: Rules, now: int) -> Began:
    state = next_state(snapshot.state) if snapshot.state else born(rules, now)
    earlier = _earlier(state, submission.context, now)
    turn = new_turn(new_id(), submission.message_id, state.seq + len(earlier) + 1, submission.holder, rules, now)
    turn = replace(turn, model=submission.model, temperature=submission.temperature, max_tokens=submission.max_tokens)
    turn = replace(turn, user=submission.user)
    question = question_of(turn, submission, now)
    grown = replace(state, seq=question.seq, message_count=state.message_count + len(earlier) + 1, turn=turn)
    change = Change(
        expected=snapshot.state,
        state=touch(grown, rules, now),
        messages=(*earlier, question),
        receipt=_receipt(submission, turn.turn_id, state.epoch),
    )
    return Began(change, turn)


def _earlier(state: State, brought: Sequence[PromptMessage], now: int) -> tuple[Message, ...]:
    return tuple(
        Message(
            seq=state.seq + n,
            role=message.role,
            content=message.content,
            timestamp=now,
            message_id=new_id(),
            tool_calls=message.tool_calls,
            tool_call_id=message.tool_call_id,
        )
        for n, message in enumerate(brought, start=1)
    )


def _to_be_told(snapshot: Snapshot, change: Change, holder: str, rules: Rules, now: int) -> Change:
    """``change``, with the slot for its caller to tell of its messages, unless nobody listens."""
    if not snapshot.is_heard:
        return change
    turn = announcement(holder, change.messages[0].seq, rules, now)
    return replace(change, state=replace(change.state, turn=turn))


def _enqueue(
    state: State, turn: Turn, submission: Submission, rules: Rules, now: int, queue: tuple[QueuedMessage, ...]
) -> Queued:
    if state.queued >= rules.max_queued + turn.telling:
        raise QueueFull(f"{state.queued} messages wait for an answer already.", retry_after=5, limit=rules.max_queued)
    waiting = QueuedMessage(
        place=f"{submission.arrival:013d}-{state.version:010d}",
        message_id=submission.message_id,
        turn_id=new_id(),
        content=submission.content,
        arrival=submission.arrival,
        epoch=state.epoch,
        user=submission.user,
        instructions=submission.instructions,
        model=submission.model,
        temperature=submission.temperature,
        max_tokens=submission.max_tokens,
        role=submission.role,
        tool_call_id=submission.tool_call_id,
        options=submission.options,
    )
    change = Change(
        expected=state,
        state=touch(next_state(state, queued=state.queued + 1, turn=with_standby(turn)), rules, now),
        queued=(waiting,),
        receipt=_receipt(submission, waiting.turn_id, state.epoch),
    )
    before = sum(other.place < waiting.place for other in queue)
    return Queued(change, waiting.turn_id, before if turn.telling else before + 1)


def _receipt(submission: Submission, turn_id: str, epoch: str) -> Receipt | None:
    if not submission.client_id:
        return None
    return Receipt(submission.message_id, turn_id, submission.fingerprint, epoch)


def _check_idle(state: State | None) -> None:
    """Nobody has the slot. Raises ``Conflict`` and ``StillTelling``."""
    if state is None or state.turn is None:
        return
    if state.turn.telling:
        raise StillTelling("The last answer is still being told.")
    raise Conflict("An answer is being written.", code="turn_running", retry_after=1)
