"""Many clients at once on the deployed stack: one conversation, one order, one answer to each message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.clients import Frame, Socket, is_delta, is_end, is_status, is_system, new_conversation
from tests.history import assemble, check
from tests.integration.test_websocket import rows
from tests.scripted_model import Reply
from tests.stack import DeployedStack, wait_until

CLIENTS, MESSAGES = 16, 10
STORY = [f"word{n} " for n in range(100)]

pytestmark = pytest.mark.alone


def test_sixteen_clients_that_speak_at_once_make_one_conversation(stack: DeployedStack):
    conversation = new_conversation("crowd")
    with stack.settings("websocket-api", MAX_QUEUED_MESSAGES="200"), opened(stack, conversation, CLIENTS) as sockets:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(say_all, sockets, range(CLIENTS)))
        sent = {f"client {n}": ids_of(n) for n in range(CLIENTS)}
        with stack.rest() as rest:
            observed = rest.observed(conversation, frames_of(sockets), sent)
    assert check(observed) == []
    assert [entry["role"] for entry in observed.log] == ["user", "assistant"] * CLIENTS * MESSAGES
    questions, answers = observed.log[::2], observed.log[1::2]
    assert [answer["content"] for answer in answers] == [f"You said: {asked['content']}" for asked in questions]
    order = [(entry["seq"], entry["content"]) for entry in observed.log]
    assert all(shown(socket) == order for socket in sockets)
    assert len(stack.model.requests) == CLIENTS * MESSAGES
    assert [contents(request.body) for request in stack.model.requests] == windows([text for _, text in order])


def test_a_message_sent_ten_times_at_once_over_rest_and_websocket_is_answered_once(stack: DeployedStack):
    stack.model.script(Reply("Only once.", delay_before=1.0))
    conversation = new_conversation("repeat")
    with stack.rest() as rest, opened(stack, conversation, 5) as sockets, ThreadPoolExecutor(10) as pool:
        over_rest = [pool.submit(rest.chat, "Hello", conversation, key="m-1") for _ in range(5)]
        over_websocket = [pool.submit(answer_to, socket, "Hello", "m-1") for socket in sockets]
        answers = [answer.result().json()["choices"][0]["message"]["content"] for answer in over_rest]
        answers += [answer.result() for answer in over_websocket]
        assert answers == ["Only once."] * 10
        assert check(rest.observed(conversation, frames_of(sockets), {"all": ["m-1"]})) == []
        assert rest.log(conversation) == [("user", "Hello"), ("assistant", "Only once.")]
    assert len(stack.model.requests) == 1


def test_a_message_repeated_after_its_turn_gets_the_same_answer_wherever_it_is_repeated(stack: DeployedStack):
    conversation = new_conversation("repeat")
    with stack.rest() as rest, stack.socket(conversation) as socket:
        first = rest.chat("Hello", conversation, key="m-1").json()
        assert rest.chat("Hello", conversation, key="m-1").json()["choices"] == first["choices"]
        assert answer_to(socket, "Hello", "m-1") == "You said: Hello"
        assert rest.chat("Something else", conversation, key="m-1").status_code == 409
        assert len(rest.log(conversation)) == 2
    assert len(stack.model.requests) == 1


def test_a_full_queue_refuses_the_message_and_answers_the_others(stack: DeployedStack):
    gate = threading.Event()
    stack.model.script(Reply("You said: 1", gate=gate))
    conversation = new_conversation("full")
    with (
        stack.settings("websocket-api", "http-api", MAX_QUEUED_MESSAGES="2"),
        stack.socket(conversation) as socket,
        stack.rest() as rest,
    ):
        for number in "123":
            socket.submit(number, f"m-{number}")
        socket.say("4", id="m-4")
        refusal = socket.receive_until(is_error, seconds=60)[-1]
        assert (refusal["code"], refusal["metadata"]["messageId"]) == ("queue_full", "m-4")
        assert refusal["retryAfter"] > 0
        refused = rest.chat("5", conversation, key="m-5")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
        gate.set()
        for _ in range(3):
            socket.receive_turn(60)
        sent = {"socket": ["m-1", "m-2", "m-3", "m-4"], "rest": ["m-5"]}
        assert check(rest.observed(conversation, {"socket": socket.frames}, sent, ["m-4", "m-5"])) == []
        assert [text for _, text in rest.log(conversation)] == [text for n in "123" for text in (n, f"You said: {n}")]


def test_a_refused_message_may_be_sent_again_with_its_id(stack: DeployedStack):
    gate = threading.Event()
    stack.model.script(Reply("Yes.", gate=gate))
    conversation = new_conversation("full")
    with (
        stack.settings("websocket-api", MAX_QUEUED_MESSAGES="0"),
        stack.socket(conversation) as socket,
    ):
        socket.submit("1", "m-1")
        socket.say("2", id="m-2")
        assert socket.receive_until(is_error, seconds=60)[-1]["code"] == "queue_full"
        gate.set()
        socket.receive_turn(60)
        assert answer_to(socket, "2", "m-2") == "You said: 2"


def cancel_over_websocket(stack: DeployedStack, conversation: str, second: Socket) -> None:
    second.command("cancel")


def cancel_over_rest(stack: DeployedStack, conversation: str, second: Socket) -> None:
    with stack.rest() as rest:
        answer = rest.client.post(f"conversation/{conversation}/cancel")
        assert answer.json() == {"success": True, "cancelled": True}


Act = Callable[[DeployedStack, str, Socket], None]


@pytest.mark.parametrize("cancel", [cancel_over_websocket, cancel_over_rest])
def test_a_cancel_by_someone_else_stops_the_model_within_two_seconds(stack: DeployedStack, cancel: Act):
    stack.model.when_asked("Tell me", Reply(chunks=STORY, delay_between=0.2))
    conversation = new_conversation("cancel")
    with opened(stack, conversation, 2) as (one, two), stack.rest() as rest:
        one.say("Tell me a story", id="m-1")
        one.receive_until(is_delta, seconds=60)
        cancel(stack, conversation, two)
        [request] = stack.model.wait_for_outcomes(1, timeout=2)
        assert request.outcome == "client_closed"
        for socket in (one, two):
            socket.receive_until(is_status("cancelled"), seconds=30)
        assert one.ask("And now?", 60) == "You said: And now?"
        two.receive_turn(60)
        observed = rest.observed(conversation, frames_of([one, two]), {"one": ["m-1"]})
    assert check(observed) == []
    assert [entry["status"] for entry in observed.log] == ["complete", "cancelled", "complete", "complete"]
    partial = observed.log[1]["content"]
    assert partial
    assert partial != "".join(STORY)
    for socket in (one, two):
        assert assemble(socket.frames)[observed.log[1]["turnId"]] == partial


def test_a_cancel_reaches_an_answer_that_a_rest_caller_waits_for(stack: DeployedStack):
    stack.model.when_asked("Tell me", Reply(chunks=STORY, delay_between=0.2))
    conversation = new_conversation("cancel")
    with opened(stack, conversation, 1) as (socket,), stack.rest() as rest, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(rest.chat, "Tell me a story", conversation)
        socket.receive_until(is_delta, seconds=60)
        cancel_over_rest(stack, conversation, socket)
        [request] = stack.model.wait_for_outcomes(1, timeout=2)
        assert request.outcome == "client_closed"
        partial = answer.result().json()["choices"][0]["message"]["content"]
        last = rest.whole_log(conversation)[-1]
    assert (last["content"], last["status"]) == (partial, "cancelled")


def test_a_waiting_message_is_taken_off_the_queue(stack: DeployedStack):
    gate = threading.Event()
    stack.model.script(Reply("You said: 1", gate=gate))
    conversation = new_conversation("cancel")
    with stack.socket(conversation) as socket, stack.rest() as rest:
        for number in "123":
            socket.submit(number, f"m-{number}")
        socket.command("cancel", messageId="m-2")
        wait_until(lambda: rest.client.get(f"conversation/{conversation}/state").json()["queued"] == 1, "the cancel")
        gate.set()
        socket.receive_until(lambda frame: is_end(frame) and frame["metadata"]["messageId"] == "m-3", seconds=60)
        sent = {"socket": ["m-1", "m-2", "m-3"]}
        assert check(rest.observed(conversation, {"socket": socket.frames}, sent, ["m-2"])) == []
        assert [text for _, text in rest.log(conversation)] == ["1", "You said: 1", "3", "You said: 3"]


def clear_over_websocket(stack: DeployedStack, conversation: str, second: Socket) -> None:
    second.command("clear_history")
    second.receive_until(is_system("history_cleared"), seconds=30)


def clear_over_rest(stack: DeployedStack, conversation: str, second: Socket) -> None:
    with stack.rest() as rest:
        assert rest.client.post(f"conversation/{conversation}/clear").json() == {"success": True}


def delete_over_rest(stack: DeployedStack, conversation: str, second: Socket) -> None:
    with stack.rest() as rest:
        assert rest.client.delete(f"conversation/{conversation}").json() == {"success": True}


@pytest.mark.parametrize("clear", [clear_over_websocket, clear_over_rest, delete_over_rest])
def test_nothing_of_an_answer_survives_a_clear_while_it_is_written(stack: DeployedStack, clear: Act):
    stack.model.when_asked("Tell me", Reply(chunks=STORY[:40], delay_between=0.2))
    conversation = new_conversation("clear")
    with opened(stack, conversation, 2) as (one, two), stack.rest() as rest:
        one.say("Tell me a story", id="m-1")
        one.receive_until(is_delta, seconds=60)
        clear(stack, conversation, two)
        assert rest.log(conversation) == []
        [request] = stack.model.wait_for_outcomes(1, timeout=2)
        assert request.outcome == "client_closed"
        wait_until(lambda: time.time() > request.started_at + 40 * 0.2, "the model's last word, had it gone on")
        wait_until(lambda: rest.history(conversation)["turn"] is None, "the turn's end", timeout=30)
        for socket in (one, two):
            socket.drain()
            assert [frame for frame in socket.frames if is_system("conversation_cleared")(frame)]
        assert rest.log(conversation) == []
        assert check(rest.observed(conversation, frames_of([one, two]), {"one": ["m-1"]}, ["m-1"])) == []
        assert one.ask("A new life", 60) == "You said: A new life"
        assert [text for _, text in rest.log(conversation)] == ["A new life", "You said: A new life"]


def test_messages_that_wait_are_forgotten_by_a_clear_and_those_after_it_are_answered(stack: DeployedStack):
    stack.model.when_asked("Tell me", Reply(chunks=STORY, delay_between=0.2))
    conversation = new_conversation("clear")
    with opened(stack, conversation, 2) as (one, two), stack.rest() as rest:
        one.submit("Tell me a story", "m-1")
        one.say("Forget this", id="m-2")
        one.receive_until(is_delta, seconds=60)
        wait_until(lambda: any(map(is_queue_item, rows(stack, conversation))), "the second message to wait")
        clear_over_websocket(stack, conversation, two)
        assert two.ask("Are you there?", 60) == "You said: Are you there?"
        one.receive_until(is_status("complete"), seconds=60)
        sent = {"one": ["m-1", "m-2"]}
        assert check(rest.observed(conversation, frames_of([one, two]), sent, ["m-1", "m-2"])) == []
        assert [text for _, text in rest.log(conversation)] == ["Are you there?", "You said: Are you there?"]
    assert all("Forget this" not in contents(request.body) for request in stack.model.requests)


def test_two_clears_and_a_message_at_once_leave_the_message_or_nothing(stack: DeployedStack):
    conversation = new_conversation("clear")
    with opened(stack, conversation, 3) as sockets, ThreadPoolExecutor(3) as pool, stack.rest() as rest:
        sockets[0].ask("Before", 60)
        commands = [pool.submit(socket.command, "clear_history") for socket in sockets[:2]]
        commands.append(pool.submit(sockets[2].say, "After", id="m-1"))
        for command in commands:
            command.result()
        for socket in sockets[:2]:
            socket.receive_until(is_system("history_cleared"), seconds=60)
        sockets[2].drain()
        wait_until(lambda: rest.is_at_rest(conversation), "the answer, or nothing to answer", timeout=60)
        assert rest.log(conversation) in ([], [("user", "After"), ("assistant", "You said: After")])
        for socket in sockets:
            socket.drain()
        assert check(rest.observed(conversation, frames_of(sockets), {"third": ["m-1"]}, ["m-1"])) == []


@contextmanager
def opened(stack: DeployedStack, conversation: str, count: int) -> Iterator[list[Socket]]:
    """So many sockets of one conversation."""
    with ExitStack() as stack_of_sockets:
        yield [stack_of_sockets.enter_context(stack.socket(conversation)) for _ in range(count)]


def say_all(socket: Socket, client: int) -> None:
    """A client's messages in one go; then it listens until everybody's have been answered."""
    for number, message_id in enumerate(ids_of(client)):
        socket.say(f"client {client} says {number}", id=message_id)
    socket.receive_until(lambda _: len(shown(socket)) == 2 * CLIENTS * MESSAGES, seconds=300)


def ids_of(client: int) -> list[str]:
    return [f"c{client}-{number}" for number in range(MESSAGES)]


def shown(socket: Socket) -> list[tuple[int, str]]:
    """The messages in the order in which the client saw them first."""
    chats = [frame for frame in socket.frames if frame["type"] == "chat"]
    return list(dict.fromkeys((frame["metadata"]["seq"], frame["content"]) for frame in chats))


def answer_to(socket: Socket, content: str, message_id: str) -> str:
    """What the client is told in answer, with the status that says it is all."""
    socket.say(content, id=message_id)
    frames = socket.receive_until(is_status("complete"), seconds=60)
    [answer] = {frame["content"] for frame in frames if frame["type"] == "chat" and frame["role"] == "assistant"}
    return answer


def contents(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"]]


def windows(texts: list[str]) -> list[list[str]]:
    """What the model is to be shown before each answer: of the newest 40 messages those from the first question on."""
    return [texts[:end][-39:] for end in range(1, len(texts), 2)]


def frames_of(sockets: list[Socket]) -> dict[str, list[Frame]]:
    return {f"socket {number}": socket.frames for number, socket in enumerate(sockets)}


def is_error(frame: Frame) -> bool:
    return bool(frame["type"] == "error")


def is_queue_item(sort_key: str) -> bool:
    return sort_key.startswith("QUEUE#")
