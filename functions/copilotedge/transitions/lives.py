"""A conversation's lives and epochs: clear, delete, and the settings that last as long as a life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from copilotedge.models import Change, ConversationSettings, MemberRole, Snapshot, State
from copilotedge.transitions.leases import with_standby
from copilotedge.transitions.steps import Rules, announcement, born, next_epoch, next_state, seconds, touch


def clear(snapshot: Snapshot, holder: str, rules: Rules, now: int) -> Change | None:
    """Start a new epoch; None when there is nothing to clear. A turn whose holder lives stays until it has let go.

    Without one the caller, as ``holder`` of the slot, announces the clear, unless nobody listens.
    """
    state = snapshot.state
    if state is None:
        return None
    return Change(expected=state, state=touch(_emptied(state, snapshot.is_heard, holder, rules, now), rules, now))


def delete(snapshot: Snapshot, holder: str, rules: Rules, now: int) -> Change | None:
    """End this life of the conversation; None when there is none.

    While somebody has the slot its lease must stay, so that the next life has one voice: the state stays behind,
    empty and of a new life, until the lease ends.
    """
    state = snapshot.state
    if state is None:
        return None
    emptied = _emptied(state, snapshot.is_heard, holder, rules, now)
    if emptied.turn is None:
        return Change(expected=state, state=emptied, removes_state=True)
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


def _emptied(state: State, heard: bool, holder: str, rules: Rules, now: int) -> State:
    """A new epoch without messages. Who has the slot, ``holder`` if nobody else, is to announce it and to let go."""
    turn, closing = state.turn, None
    if turn and turn.holder and turn.is_held(now):
        closing = with_standby(replace(turn, closing=True))
    elif heard:
        closing = replace(announcement(holder, 1, rules, now), closing=True)
    epoch = next_epoch(now, state.epoch)
    empty = {"seq": 0, "queued": 0, "message_count": 0, "total_tokens": 0, "total_cost": 0}
    return next_state(state, epoch=epoch, turn=closing, **empty)
