"""What every transition is made of."""

from __future__ import annotations

import pytest

from copilotedge.models import Message
from copilotedge.transitions import Submission
from copilotedge.transitions.steps import (
    CLAIM_GRACE_MS,
    Rules,
    announcement,
    born,
    new_id,
    new_turn,
    next_epoch,
    next_state,
    question_of,
    seconds,
    touch,
)
from tests.fakes import START

RULES = Rules(inactivity_ms=60_000, lease_ms=5_000)


def test_a_new_conversation_is_empty_and_lives_as_long_as_inactivity_allows():
    state = born(RULES, START)
    assert (state.version, state.seq, state.queued, state.message_count, state.turn) == (1, 0, 0, 0, None)
    assert state.life == state.epoch
    assert state.created_at == state.last_activity == START
    assert state.expires_at * 1000 == START + 60_000


def test_each_state_has_the_next_version_and_a_nonce_of_its_own():
    state = born(RULES, START)
    following = next_state(state, seq=7)
    assert (following.version, following.seq) == (state.version + 1, 7)
    assert following.nonce != state.nonce


def test_activity_lengthens_a_life():
    state = touch(born(RULES, START), RULES, START + 30_000)
    assert state.last_activity == START + 30_000
    assert state.expires_at * 1000 == START + 90_000


def test_a_turn_with_a_holder_is_its_first_attempt_and_leased():
    turn = new_turn("t", "m", 3, "me", RULES, START)
    assert (turn.holder, turn.attempt, turn.question_seq) == ("me", 1, 3)
    assert turn.is_held(START + 4_999) and not turn.is_held(START + 5_000)


def test_a_turn_without_a_holder_waits_for_a_worker_to_claim_it():
    turn = new_turn("t", "m", 3, "", RULES, START)
    assert (turn.holder, turn.attempt, turn.lease_until) == ("", 0, START + CLAIM_GRACE_MS)


def test_a_question_belongs_to_its_turn():
    turn = new_turn("t", "m", 3, "", RULES, START)
    asked = Submission("m", "Hi", START, instructions="be brief", options='{"seed":1}')
    assert question_of(turn, asked, START) == Message(
        3, "user", "Hi", START, "m", "t", instructions="be brief", options='{"seed":1}'
    )


def test_epochs_sort_by_the_time_they_began():
    assert next_epoch(START, "") < next_epoch(START + 1, "") < next_epoch(START * 5, "")


def test_an_epoch_is_later_than_the_one_before_although_this_clock_is_behind():
    previous = next_epoch(START, "")
    assert next_epoch(START - 3_600_000, previous) > previous


def test_two_epochs_of_one_moment_differ():
    assert next_epoch(START, "") != next_epoch(START, "")


def test_evicted_messages_are_deleted_once_in_every_fifty():
    rules = Rules(max_stored=10)
    assert [seq for seq in range(1, 121, 2) if rules.evicts_at(seq)] == [51, 101]
    assert [seq for seq in range(0, 121, 2) if rules.evicts_at(seq)] == [50, 100]


@pytest.mark.parametrize(("milliseconds", "expected"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)])
def test_seconds_are_rounded_up(milliseconds, expected):
    assert seconds(milliseconds) == expected


def test_ids_are_32_hexadecimal_characters_and_differ():
    one, two = new_id(), new_id()
    assert len(one) == 32 and int(one, 16) >= 0
    assert one != two


@pytest.mark.parametrize(("lease_ms", "expected"), [(20_000, 8_000), (3_000, 3_000)])
def test_who_tells_has_the_slot_for_a_while_but_no_longer_than_a_lease(lease_ms, expected):
    turn = announcement("me", 7, Rules(lease_ms=lease_ms), START)
    assert (turn.holder, turn.question_seq, turn.telling, turn.lease_until) == ("me", 7, True, START + expected)
