"""Processes that die: the conversation heals, and no answer comes twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients import Rest, Socket, is_delta, is_status, is_system, kinds, new_conversation, text_of
from tests.faults.stories import STORY, TEXT, held_after, wait_for_words
from tests.history import check
from tests.scripted_model import Reply
from tests.stack import DeployedStack, wait_until

TURN = ["chat:user", "status:thinking", "status:streaming", "delta", "chat:assistant", "status:complete"]


@pytest.fixture(scope="module")
def quick(stack: DeployedStack) -> Iterator[DeployedStack]:
    """Leases of 2 s, so that a dead holder is soon replaced."""
    with stack.settings("turn-worker", "http-api", "websocket-api", LEASE_SECONDS="3"):
        yield stack


@pytest.mark.parametrize("said", [0, 5, len(STORY)], ids=["before the first word", "mid-stream", "before its end"])
def test_a_worker_that_dies_is_replaced_and_its_turn_answered_once(quick: DeployedStack, said: int):
    quick.model.when_asked("Tell me", held_after(said), Reply(chunks=STORY))
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        wait_for_words(quick, socket, said)
        assert quick.kill("turn-worker") > 0
        after = socket.receive_turn(60)
        assert kinds(after)[-len(TURN) :] == TURN
        assert {frame["metadata"]["attempt"] for frame in after if frame["type"] == "status"} == {2}
        assert next(frame["metadata"]["offset"] for frame in after if is_delta(frame)) == 0
        assert text_of(after) == TEXT
        socket.drain()
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
        assert rest.log(conversation) == [("user", "Tell me a story"), ("assistant", TEXT)]
    assert [request.outcome for request in quick.model.requests] == ["client_closed", "complete"]


def test_messages_that_wait_behind_a_dead_worker_are_answered_in_order(quick: DeployedStack):
    quick.model.when_asked("Tell me", held_after(5), Reply(chunks=STORY))
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.say("Tell me a story", id="m-0")
        wait_for_words(quick, socket, 5)
        for number, content in enumerate(["one", "two"], start=1):
            socket.submit(content, f"m-{number}")
        assert quick.kill("turn-worker") > 0
        for _ in range(3):
            socket.receive_turn(60)
        sent = {"socket": ["m-0", "m-1", "m-2"]}
        assert check(rest.observed(conversation, {"socket": socket.frames}, sent)) == []
        told = [text for _, text in rest.log(conversation)]
    assert told == ["Tell me a story", TEXT, "one", "You said: one", "two", "You said: two"]
    assert len(quick.model.requests) == 4


def test_a_worker_that_dies_before_it_has_told_its_answer_is_replaced_by_one_that_tells_it(quick: DeployedStack):
    """The turn before has just ended in another process, so the worker keeps its frames back for a moment."""
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.ask("Wake up", 60)
        rest.chat("Hello", conversation)
        socket.say("Again", id="m-1")
        wait_until(lambda: len(rest.log(conversation)) == 6, "the answer", timeout=60)
        quick.kill("turn-worker")
        socket.receive_until(lambda frame: frame.get("content") == "You said: Again", seconds=60)
        socket.receive_until(is_status("complete"), seconds=60)
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
    assert len(quick.model.requests) == 3


def test_a_client_without_resume_still_gets_the_answer_after_a_crash(quick: DeployedStack):
    """One that knows only chat, status and error, as the first version of the protocol had them."""
    quick.model.when_asked("Tell me", held_after(5), Reply(chunks=STORY))
    with quick.socket(new_conversation("crash")) as socket:
        socket.say("Tell me a story")
        wait_for_words(quick, socket, 5)
        quick.kill("turn-worker")
        socket.receive_turn(60)
        answers = [frame["content"] for frame in socket.frames if frame["type"] == "chat"]
    assert answers[-1] == TEXT
    assert answers.count(TEXT) == 1


def test_a_cancel_after_a_crash_ends_the_turn(quick: DeployedStack):
    quick.model.when_asked("Tell me", held_after(5))
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        wait_for_words(quick, socket, 5)
        quick.kill("turn-worker")
        socket.command("cancel")
        socket.receive_until(is_status("cancelled"), seconds=60)
        assert socket.ask("And now?", 60).endswith("And now?")
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
    assert len(quick.model.requests) == 2


def test_a_clear_after_a_crash_leaves_nothing_and_the_next_message_is_answered(quick: DeployedStack):
    quick.model.when_asked("Tell me", held_after(5))
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        wait_for_words(quick, socket, 5)
        quick.kill("turn-worker")
        socket.command("clear_history")
        socket.receive_until(is_system("conversation_cleared"), seconds=60)
        assert rest.log(conversation) == []
        assert socket.ask("A new life", 60) == "You said: A new life"
        assert [text for _, text in rest.log(conversation)] == ["A new life", "You said: A new life"]
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]}, ["m-1"])) == []


def test_a_turn_whose_workers_all_die_ends_as_failed_and_the_next_message_works(quick: DeployedStack):
    quick.model.when_asked("Tell me", *[held_after(5)] * 2)
    conversation = new_conversation("crash")
    with (
        quick.settings("turn-worker", MAX_ATTEMPTS="2"),
        quick.socket(conversation) as socket,
        quick.rest() as rest,
    ):
        socket.say("Tell me a story", id="m-1")
        for _ in range(2):
            wait_for_words(quick, socket, 5)
            assert quick.kill("turn-worker") > 0
        assert kinds(socket.receive_turn(60))[-2:] == ["error:turn_failed", "status:failed"]
        assert socket.ask("Are you well?", 60).endswith("Are you well?")
        observed = rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})
    assert check(observed) == []
    assert [entry["status"] for entry in observed.log] == ["failed", "complete", "complete"]
    assert len(quick.model.requests) == 3


def test_an_event_that_failed_for_good_is_in_the_queue_and_the_next_message_revives_the_turn(quick: DeployedStack):
    quick.model.when_asked("Tell me", *[held_after(5)] * 3, Reply(chunks=STORY))
    conversation = new_conversation("crash")
    with quick.socket(conversation) as socket, quick.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        for _ in range(3):
            wait_for_words(quick, socket, 5)
            assert quick.kill("turn-worker") > 0
        wait_until(lambda: conversation in failed_events(quick), "the event in the queue", timeout=60, pause=0.5)
        assert socket.ask("Are you there?", 60) == TEXT
        socket.receive_turn(60)
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
        told = [text for _, text in rest.log(conversation)]
    assert told == ["Tell me a story", TEXT, "Are you there?", "You said: Are you there?"]


def test_a_turn_that_no_worker_was_woken_for_is_answered_once_somebody_looks(stack: DeployedStack):
    conversation = new_conversation("crash")
    with stack.socket(conversation) as socket, stack.rest() as rest:
        with stack.settings("websocket-api", TURN_WORKER_FUNCTION="no-such-function"):
            socket.say("Hello", id="m-1")
            assert socket.receive(60)["code"] == "worker_unavailable"
        wait_until(lambda: len(rest.log(conversation)) == 2, "the answer", timeout=60, pause=0.5)
        assert socket.receive_turn(60)[-2]["content"] == "You said: Hello"
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
    assert len(stack.model.requests) == 1


Heal = Callable[[Rest, Socket, str], list[str]]


def by_reading(rest: Rest, socket: Socket, conversation: str) -> list[str]:
    wait_until(lambda: len(rest.log(conversation)) == 2, "the answer", timeout=60, pause=0.2)
    return []


def by_repeating(rest: Rest, socket: Socket, conversation: str) -> list[str]:
    answer = rest.chat("Tell me a story", conversation, key="m-1")
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    return []


def by_writing(rest: Rest, socket: Socket, conversation: str) -> list[str]:
    answer = rest.chat("Hello?", conversation, key="m-2")
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hello?"
    return ["m-2"]


def by_writing_over_websocket(rest: Rest, socket: Socket, conversation: str) -> list[str]:
    socket.say("Hello?", id="m-2")
    return ["m-2"]


def by_coming_back(rest: Rest, socket: Socket, conversation: str) -> list[str]:
    socket.command("resume", afterSeq=1, offset=0)
    return []


@pytest.mark.parametrize("heal", [by_reading, by_repeating, by_writing, by_writing_over_websocket, by_coming_back])
def test_a_turn_whose_rest_function_died_is_healed_by_whoever_comes_next(quick: DeployedStack, heal: Heal):
    """Also by one who comes while the dead holder's lease still runs, and comes only once."""
    quick.model.when_asked("Tell me", held_after(5), Reply(chunks=STORY))
    conversation = new_conversation("crash")
    with quick.rest() as rest, quick.socket(conversation) as socket:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(rest.chat, "Tell me a story", conversation, key="m-1")
            wait_for_words(quick, socket, 5)
            assert quick.kill("http-api") > 0
            assert answer.result().status_code >= 500
        written = heal(rest, socket, conversation)
        for _ in range(1 + len(written)):
            socket.receive_until(is_status("complete"), seconds=40)
        assert check(rest.observed(conversation, {"socket": socket.frames}, {"rest": ["m-1", *written]})) == []
        assert rest.log(conversation)[:2] == [("user", "Tell me a story"), ("assistant", TEXT)]
    outcomes = [request.outcome for request in quick.model.requests]
    assert outcomes == ["client_closed", "complete", *(["complete"] * len(written))]


def test_a_function_of_the_sockets_that_dies_loses_no_message_that_is_sent_again(stack: DeployedStack):
    conversation = new_conversation("crash")
    with stack.socket(conversation) as socket, stack.rest() as rest:
        socket.say("Hello", id="m-1")
        stack.kill("websocket-api")
        socket.say("Hello", id="m-1")
        socket.receive_until(lambda frame: frame.get("status") == "complete", seconds=60)
        frames = [frame for frame in socket.frames if "type" in frame]  # the gateway tells of the crash in its own way
        assert check(rest.observed(conversation, {"socket": frames}, {"socket": ["m-1"]})) == []
        assert rest.log(conversation) == [("user", "Hello"), ("assistant", "You said: Hello")]
    assert len(stack.model.requests) == 1


def failed_events(stack: DeployedStack) -> str:
    """What is in the queue of events that failed for good."""
    sqs = stack.client("sqs")
    [url] = [url for url in sqs.list_queues().get("QueueUrls", []) if "FailedEvents" in url]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    return json.dumps([message["Body"] for message in messages])
