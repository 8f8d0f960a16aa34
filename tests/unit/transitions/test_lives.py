"""Clear, delete, settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.models import ConversationSettings, Snapshot, State, Turn
from copilotedge.transitions.endings import close
from copilotedge.transitions.lives import clear, delete, store_settings
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START

RULES = Rules(inactivity_ms=60_000, lease_ms=5_000)
NOW = START + 1_000
HELD = Turn("t1", "m1", 9, "me", 1, START + 5_000)


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
        voice_until=7,
    )


@pytest.mark.parametrize("act", [lambda: clear(None, RULES, NOW), lambda: delete(None, NOW)])
def test_an_unknown_conversation_needs_no_end(act):
    assert act() is None


def test_a_clear_starts_an_empty_epoch_of_the_same_life():
    before = used()
    after = clear(before, RULES, NOW).state
    assert (after.seq, after.queued, after.message_count, after.total_tokens, after.total_cost) == (0, 0, 0, 0, 0)
    assert (after.life, after.members, after.created_at) == (before.life, {"bob": "read"}, START)
    assert after.epoch > before.epoch


def test_who_clears_has_the_word_to_tell_of_it():
    assert clear(used(), RULES, NOW).state.voice_until > NOW
    assert delete(used(), NOW).state.voice_until > NOW


def test_a_clear_is_an_activity():
    assert clear(used(), RULES, NOW).state.expires_at * 1000 == NOW + 60_000


def test_a_clear_leaves_a_live_holder_to_announce_it_and_let_go():
    assert clear(used(HELD), RULES, NOW).state.turn == replace(HELD, closing=True, has_standby=True)


@pytest.mark.parametrize("turn", [replace(HELD, holder=""), replace(HELD, lease_until=NOW)])
def test_a_clear_ends_a_turn_that_no_one_holds(turn):
    assert clear(used(turn), RULES, NOW).state.turn is None


def test_a_second_clear_waits_for_the_same_holder():
    once = clear(used(HELD), RULES, NOW).state
    twice = clear(once, RULES, NOW).state
    assert twice.turn == once.turn
    assert twice.epoch > once.epoch


def test_a_deletion_removes_the_state():
    assert delete(used(), NOW).removes_state


def test_a_deletion_during_a_turn_keeps_an_empty_state_until_the_lease_ends():
    before = used(HELD)
    change = delete(before, NOW)
    after = change.state
    assert not change.removes_state
    assert (after.seq, after.members) == (0, {})
    assert after.turn == replace(HELD, closing=True, deleting=True, has_standby=True)
    assert after.life == after.epoch > before.epoch
    assert after.expires_at * 1000 == HELD.lease_until


def test_a_deleted_conversation_is_gone_once_its_holder_has_let_go():
    deleted = delete(used(HELD), NOW).state
    change = close(Snapshot(deleted), deleted.turn, deleted.epoch, RULES, NOW)
    assert change.removes_state or change.state.expires_at <= deleted.expires_at


def test_a_deleted_conversation_that_is_used_again_lives_on():
    deleted = delete(used(HELD), NOW).state
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
