"""Who may run a turn, and what others may tell its holder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import Conflict, Fenced
from copilotedge.models import State, Turn
from copilotedge.transitions.leases import (
    claim,
    follow,
    hand_over,
    held,
    note_listener,
    renew,
    request_cancel,
    wait_for,
)
from copilotedge.transitions.steps import CLAIM_GRACE_MS, Rules, born, next_state
from tests.fakes import START

RULES = Rules(lease_ms=5_000)
MINE = Turn("t1", "m1", 1, "me", 1, START + 5_000)
WAITING = Turn("t1", "m1", 1, "", 0, START + CLAIM_GRACE_MS)


def running(turn: Turn | None) -> State:
    return next_state(born(RULES, START), turn=turn)


def test_a_waiting_turn_is_claimed_at_once():
    change = claim(running(WAITING), "t1", "me", RULES, START)
    assert change.state.turn == replace(WAITING, holder="me", attempt=1, lease_until=START + 5_000)


def test_a_held_turn_cannot_be_claimed():
    with pytest.raises(Conflict) as caught:
        claim(running(MINE), "t1", "other", RULES, START + 4_999)
    assert caught.value.code == "turn_running"


def test_a_turn_whose_lease_ran_out_is_claimed_as_another_attempt():
    change = claim(running(MINE), "t1", "other", RULES, START + 5_000)
    assert (change.state.turn.holder, change.state.turn.attempt) == ("other", 2)


@pytest.mark.parametrize("state", [None, running(None), running(replace(MINE, turn_id="t2"))])
def test_a_turn_that_has_ended_cannot_be_claimed(state):
    with pytest.raises(Fenced):
        claim(state, "t1", "me", RULES, START)


def test_whoever_claims_a_turn_has_no_standby_yet():
    lapsed = replace(MINE, lease_until=START, has_standby=True)
    assert not claim(running(lapsed), "t1", "other", RULES, START).state.turn.has_standby


def test_a_claim_is_no_activity():
    state = running(WAITING)
    assert claim(state, "t1", "me", RULES, START + 9).state.expires_at == state.expires_at


def test_a_renewed_lease_runs_from_now():
    change = renew(running(MINE), MINE, RULES, START + 3_000)
    assert change.state.turn == replace(MINE, lease_until=START + 8_000)


def test_a_renewal_keeps_what_others_asked_of_the_holder():
    change = renew(running(replace(MINE, cancel=True)), MINE, RULES, START)
    assert change.state.turn.cancel


@pytest.mark.parametrize("taken", [replace(MINE, holder="other"), replace(MINE, attempt=2)])
def test_a_turn_that_was_taken_over_is_held_no_more(taken):
    for act in (lambda: renew(running(taken), MINE, RULES, START), lambda: hand_over(running(taken), MINE, START)):
        with pytest.raises(Fenced):
            act()


def test_holding_gives_the_turn_as_it_stands_now():
    state = running(replace(MINE, cancel=True))
    assert held(state, MINE) == (state, state.turn)


def test_a_turn_that_is_handed_over_can_be_claimed_at_once():
    assert hand_over(running(MINE), MINE, START, unspoken=True).state.turn.attempt == MINE.attempt - 1
    change = hand_over(running(MINE), MINE, START)
    assert (change.state.turn.holder, change.state.turn.lease_until) == ("", START + CLAIM_GRACE_MS)
    assert claim(change.state, "t1", "worker", RULES, START).state.turn.attempt == 2


def test_a_cancel_is_noted_for_the_holder():
    assert request_cancel(running(MINE)).state.turn == replace(MINE, cancel=True, has_standby=True)


@pytest.mark.parametrize(
    "state",
    [
        None,
        running(None),
        running(replace(MINE, cancel=True)),
        running(replace(MINE, closing=True)),
        running(replace(MINE, telling=True)),
    ],
)
def test_there_is_nothing_to_cancel_twice(state):
    assert request_cancel(state) is None


def test_a_listener_makes_the_holder_look_again():
    state = running(MINE)
    change = note_listener(state)
    assert (change.expected, change.state.turn) == (state, replace(MINE, has_standby=True))
    assert change.state.nonce != state.nonce


def test_a_listener_of_a_quiet_conversation_makes_a_turn_that_is_about_to_begin_look_again():
    state = running(None)
    change = note_listener(state)
    assert (change.expected, change.state.turn) == (state, None)
    assert (change.state.nonce != state.nonce, change.state.listeners) == (True, state.listeners + 1)


def test_nobody_can_listen_to_what_is_not_there():
    assert note_listener(None) is None


@pytest.mark.parametrize("state", [None, running(None), running(replace(MINE, telling=True))])
def test_there_is_nothing_to_follow_where_no_answer_is_to_come(state):
    assert follow(state, START) is None


TELLING = replace(MINE, telling=True)


def test_who_has_only_to_tell_has_a_shorter_lease():
    rules = Rules(lease_ms=20_000)
    assert renew(running(TELLING), TELLING, rules, START).state.turn.lease_until == START + 8_000
    dead = running(replace(TELLING, lease_until=START))
    assert claim(dead, "t1", "other", rules, START).state.turn.lease_until == START + 8_000
    assert renew(running(MINE), MINE, rules, START).state.turn.lease_until == START + 20_000


def test_who_has_the_slot_can_be_told_to_hurry_once():
    change = wait_for(running(TELLING))
    assert change.state.turn == replace(TELLING, has_standby=True)
    assert wait_for(change.state) is None
    assert wait_for(running(None)) is None
