"""A conversation's lives and epochs: clear, delete, and the settings that last as long as a life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from copilotedge.models import Change, ConversationSettings, MemberRole, Snapshot, State
from copilotedge.transitions.leases import with_standby
from copilotedge.transitions.steps import Rules, born, next_epoch, next_state, seconds, take_word, touch


def clear(state: State | None, rules: Rules, now: int) -> Change | None:
    """Start a new epoch; None when there is nothing to clear. A turn whose holder lives stays until it has let go.

    Without one the caller announces the clear, and the next holder lets it speak first.
    """
    if state is None:
        return None
    emptied = replace(_emptied(state, now), voice_until=take_word(state, now))
    return Change(expected=state, state=touch(emptied, rules, now))


def delete(state: State | None, now: int) -> Change | None:
    """End this life of the conversation; None when there is none.

    While a turn's holder lives its lease must stay, so that the next life has one voice: the state stays behind,
    empty and of a new life, until the lease ends.
    """
    if state is None:
        return None
    emptied = _emptied(state, now)
    if emptied.turn is None:
        return Change(expected=state, state=replace(emptied, voice_until=take_word(state, now)), removes_state=True)
    turn = replace(emptied.turn, deleting=True)
    reborn = replace(emptied, turn=turn, life=emptied.epoch, members={}, listed_at=0, created_at=now)
    return Change(expected=state, state=replace(reborn, expires_at=seconds(emptied.turn.lease_until)))


def store_settings(snapshot: Snapshot, settings: ConversationSettings, rules: Rules, now: int) -> Change:
    state = next_state(snapshot.state) if snapshot.state else born(rules, now)
    return Change(expected=snapshot.state, state=touch(state, rules, now), settings=settings)


def share(snapshot: Snapshot, members: Mapping[str, MemberRole], rules: Rules, now: int) -> Change:
    """Let exactly these users read or write the conversation, besides its owner."""
    state = next_state(snapshot.state) if snapshot.state else born(rules, now)
    return Change(expected=snapshot.state, state=touch(replace(state, members=dict(members)), rules, now))


def _emptied(state: State, now: int) -> State:
    """A new epoch without messages; a live holder's turn stays as ``closing``, to be announced and let go by it."""
    turn = state.turn
    closing = with_standby(replace(turn, closing=True)) if turn and turn.holder and turn.is_held(now) else None
    epoch = next_epoch(now, state.epoch)
    empty = {"seq": 0, "queued": 0, "message_count": 0, "total_tokens": 0, "total_cost": 0}
    return next_state(state, epoch=epoch, turn=closing, **empty)
