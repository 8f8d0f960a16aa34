"""CopilotKit's routes on the deployed stack: runs that stream, reattach, wait and stop, replays, threads, GraphQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.clients import is_status, new_conversation
from tests.scripted_model import Call, Reply
from tests.stack import DeployedStack, wait_until

AGENT = "api/copilotedge/agent/default"
Event = dict[str, Any]


class Thread:
    """One thread of a client that speaks AG-UI."""

    def __init__(self, client: httpx.Client, thread_id: str) -> None:
        self.client = client
        self.id = thread_id

    def run(self, content: str, message_id: str = "u-1", *before: dict[str, Any], **fields: Any) -> list[Event]:
        message = {"id": message_id, "role": "user", "content": content}
        return list(self.stream("run", messages=[*before, message], **fields))

    def connect(self) -> list[Event]:
        return list(self.stream("connect", messages=[]))

    def stop(self) -> dict[str, Any]:
        return self.client.post(f"{AGENT}/stop/{self.id}").json()

    def stream(self, route: str, **fields: Any) -> Iterator[Event]:
        """Events as they arrive."""
        body = {"threadId": self.id, "runId": f"run-{self.id}"} | fields
        with self.client.stream("POST", f"{AGENT}/{route}", json=body) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])


@pytest.fixture
def thread(stack: DeployedStack) -> Iterator[Thread]:
    with stack.stream() as client:
        yield Thread(client, new_conversation("thread"))


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.get("delta", "") for event in events)


def shown(events: list[Event]) -> list[tuple[str, str]]:
    snapshot = next(event for event in events[::-1] if event["type"] == "MESSAGES_SNAPSHOT")
    return [(message["role"], message.get("content", "")) for message in snapshot["messages"]]


def held(*chunks: str) -> tuple[Reply, threading.Event]:
    """An answer that stays behind its first chunk until the event is set."""
    gate = threading.Event()
    return Reply(chunks=chunks, gate=gate, gate_after=1), gate


def test_words_arrive_while_the_model_is_still_talking(stack: DeployedStack, thread: Thread):
    reply, goes_on = held("Once ", "upon a time")
    stack.model.script(reply)
    events = []
    for event in thread.stream("run", messages=[{"id": "u-1", "role": "user", "content": "Tell me a story"}]):
        events.append(event)
        if event.get("delta") == "Once ":
            goes_on.set()
    assert text_of(events) == "Once upon a time"
    assert kinds(events)[0] == "RUN_STARTED" and kinds(events)[-1] == "RUN_FINISHED"


def test_what_was_streamed_is_replayed_under_the_same_ids(thread: Thread):
    streamed = thread.run("Hello there, thread")
    replayed = thread.connect()
    assert shown(replayed) == [("user", "Hello there, thread"), ("assistant", "You said: Hello there, thread")]
    assert [message["id"] for message in replayed[1]["messages"]] == ["u-1", streamed[1]["messageId"]]


def test_a_run_whose_client_hung_up_is_in_the_log_all_the_same(stack: DeployedStack, thread: Thread):
    reply, goes_on = held("Half ", "and whole")
    stack.model.script(reply)
    for event in thread.stream("run", messages=[{"id": "u-1", "role": "user", "content": "Hello"}]):
        if event.get("delta"):
            break
    goes_on.set()
    with stack.rest() as rest:
        wait_until(lambda: len(rest.log(thread.id)) == 2, "the answer")
        assert rest.log(thread.id)[1] == ("assistant", "Half and whole")


def test_the_same_run_sent_twice_at_once_asks_the_model_once(stack: DeployedStack, thread: Thread):
    stack.model.script(Reply("Only once.", delay_before=0.5))
    with ThreadPoolExecutor(2) as pool:
        texts = [text_of(events) for events in pool.map(lambda _: thread.run("Hello"), range(2))]
    assert texts == ["Only once.", "Only once."]
    assert len(stack.model.requests) == 1


def test_who_connects_meanwhile_hears_the_rest(stack: DeployedStack, thread: Thread):
    reply, goes_on = held("Once ", "upon ", "a time")
    stack.model.script(reply)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(thread.run, "Tell me a story")
        stack.model.wait_for_requests(1)
        events = []
        for event in thread.stream("connect", messages=[]):
            events.append(event)
            if event["type"] == "MESSAGES_SNAPSHOT":
                goes_on.set()
        assert text_of(events) == text_of(running.result()) == "Once upon a time"
    assert shown(events)[0] == ("user", "Tell me a story") and kinds(events)[-1] == "RUN_FINISHED"


def test_a_message_behind_another_turn_waits_and_streams_then(stack: DeployedStack, thread: Thread):
    reply, goes_on = held("First ", "of all")
    stack.model.script(reply)
    with ThreadPoolExecutor(2) as pool, stack.socket(thread.id) as socket:
        first = pool.submit(thread.run, "One")
        stack.model.wait_for_requests(1)
        second = pool.submit(thread.run, "Two", "u-2")
        with stack.rest() as rest:
            wait_until(lambda: rest.client.get(f"conversation/{thread.id}/state").json()["queued"] == 1, "the queue")
        goes_on.set()
        assert (text_of(first.result()), text_of(second.result())) == ("First of all", "You said: Two")
        socket.receive_until(is_status("complete"))


def test_a_stop_from_elsewhere_finishes_the_run_with_what_was_said(stack: DeployedStack, thread: Thread):
    stack.model.script(Reply(chunks=["Once upon "] + ["a time "] * 300, delay_between=0.1))
    events = []
    for event in thread.stream("run", messages=[{"id": "u-1", "role": "user", "content": "Tell me a story"}]):
        events.append(event)
        if event.get("delta") == "Once upon ":
            assert thread.stop()["stopped"]
    assert kinds(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert shown(thread.connect())[-1] == ("assistant", text_of(events))
    assert thread.stop()["stopped"] is False


def test_a_frontends_tool_is_called_and_its_result_used(stack: DeployedStack, thread: Thread):
    stack.model.script(Reply(calls=[Call("setColor", '{"color": "red"}')]))
    tool = {"name": "setColor", "description": "Paints.", "parameters": {"type": "object", "properties": {}}}
    called = thread.run("Paint the page", tools=[tool])
    assert text_of(called) == '{"color": "red"}'
    answer = {"id": called[1]["parentMessageId"], "role": "assistant"}
    result = {"id": "t-1", "role": "tool", "toolCallId": called[1]["toolCallId"], "content": "It is red."}
    list(thread.stream("run", messages=[answer, result], tools=[tool]))
    asked = stack.model.requests[-1].body
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][2]["tool_call_id"] == asked["messages"][1]["tool_calls"][0]["id"]
    assert asked["tools"][0]["function"]["name"] == "setColor"
    assert [role for role, _ in shown(thread.connect())] == ["user", "assistant", "tool", "assistant"]


def test_a_model_that_fails_ends_the_run_with_an_error(stack: DeployedStack, thread: Thread):
    stack.model.script(Reply(status=400, code=5007))
    assert kinds(thread.run("Hello")) == ["RUN_STARTED", "RUN_ERROR"]


def test_threads_are_the_conversations_of_their_owner(stack: DeployedStack, thread: Thread):
    thread.run("Where do magnets come from?")
    renamed = thread.client.patch(f"api/copilotedge/threads/{thread.id}", json={"name": "Magnets"})
    assert renamed.json()["name"] == "Magnets"
    listed = thread.client.get("api/copilotedge/threads?agentId=default&limit=100").json()["threads"]
    assert {entry["id"]: entry["name"] for entry in listed}[thread.id] == "Magnets"
    with stack.stream("mallory") as stranger:
        assert stranger.get("api/copilotedge/threads?agentId=default").json()["threads"] == []
    thread.client.delete(f"api/copilotedge/threads/{thread.id}")
    assert shown(thread.connect()) == []


@pytest.mark.parametrize("door", ["rest", "stream"])
def test_the_graphql_mutation_is_answered_at_both_doors(stack: DeployedStack, door: str):
    message = {"id": "m-1", "createdAt": "2026-01-01", "textMessage": {"role": "user", "content": "Hello, GraphQL"}}
    data = {"threadId": new_conversation(), "messages": [message], "frontend": {"actions": []}, "metadata": {}}
    body = {"operationName": "generateCopilotResponse", "query": "mutation { x }", "variables": {"data": data}}
    with stack.rest() as rest, stack.stream() as stream:
        client = {"rest": rest.client, "stream": stream}[door]
        response = client.post("api/copilotedge", json=body).json()["data"]["generateCopilotResponse"]
        assert rest.log(data["threadId"])[1] == ("assistant", "You said: Hello, GraphQL")
    assert response["messages"][0]["content"] == ["You said: Hello, GraphQL"]
