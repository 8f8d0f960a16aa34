"""Who may run the turn, and what others may tell its holder."""

from __future__ import annotations

from dataclasses import replace

from copilotedge.errors import Conflict, Fenced
from copilotedge.models import Change, State, Turn
from copilotedge.transitions.steps import CLAIM_GRACE_MS, FOLLOW_MS, Rules, next_state


def claim(state: State | None, turn_id: str, holder: str, rules: Rules, now: int) -> Change:
    """Take over a turn that no one holds. Raises ``Fenced`` when it is gone, ``Conflict`` while another holds it."""
    state, turn = running(state, turn_id)
    if turn.holder and turn.is_held(now):
        raise Conflict("Another worker holds this turn.", code="turn_running")
    lease = now + rules.lease_of(turn)
    taken = replace(turn, holder=holder, attempt=turn.attempt + 1, lease_until=lease, has_standby=False)
    return Change(expected=state, state=next_state(state, turn=taken))


def renew(state: State | None, turn: Turn, rules: Rules, now: int) -> Change:
    """Raises ``Fenced`` when ``turn`` is no longer its holder's."""
    state, current = held(state, turn)
    return Change(
        expected=state, state=next_state(state, turn=replace(current, lease_until=now + rules.lease_of(current)))
    )


def hand_over(state: State | None, turn: Turn, now: int, *, unspoken: bool = False) -> Change:
    """Give the turn back, for a worker to claim. An ``unspoken`` one takes no attempt. Raises ``Fenced``."""
    state, current = held(state, turn)
    attempt = current.attempt - 1 if unspoken else current.attempt
    released = replace(current, holder="", attempt=attempt, lease_until=now + CLAIM_GRACE_MS)
    return Change(expected=state, state=next_state(state, turn=released))


def request_cancel(state: State | None) -> Change | None:
    """None when nothing runs, or its cancellation is under way already."""
    if state is None or state.running is None or state.running.cancel or state.running.closing:
        return None
    turn = with_standby(replace(state.running, cancel=True))
    return Change(expected=state, state=next_state(state, turn=turn))


def wait_for(state: State) -> Change | None:
    """Make who has the slot hurry; None when somebody else has done so."""
    if state.turn is None or state.turn.has_standby:
        return None
    return Change(expected=state, state=next_state(state, turn=with_standby(state.turn)))


def note_listener(state: State | None) -> Change | None:
    """Make whoever holds the turn, or is about to begin one, look at the sockets again; None for no conversation.

    Their own change will lose its race, and they read again.
    """
    if state is None:
        return None
    turn = with_standby(state.turn) if state.turn else None
    return Change(expected=state, state=next_state(state, listeners=state.listeners + 1, turn=turn))


def follow(state: State | None, now: int) -> Change | None:
    """Have the turn's holder keep drafts for a while; None when nothing runs, or it will do so long enough."""
    if state is None or state.running is None or state.followed_until > now + FOLLOW_MS // 2:
        return None
    turn = with_standby(state.running)
    return Change(expected=state, state=next_state(state, followed_until=now + FOLLOW_MS, turn=turn))


def with_standby(turn: Turn) -> Turn:
    """Somebody now waits for this turn to end, and a holder may be dead: whoever commits this sends a standby."""
    return replace(turn, has_standby=True)


def running(state: State | None, turn_id: str) -> tuple[State, Turn]:
    """Raises ``Fenced`` when another turn runs, or none."""
    if state is None or state.turn is None or state.turn.turn_id != turn_id:
        raise Fenced("This turn has ended.")
    return state, state.turn


def held(state: State | None, turn: Turn) -> tuple[State, Turn]:
    """The turn as it stands now, if its holder still is the one of ``turn``. Raises ``Fenced``."""
    state, current = running(state, turn.turn_id)
    if (current.holder, current.attempt) != (turn.holder, turn.attempt):
        raise Fenced("This turn was taken over.")
    return state, current
