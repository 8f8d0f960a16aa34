"""A turn ends, and in the same change the next one begins if a message waits.

If none does, its holder keeps the slot until it has told the sockets how the turn ended, and then releases it: who
speaks has the slot, so sockets hear one process after the other. Where nobody listens (``heard`` is false) the slot is
free at once.

``snapshot.queue`` must be complete when ``snapshot.state.queued`` is not 0. All raise ``Fenced`` when the turn is no
longer its holder's; ``complete``, ``abandon`` and ``release`` raise ``Closing`` when a clear has ended it.
"""

from __future__ import annotations

from dataclasses import replace

from copilotedge.errors import Closing, Fenced
from copilotedge.models import Change, Message, MessageStatus, Snapshot, State, ToolCall, Turn, Usage
from copilotedge.transitions.leases import held
from copilotedge.transitions.steps import Rules, new_turn, next_state, question_of, tell, touch


def complete(
    snapshot: Snapshot,
    turn: Turn,
    text: str,
    usage: Usage,
    status: MessageStatus,
    model: str,
    rules: Rules,
    now: int,
    tool_calls: tuple[ToolCall, ...] = (),
    cost: int | None = None,
    *,
    heard: bool = True,
) -> Change:
    """Append the answer."""
    state, current = _running(snapshot.state, turn)
    answer = Message(
        seq=state.seq + 1,
        role="assistant",
        content=text,
        timestamp=now,
        message_id=answer_id(turn),
        turn_id=turn.turn_id,
        tokens=usage.total_tokens,
        prompt_tokens=usage.prompt_tokens,
        status=status,
        model=model,
        replaces=current.replaces,
        tool_calls=tool_calls,
        cost=cost,
    )
    ended = next_state(
        state,
        seq=answer.seq,
        message_count=state.message_count + (0 if current.replaces else 1),
        total_tokens=state.total_tokens + usage.total_tokens,
        total_cost=state.total_cost + (cost or 0),
    )
    removed = (current.replaces,) if current.replaces else ()
    return _end(snapshot, ended, current, (answer,), removed, rules, now, heard=heard)


def abandon(
    snapshot: Snapshot,
    turn: Turn,
    question: Message,
    status: MessageStatus,
    rules: Rules,
    now: int,
    *,
    heard: bool = True,
) -> Change:
    """End without an answer: the question stays, marked ``failed`` or ``cancelled``.

    A regeneration that is abandoned leaves the earlier answer, and the question, as they were.
    """
    state, current = _running(snapshot.state, turn)
    marked = () if current.replaces else (replace(question, status=status),)
    return _end(snapshot, next_state(state), current, marked, (), rules, now, heard=heard)


def release(snapshot: Snapshot, turn: Turn, rules: Rules, now: int) -> Change:
    """Let go of a turn whose end has been told, or begin the next one if a message has come meanwhile."""
    state, current = _open(snapshot.state, turn)
    if state.queued:
        return _begin_next(snapshot, next_state(state), current, (), (), rules, now)
    return Change(expected=snapshot.state, state=next_state(state, turn=None))


def close(snapshot: Snapshot, turn: Turn, epoch: str, rules: Rules, now: int) -> Change:
    """Let go of a turn that a clear has ended, and of the conversation if it was deleted and not used again.

    ``epoch`` is the one whose beginning was announced. Raises ``Closing`` when another clear has come since.
    """
    state, current = held(snapshot.state, turn)
    if state.epoch != epoch:
        raise Closing("The conversation was cleared again.")
    if current.deleting:
        return Change(expected=state, state=replace(next_state(state), turn=None), removes_state=True)
    return _end(snapshot, next_state(state), current, (), (), rules, now, heard=False)


def answer_id(turn: Turn) -> str:
    """Message id of the answer that this attempt at the turn gives."""
    return f"{turn.turn_id}-{turn.attempt}"


def attempt_of(answer: Message) -> int:
    """The attempt that gave an answer of the log; 1 for one that a client brought."""
    number = answer.message_id.rpartition("-")[2]
    return int(number) if answer.turn_id and number.isdecimal() else 1


def _running(state: State | None, turn: Turn) -> tuple[State, Turn]:
    """A turn ends once."""
    state, current = _open(state, turn)
    if current.telling:
        raise Fenced("This turn has ended.")
    return state, current


def _open(state: State | None, turn: Turn) -> tuple[State, Turn]:
    """What was asked before a clear has no place in the epoch after it."""
    state, current = held(state, turn)
    if current.closing:
        raise Closing("The conversation was cleared.")
    return state, current


def _end(
    snapshot: Snapshot,
    ended: State,
    turn: Turn,
    messages: tuple[Message, ...],
    removed: tuple[int, ...],
    rules: Rules,
    now: int,
    *,
    heard: bool,
) -> Change:
    if ended.queued:
        return _begin_next(snapshot, ended, turn, messages, removed, rules, now)
    left = replace(ended, turn=tell(turn, rules, now) if heard else None)
    return Change(snapshot.state, touch(left, rules, now), messages=messages, removed_messages=removed)


def _begin_next(
    snapshot: Snapshot,
    ended: State,
    before: Turn,
    messages: tuple[Message, ...],
    removed: tuple[int, ...],
    rules: Rules,
    now: int,
) -> Change:
    first = min(snapshot.queue, key=lambda queued: queued.place)
    turn = new_turn(first.turn_id, first.message_id, ended.seq + 1, before.holder, rules, now)
    turn = replace(turn, model=first.model, temperature=first.temperature, max_tokens=first.max_tokens)
    turn = replace(turn, has_standby=before.has_standby, user=first.user)
    question = question_of(turn, first, now)
    begun = replace(ended, seq=question.seq, message_count=ended.message_count + 1, queued=ended.queued - 1, turn=turn)
    return Change(
        expected=snapshot.state,
        state=touch(begun, rules, now),
        messages=(*messages, question),
        removed_messages=removed,
        dequeued=(first,),
    )
