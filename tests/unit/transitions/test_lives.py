"""Clear, delete, settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.models import Change, Connection, ConversationSettings, Snapshot, State, Turn
from copilotedge.transitions.endings import close
from copilotedge.transitions.lives import clear, delete, store_settings
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START

RULES = Rules(inactivity_ms=60_000, lease_ms=5_000)
NOW = START + 1_000
HELD = Turn("t1", "m1", 9, "me", 1, START + 5_000)
HEARD = (Connection("a"),)


def used(turn: Turn | None = None) -> State:
    return next_state(
        born(RULES, START),
        seq=9,
        queued=2,
        message_count=9,
        total_tokens=70,
        total_cost=700,
        members={"bob": "read"},
        turn=turn,
    )


def cleared(state: State | None, connections: tuple[Connection, ...] = ()) -> Change | None:
    return clear(Snapshot(state, connections=connections), "clearer", RULES, NOW)


def ended(state: State | None, connections: tuple[Connection, ...] = ()) -> Change | None:
    return delete(Snapshot(state, connections=connections), "clearer", RULES, NOW)


@pytest.mark.parametrize("act", [lambda: cleared(None), lambda: ended(None)])
def test_an_unknown_conversation_needs_no_end(act):
    assert act() is None


def test_a_clear_starts_an_empty_epoch_of_the_same_life():
    before = used()
    after = cleared(before).state
    assert (after.seq, after.queued, after.message_count, after.total_tokens, after.total_cost) == (0, 0, 0, 0, 0)
    assert (after.life, after.members, after.created_at) == (before.life, {"bob": "read"}, START)
    assert after.epoch > before.epoch


def test_who_clears_has_the_slot_to_tell_of_it():
    for change in (cleared(used(), HEARD), ended(used(), HEARD)):
        turn = change.state.turn
        assert (turn.holder, turn.closing, turn.lease_until) == ("clearer", True, NOW + RULES.telling_ms)
        assert change.state.running is None


def test_where_nobody_listens_there_is_nothing_to_tell():
    assert cleared(used()).state.turn is None
    assert ended(used()).removes_state


def test_a_deletion_that_has_been_told_removes_the_state():
    change = ended(used(), HEARD)
    assert not change.removes_state
    assert close(Snapshot(change.state), change.state.turn, change.state.epoch, RULES, NOW).removes_state


def test_a_clear_is_an_activity():
    assert cleared(used()).state.expires_at * 1000 == NOW + 60_000


def test_a_clear_leaves_a_live_holder_to_announce_it_and_let_go():
    assert cleared(used(HELD)).state.turn == replace(HELD, closing=True, has_standby=True)


@pytest.mark.parametrize("turn", [replace(HELD, holder=""), replace(HELD, lease_until=NOW)])
def test_a_clear_ends_a_turn_that_no_one_holds(turn):
    assert cleared(used(turn)).state.turn is None


def test_a_second_clear_waits_for_the_same_holder():
    once = cleared(used(HELD)).state
    twice = cleared(once).state
    assert twice.turn == once.turn
    assert twice.epoch > once.epoch


def test_a_deletion_removes_the_state():
    assert ended(used()).removes_state


def test_a_deletion_during_a_turn_keeps_an_empty_state_until_the_lease_ends():
    before = used(HELD)
    change = ended(before)
    after = change.state
    assert not change.removes_state
    assert (after.seq, after.members) == (0, {})
    assert after.turn == replace(HELD, closing=True, deleting=True, has_standby=True)
    assert after.life == after.epoch > before.epoch
    assert after.expires_at * 1000 == HELD.lease_until


def test_a_deleted_conversation_is_gone_once_its_holder_has_let_go():
    deleted = ended(used(HELD)).state
    change = close(Snapshot(deleted), deleted.turn, deleted.epoch, RULES, NOW)
    assert change.removes_state or change.state.expires_at <= deleted.expires_at


def test_a_deleted_conversation_that_is_used_again_lives_on():
    deleted = ended(used(HELD)).state
    state = store_settings(Snapshot(deleted), ConversationSettings("m"), RULES, NOW).state
    change = close(Snapshot(state), state.turn, state.epoch, RULES, NOW)
    assert not change.removes_state
    assert change.state.expires_at * 1000 == NOW + 60_000


def test_settings_are_stored_with_the_state_and_count_as_activity():
    state, settings = used(HELD), ConversationSettings("m")
    change = store_settings(Snapshot(state), settings, RULES, NOW)
    assert (change.expected, change.settings, change.state.turn) == (state, settings, HELD)
    assert change.state.last_activity == NOW


def test_settings_can_begin_a_conversation():
    change = store_settings(Snapshot(), ConversationSettings("m"), RULES, NOW)
    assert change.expected is None
    assert (change.state.version, change.state.created_at) == (1, NOW)
