"""One attempt at a turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import Fenced
from copilotedge.models import Change, ConversationSettings, Message, Snapshot, Turn
from copilotedge.runs import run_of
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START

STATE = born(Rules(), START)
TURN = Turn("t2", "m3", 3, "me", 1, START + 5_000)


def entry(seq: int, status: str = "complete") -> Message:
    return Message(seq, "user" if seq % 2 else "assistant", f"text {seq}", START, f"m{seq}", status=status)


LOG = (entry(1), entry(2))


def change(*messages: Message, turn: Turn | None = TURN, **more) -> Change:
    return Change(STATE, next_state(STATE, turn=turn), messages=messages, **more)


def test_a_run_knows_the_log_up_to_its_question():
    settings = ConversationSettings("m")
    begun = change(entry(3))
    run = run_of("c1", Snapshot(STATE, settings, messages=LOG), begun)
    assert (run.conversation_id, run.state, run.turn, run.settings) == ("c1", begun.state, TURN, settings)
    assert run.messages == (*LOG, entry(3))
    assert run.question == entry(3)


def test_a_run_that_takes_over_finds_its_question_in_the_log():
    run = run_of("c1", Snapshot(STATE, messages=(*LOG, entry(3))), change())
    assert run.question == entry(3)


def test_what_comes_behind_the_question_is_not_in_its_log():
    run = run_of("c1", Snapshot(STATE, messages=(*LOG, entry(3), entry(4))), change(turn=replace(TURN, replaces=4)))
    assert run.messages == (*LOG, entry(3))


def test_an_answer_that_was_just_replaced_is_not_in_the_log_of_the_next():
    run = run_of("c1", Snapshot(STATE, messages=LOG), change(entry(3), removed_messages=(2,)))
    assert [message.seq for message in run.messages] == [1, 3]


def test_a_message_that_was_just_marked_is_in_the_log_as_marked():
    run = run_of("c1", Snapshot(STATE, messages=LOG), change(entry(1, "failed"), entry(3)))
    assert run.messages[0].status == "failed"


def test_a_change_that_begins_no_turn_has_no_run():
    with pytest.raises(Fenced):
        run_of("c1", Snapshot(), change(turn=None))


@pytest.mark.parametrize(
    ("current", "mine"),
    [
        (TURN, True),
        (replace(TURN, cancel=True, lease_until=0), True),
        (None, False),
        (replace(TURN, turn_id="t3"), False),
        (replace(TURN, holder="other"), False),
        (replace(TURN, attempt=2), False),
    ],
)
def test_a_turn_is_mine_while_its_holder_and_attempt_are(current, mine):
    assert run_of("c1", Snapshot(STATE, messages=LOG), change(entry(3))).is_still_mine(current) is mine
