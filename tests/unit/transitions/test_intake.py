"""A message comes in: its turn begins, or it waits, or it was taken before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import Conflict, QueueFull, StillTelling
from copilotedge.models import Connection, Message, PromptMessage, QueuedMessage, Receipt, Snapshot, State, Turn
from copilotedge.transitions.intake import (
    Began,
    Queued,
    Repeated,
    Submission,
    append,
    fingerprint,
    match_receipt,
    regenerate,
    submit,
    withdraw,
)
from copilotedge.transitions.steps import CLAIM_GRACE_MS, Rules, born, next_state
from tests.fakes import START

RULES = Rules(inactivity_ms=60_000, lease_ms=5_000, max_queued=3)
NOW = START + 1_000
HELD = Turn("t1", "m1", 1, "me", 1, START + 5_000)
QUESTION = Message(1, "user", "Hi", START, "m1", "t1")
ANSWER = Message(2, "assistant", "Hello", START, "t1-1", "t1")
NEW = Submission("m9", "How are you?", START + 500)


def state(**changes) -> State:
    return next_state(born(RULES, START), **{"seq": 2, "message_count": 2} | changes)


def busy(*queue: QueuedMessage) -> Snapshot:
    return Snapshot(state(seq=1, turn=HELD, queued=len(queue)), queue=queue, messages=(QUESTION,))


def waiting(arrival: int, name: str = "q") -> QueuedMessage:
    return QueuedMessage(f"{arrival:013d}-0000000001", name, f"t-{name}", "text", arrival, "e")


def quiet() -> Snapshot:
    return Snapshot(state(), messages=(QUESTION, ANSWER), connections=())


def telling(*queue: QueuedMessage) -> Snapshot:
    told = replace(HELD, telling=True)
    return Snapshot(state(turn=told, queued=len(queue)), queue=queue, messages=(QUESTION, ANSWER))


def sent(snapshot: Snapshot, submission: Submission = NEW) -> Began | Queued | Repeated:
    return submit(snapshot, submission, RULES, NOW)


def test_the_first_message_begins_the_conversation_and_its_turn():
    began = sent(Snapshot())
    assert began.change.expected is None
    assert [(m.seq, m.role, m.content, m.message_id) for m in began.change.messages] == [
        (1, "user", "How are you?", "m9")
    ]
    assert began.change.state.turn == began.turn


def test_a_message_begins_its_turn_at_once_in_a_quiet_conversation():
    change = sent(quiet()).change
    assert (change.messages[0].seq, change.state.seq, change.state.message_count) == (3, 3, 3)
    assert change.state.turn.question_seq == 3
    assert change.state.expires_at * 1000 == NOW + 60_000


def test_a_turn_waits_for_a_worker_unless_the_caller_holds_it():
    assert sent(quiet()).turn.lease_until == NOW + CLAIM_GRACE_MS
    held = sent(quiet(), replace(NEW, holder="caller")).turn
    assert (held.holder, held.attempt, held.lease_until) == ("caller", 1, NOW + 5_000)


def test_a_turn_keeps_what_its_message_asks_of_the_model():
    asked = replace(NEW, model="m", temperature=0.0, max_tokens=7, instructions="be brief")
    began = sent(quiet(), asked)
    assert (began.turn.model, began.turn.temperature, began.turn.max_tokens) == ("m", 0.0, 7)
    assert began.change.messages[0].instructions == "be brief"


def test_history_that_came_along_is_stored_before_the_message():
    context = (PromptMessage("user", "a"), PromptMessage("assistant", "b"))
    change = sent(Snapshot(), replace(NEW, context=context)).change
    assert [(m.seq, m.role, m.content) for m in change.messages] == [
        (1, "user", "a"),
        (2, "assistant", "b"),
        (3, "user", "How are you?"),
    ]
    assert (change.state.seq, change.state.message_count, change.state.turn.question_seq) == (3, 3, 3)


def test_only_an_id_of_the_clients_leaves_a_receipt():
    assert sent(quiet()).change.receipt is None
    change = sent(quiet(), replace(NEW, client_id=True)).change
    assert change.receipt == Receipt("m9", change.state.turn.turn_id, NEW.fingerprint, change.state.epoch)


def test_a_message_during_a_turn_waits():
    queued = sent(busy(), replace(NEW, client_id=True))
    (entry,) = queued.change.queued
    assert (queued.position, queued.turn_id, queued.change.state.queued) == (1, entry.turn_id, 1)
    assert (entry.message_id, entry.content, entry.epoch) == ("m9", "How are you?", queued.change.state.epoch)
    assert queued.change.receipt.turn_id == entry.turn_id
    assert queued.change.messages == ()


def test_a_message_waits_even_when_the_turns_lease_ran_out():
    assert isinstance(submit(busy(), NEW, RULES, START + 99_000), Queued)


def test_the_queue_is_ordered_by_arrival_and_tells_the_place():
    early, late = waiting(START + 100, "early"), waiting(START + 900, "late")
    queued = sent(busy(early, late))
    assert queued.position == 2
    assert early.place < queued.change.queued[0].place < late.place


def test_messages_of_one_moment_wait_in_the_order_of_their_commits():
    first = sent(busy())
    second = sent(
        Snapshot(first.change.state, queue=first.change.queued, messages=(QUESTION,)), replace(NEW, message_id="m")
    )
    assert second.position == 2


def test_a_full_queue_refuses_with_a_time_to_come_back():
    with pytest.raises(QueueFull) as caught:
        sent(busy(*(waiting(START, str(n)) for n in range(3))))
    assert caught.value.retry_after


def test_history_cannot_be_brought_along_during_a_turn():
    with pytest.raises(Conflict) as caught:
        sent(busy(), replace(NEW, context=(PromptMessage("user", "a"),)))
    assert caught.value.code == "turn_running"


def test_a_message_that_is_in_the_log_is_not_taken_twice():
    assert sent(quiet(), Submission("m1", "Hi", NOW)) == Repeated("t1")


def test_a_message_that_waits_is_not_taken_twice():
    assert sent(busy(waiting(START, "m9")), replace(NEW, content="text")) == Repeated("t-m9")


def test_an_id_used_with_other_content_is_a_conflict():
    with pytest.raises(Conflict) as caught:
        sent(quiet(), Submission("m1", "Something else", NOW))
    assert caught.value.code == "message_id_reused"


def test_an_answers_id_is_no_message_of_the_clients():
    assert isinstance(sent(quiet(), replace(NEW, message_id="t1-1")), Began)


def test_a_receipt_leads_to_the_turn():
    assert match_receipt(Receipt("m9", "t5", NEW.fingerprint, "e"), NEW) == Repeated("t5")
    with pytest.raises(Conflict):
        match_receipt(Receipt("m9", "t5", fingerprint("other"), "e"), NEW)


def test_regenerating_asks_the_last_question_again_in_place_of_its_answer():
    began = regenerate(quiet(), "t2", "me", "alice", RULES, NOW)
    assert (began.turn.turn_id, began.turn.message_id, began.turn.question_seq) == ("t2", "m1", 1)
    assert (began.turn.replaces, began.turn.holder) == (2, "me")
    assert began.change.messages == ()


def test_regenerating_a_failed_question_makes_it_whole_again():
    failed = replace(QUESTION, status="failed")
    began = regenerate(Snapshot(state(seq=1), messages=(failed,)), "t2", "", "alice", RULES, NOW)
    assert began.turn.replaces == 0
    assert began.change.messages == (replace(QUESTION, turn_id="t2"),)


@pytest.mark.parametrize(
    "snapshot",
    [
        Snapshot(),
        Snapshot(state(seq=0)),
        Snapshot(state(), messages=(replace(ANSWER, seq=1),)),
        Snapshot(state(), messages=(ANSWER, replace(ANSWER, seq=3))),
        Snapshot(state(), messages=(QUESTION, Message(2, "system", "x", START, "s"))),
    ],
)
def test_without_a_question_there_is_nothing_to_regenerate(snapshot):
    with pytest.raises(Conflict) as caught:
        regenerate(snapshot, "t2", "", "alice", RULES, NOW)
    assert caught.value.code == "nothing_to_regenerate"


def test_nothing_is_regenerated_or_appended_during_a_turn():
    for act in (
        lambda: regenerate(busy(), "t2", "", "alice", RULES, NOW),
        lambda: append(busy(), "user", "x", 0, "me", RULES, NOW),
    ):
        with pytest.raises(Conflict) as caught:
            act()
        assert (caught.value.code, caught.value.retry_after) == ("turn_running", 1)


def brought(snapshot: Snapshot) -> Began | Queued | Repeated:
    return submit(snapshot, replace(NEW, context=(PromptMessage("user", "Before"),)), RULES, NOW)


def test_while_an_end_is_told_a_message_is_next():
    queued = sent(telling())
    assert (queued.position, queued.change.state.queued, queued.change.state.running) == (0, 1, None)
    assert queued.change.state.turn.has_standby
    assert sent(telling(waiting(START))).position == 1


def test_while_an_end_is_told_there_is_a_place_in_the_shortest_queue():
    rules = replace(RULES, max_queued=0)
    assert submit(telling(), NEW, rules, NOW).position == 0
    with pytest.raises(QueueFull):
        submit(busy(), NEW, rules, NOW)


NOT_QUEUED = [
    lambda snapshot: regenerate(snapshot, "t2", "", "alice", RULES, NOW),
    lambda snapshot: append(snapshot, "user", "x", 0, "me", RULES, NOW),
    brought,
]


@pytest.mark.parametrize("act", NOT_QUEUED)
def test_while_an_end_is_told_what_cannot_wait_in_the_queue_is_a_moment_too_early(act):
    with pytest.raises(StillTelling):
        act(telling())


def test_an_appended_message_that_somebody_may_hear_gives_the_slot_to_who_tells_of_it():
    change = append(replace(quiet(), connections=(Connection("a"),)), "user", "x", 0, "me", RULES, NOW)
    turn = change.state.turn
    assert (turn.holder, turn.telling, turn.question_seq, turn.message_id) == ("me", True, 3, "")
    assert turn.lease_until == NOW + RULES.telling_ms


def test_an_appended_message_is_the_last_of_the_log():
    change = append(quiet(), "assistant", "By the way", 7, "me", RULES, NOW)
    (message,) = change.messages
    assert (message.seq, message.role, message.content, message.tokens) == (3, "assistant", "By the way", 7)
    assert (change.state.seq, change.state.message_count, change.state.total_tokens) == (3, 3, 7)
    assert change.state.turn is None


def test_an_appended_message_can_begin_a_conversation():
    change = append(Snapshot(), "user", "Hi", 0, "me", RULES, NOW)
    assert (change.expected, change.messages[0].seq, change.state.created_at) == (None, 1, NOW)


def test_a_waiting_message_can_be_withdrawn():
    entry = waiting(START, "m9")
    change = withdraw(busy(entry), "m9")
    assert (change.dequeued, change.state.queued, change.state.turn) == ((entry,), 0, HELD)


@pytest.mark.parametrize("snapshot", [Snapshot(), busy(), quiet()])
def test_what_does_not_wait_cannot_be_withdrawn(snapshot):
    assert withdraw(snapshot, "m9") is None


def test_fingerprints_tell_contents_apart_without_keeping_them():
    assert fingerprint("é🎉") == fingerprint("é🎉") != fingerprint("é")
    assert len(fingerprint("x" * 90_000)) == 32
