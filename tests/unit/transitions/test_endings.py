"""A turn ends, and the next one begins in the same change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import Closing, Fenced
from copilotedge.models import Change, Message, QueuedMessage, Snapshot, State, Turn, Usage
from copilotedge.transitions.endings import abandon, answer_id, close, complete, release
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START

RULES = Rules(inactivity_ms=60_000, lease_ms=5_000)
NOW = START + 1_000
MINE = Turn("t1", "m1", 1, "me", 2, START + 5_000)
QUESTION = Message(1, "user", "Hi", START, "m1", "t1")


def running(turn: Turn = MINE, **changes: int) -> State:
    return next_state(born(RULES, START), **{"seq": 1, "message_count": 1, "total_tokens": 4, "turn": turn} | changes)


def waiting(place: str) -> QueuedMessage:
    return QueuedMessage(place, f"m{place}", f"t{place}", f"text {place}", START, "e", "be brief", "model", 0.5, 9)


def completed(snapshot: Snapshot, *, heard: bool = True) -> Change:
    return complete(snapshot, MINE, "Hello", Usage(10, 5), "complete", "a-model", RULES, NOW, heard=heard)


def test_an_answer_follows_its_question_and_carries_the_usage():
    (answer,) = completed(Snapshot(running())).messages
    assert answer == Message(2, "assistant", "Hello", NOW, "t1-2", "t1", tokens=15, prompt_tokens=10, model="a-model")


@pytest.mark.parametrize(("cost", "total"), [(None, 30), (0, 30), (12, 42)])
def test_an_answer_has_its_cost_and_the_conversation_the_sum_of_those_that_are_known(cost, total):
    before = Snapshot(running(total_cost=30))
    change = complete(before, MINE, "Hello", Usage(10, 5), "complete", "a-model", RULES, NOW, cost=cost)
    assert (change.messages[0].cost, change.state.total_cost) == (cost, total)


def test_each_attempt_gives_an_answer_of_its_own_name():
    assert answer_id(MINE) != answer_id(replace(MINE, attempt=3))


def test_an_ended_turn_counts():
    state = completed(Snapshot(running())).state
    assert (state.seq, state.message_count, state.total_tokens) == (2, 2, 19)
    assert state.expires_at * 1000 == NOW + 60_000


def test_an_ended_turn_that_somebody_hears_keeps_the_slot_until_that_is_told():
    before = Snapshot(running())
    for end in (completed(before), abandon(before, MINE, QUESTION, "failed", RULES, NOW)):
        assert end.state.turn == replace(MINE, telling=True, lease_until=NOW + RULES.telling_ms)
        assert end.state.running is None


def test_a_standby_that_sleeps_for_the_turns_lease_is_none_for_who_waits_until_it_is_told():
    change = completed(Snapshot(running(replace(MINE, has_standby=True))))
    assert not change.state.turn.has_standby


def test_an_ended_turn_that_nobody_hears_frees_the_slot():
    before = Snapshot(running())
    for end in (completed(before, heard=False), abandon(before, MINE, QUESTION, "failed", RULES, NOW, heard=False)):
        assert end.state.turn is None


def test_a_turn_that_has_been_told_is_released():
    told = completed(Snapshot(running())).state
    change = release(Snapshot(told), told.turn, RULES, NOW + 1)
    assert (change.expected, change.messages) == (told, ())
    assert replace(change.state, version=0, nonce="") == replace(told, version=0, nonce="", turn=None)


def test_a_message_that_came_while_the_end_was_told_begins_its_turn_then():
    told = replace(completed(Snapshot(running())).state, queued=1)
    change = release(Snapshot(told, queue=(waiting("7"),)), told.turn, RULES, NOW + 1)
    assert (change.state.turn.turn_id, change.state.turn.holder, change.state.turn.telling) == ("t7", "me", False)
    assert [message.seq for message in change.messages] == [3]


def test_a_turn_ends_once():
    told = Snapshot(completed(Snapshot(running())).state)
    for end in (lambda: completed(told), lambda: abandon(told, MINE, QUESTION, "failed", RULES, NOW)):
        with pytest.raises(Fenced):
            end()


def test_a_regenerated_answer_takes_the_place_of_the_earlier_one():
    state = running(replace(MINE, replaces=2), seq=2, message_count=2)
    change = complete(Snapshot(state), MINE, "Better", Usage(), "complete", "m", RULES, NOW)
    assert (change.messages[0].seq, change.messages[0].replaces, change.removed_messages) == (3, 2, (2,))
    assert change.state.message_count == 2


def test_the_first_waiting_message_begins_its_turn_with_the_same_holder():
    queue = (waiting("2"), waiting("1"))
    change = completed(Snapshot(running(queued=2), queue=queue))
    assert change.dequeued == (waiting("1"),)
    assert change.state.queued == 1
    asked = {"model": "model", "temperature": 0.5, "max_tokens": 9}
    assert change.state.turn == Turn("t1", "m1", 3, "me", 1, NOW + 5_000, began_at=NOW, **asked)


def test_the_next_question_stands_right_behind_the_answer():
    change = completed(Snapshot(running(queued=1), queue=(waiting("7"),)))
    answer, question = change.messages
    assert (answer.seq, question.seq, change.state.seq) == (2, 3, 3)
    assert (question.content, question.message_id, question.instructions) == ("text 7", "m7", "be brief")
    assert change.state.message_count == 3


def test_a_turn_without_an_answer_marks_its_question():
    change = abandon(Snapshot(running()), MINE, QUESTION, "failed", RULES, NOW)
    assert change.messages == (replace(QUESTION, status="failed"),)
    assert (change.state.running, change.state.seq, change.state.message_count) == (None, 1, 1)


def test_an_abandoned_turn_makes_room_for_the_next_one_too():
    snapshot = Snapshot(running(queued=1), queue=(waiting("7"),))
    change = abandon(snapshot, MINE, QUESTION, "cancelled", RULES, NOW)
    assert [message.seq for message in change.messages] == [1, 2]
    assert change.state.turn.turn_id == "t7"


def test_an_abandoned_regeneration_leaves_the_log_as_it_was():
    state = running(replace(MINE, replaces=2), seq=2)
    change = abandon(Snapshot(state), MINE, QUESTION, "failed", RULES, NOW)
    assert (change.messages, change.removed_messages, change.state.seq) == ((), (), 2)


def test_closing_lets_go_without_a_word():
    state = running(replace(MINE, closing=True), seq=0)
    change = close(Snapshot(state), MINE, state.epoch, RULES, NOW)
    assert (change.messages, change.state.turn) == ((), None)


def test_closing_goes_on_with_what_was_said_after_the_clear():
    snapshot = Snapshot(running(replace(MINE, closing=True), seq=0, queued=1), queue=(waiting("7"),))
    change = close(snapshot, MINE, snapshot.state.epoch, RULES, NOW)
    assert (change.state.turn.turn_id, change.messages[0].seq) == ("t7", 1)


@pytest.mark.parametrize("turn", [None, replace(MINE, attempt=3), replace(MINE, turn_id="t2")])
def test_only_the_holder_can_end_its_turn(turn):
    snapshot = Snapshot(running(turn))
    for end in (
        lambda: completed(snapshot),
        lambda: abandon(snapshot, MINE, QUESTION, "failed", RULES, NOW),
        lambda: release(snapshot, MINE, RULES, NOW),
        lambda: close(snapshot, MINE, "", RULES, NOW),
    ):
        with pytest.raises(Fenced):
            end()


def test_a_clear_that_came_behind_the_announced_one_is_announced_first():
    state = running(replace(MINE, closing=True), seq=0)
    with pytest.raises(Closing):
        close(Snapshot(state), MINE, "an earlier epoch", RULES, NOW)


def test_what_was_asked_before_a_clear_has_no_place_after_it():
    snapshot = Snapshot(running(replace(MINE, closing=True), seq=0))
    for end in (
        lambda: completed(snapshot),
        lambda: abandon(snapshot, MINE, QUESTION, "failed", RULES, NOW),
        lambda: release(snapshot, MINE, RULES, NOW),
    ):
        with pytest.raises(Closing):
            end()
