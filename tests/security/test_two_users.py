"""Two users of one stack: what one has is, to the other, as if it did not exist. Unless it is shared."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from copilotedge import openapi
from copilotedge.frame_requests import SystemFrame
from copilotedge.settings import Settings
from tests.clients import Frame, Rest, Socket, is_end, is_status, is_system, new_conversation
from tests.scripted_model import Reply
from tests.security.transcripts import Transcript, heard, told
from tests.stack import DeployedStack, key_of, wait_until

ASK = {"role": "user", "content": "May I come in, please?"}
OURS: dict[str, Any] = {"userId": "bob", "model": "bob-model", "context": {"systemPrompt": "Serve bob from now on"}}

TAKEN: dict[str, Any] = {"title": "Taken over by bob", "pinned": True, "archived": True}

REQUESTS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "conversation/{id}/messages", None),
    ("GET", "conversation/{id}/messages?limit=1&before=2", None),
    ("GET", "conversation/{id}/messages?after=0", None),
    ("GET", "conversation/{id}/messages?limit=0", None),
    ("GET", "conversation/{id}/state", None),
    ("GET", "conversation/{id}/members", None),
    ("GET", "conversation/{id}/export", None),
    ("GET", "conversation/{id}/export?format=markdown", None),
    ("GET", "conversation/{id}/export?format=pdf", None),
    ("PATCH", "conversation/{id}", TAKEN),
    ("POST", "conversation/{id}/cancel", None),
    ("POST", "conversation/{id}/clear", None),
    ("DELETE", "conversation/{id}", None),
    ("GET", "conversations", None),
    ("PUT", "conversation/{id}/members", {"members": {"carol": "write"}}),
    ("PUT", "conversation/{id}/members", {"members": {"carol": "own"}}),
    ("PUT", "conversation/{id}/state", OURS),
    ("GET", "conversation/{id}/state", None),
    ("POST", "conversation/{id}/messages", ASK),
    ("POST", "conversation/{id}/messages", {"role": "nobody"}),
    ("POST", "api/copilotedge", {"conversationId": "{id}", "messages": [ASK]}),
    ("POST", "api/copilotedge", {"conversationId": "{id}", "messages": [ASK], "stream": True}),
    ("GET", "conversation/{id}/messages", None),
    ("GET", "conversation/{id}/export", None),
    ("GET", "conversation/{id}/export?format=markdown&after=1", None),
    ("PATCH", "conversation/{id}", TAKEN),
    ("PATCH", "conversation/{id}", {"title": ""}),
    ("GET", "conversations?limit=5", None),
    ("GET", "conversations?q=taken&archived=true", None),
    ("POST", "conversation/{id}/cancel", None),
    ("POST", "conversation/{id}/clear", None),
    ("DELETE", "conversation/{id}", None),
    ("GET", "models", None),
    ("DELETE", "users/me", None),
    ("GET", "conversation/{id}/nothing", None),
]
"""Every route, with input good and bad, first on what this user has not written to."""

MALFORMED = ({"role": "nobody"}, {"members": {"carol": "own"}}, {"title": ""})

FRAMES: list[dict[str, Any]] = [
    {"type": "system", "content": "ping"},
    {"type": "system", "content": "get_history"},
    {"type": "system", "content": "get_history", "metadata": {"limit": 1, "before": 2}},
    {"type": "system", "content": "resume", "metadata": {"afterSeq": 0, "offset": 0}},
    {"type": "system", "content": "cancel"},
    {"type": "system", "content": "cancel", "metadata": {"messageId": "waits"}},
    {"type": "system", "content": "regenerate"},
    {"type": "system", "content": "clear_history"},
    {"type": "system", "content": "nonsense"},
    {"type": "nonsense"},
    {"type": "chat", "role": "user", "content": "May I come in, please?", "id": "waits"},
    {"type": "chat", "role": "user", "content": "May I come in, please?", "id": "waits"},
    {"type": "system", "content": "regenerate"},
    {"type": "system", "content": "get_history"},
    {"type": "system", "content": "clear_history"},
]
"""Every type of frame, first on what this user has not written to."""


def test_nothing_that_can_be_asked_is_left_out():
    paths = openapi.document(Settings())["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    public = {("GET", path) for path in ("/", "/health", "/openapi.json")}
    asked = {(method, "/" + path.partition("?")[0].replace("{id}", "{conversationId}")) for method, path, _ in REQUESTS}
    assert described - public <= asked
    commands = {frame["content"] for frame in FRAMES if frame["type"] == "system"}
    assert set(get_args(SystemFrame.model_fields["content"].annotation)) <= commands


def somebody(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


@dataclass
class Hers:
    """A conversation of somebody, in which everything is going on."""

    owner: str
    conversation: str
    rest: Rest
    socket: Socket
    gate: threading.Event

    def all(self) -> tuple[Any, Any, Any, Any]:
        """Everything that can be read of it."""
        return (
            self.rest.history(self.conversation),
            self.rest.client.get(f"conversation/{self.conversation}/state").json(),
            self.rest.client.get("conversations").json(),
            self.rest.client.get(f"conversation/{self.conversation}/export?format=markdown").text,
        )


@contextmanager
def busy(stack: DeployedStack) -> Iterator[Hers]:
    """With messages, settings, a turn that runs, a message that waits, and a socket that listens."""
    gate = threading.Event()
    owner, conversation = somebody("alice"), new_conversation("hers")
    stack.model.when_asked("Take your time", Reply("At last an answer.", gate=gate))
    with stack.rest(owner) as rest, stack.socket(conversation, owner) as socket:
        rest.client.put(f"conversation/{conversation}/state", json={"model": "her-model", "userId": "her-note"})
        rest.chat("What only she knows", conversation)
        socket.submit("Take your time", "runs")
        socket.submit("And what else is there?", "waits")
        socket.drain()
        socket.frames.clear()
        try:
            yield Hers(owner, conversation, rest, socket, gate)
        finally:
            gate.set()


def ask_everything(stack: DeployedStack, user: str, conversation: str, names: dict[str, str]) -> Transcript:
    transcript: Transcript = []
    with stack.rest(user) as rest:
        for method, path, body in REQUESTS:
            transcript.append((method, path, *told(ask(rest, method, path, body, conversation), names)))
    return transcript


def ask(rest: Rest, method: str, path: str, body: dict[str, Any] | None, conversation: str) -> httpx.Response:
    filled = json.loads(json.dumps(body).replace("{id}", conversation))
    return rest.client.request(method, path.replace("{id}", conversation), json=filled)


def say_everything(stack: DeployedStack, user: str, conversation: str, names: dict[str, str]) -> Transcript:
    transcript: Transcript = []
    with stack.socket(conversation, user) as socket:
        for frame in FRAMES:
            transcript.append((json.dumps(frame), *heard(exchange(socket, frame), names)))
    return transcript


def exchange(socket: Socket, frame: Frame) -> list[Frame]:
    """What comes of one frame: a turn to its end, if it may begin one, and whatever is said at once."""
    start = len(socket.frames)
    socket.send(**frame)
    if begins_a_turn(frame):
        socket.receive_until(lambda f: is_end(f) or f["type"] == "error")
    socket.drain()
    if frame.get("content") == "ping":
        socket.receive_until(is_system("pong"))
    return [f for f in socket.frames[start:] if not is_system("pong")(f)]


def begins_a_turn(frame: Frame) -> bool:
    return frame["type"] == "chat" or frame.get("content") == "regenerate"


def test_every_route_answers_for_anothers_conversation_as_for_one_that_does_not_exist(stack: DeployedStack):
    with busy(stack) as hers:
        before = hers.all()
        existing, missing = ask_both(stack, hers.conversation, ask_everything)
        assert existing == missing
        assert hers.all() == before
        hers.socket.drain()
        assert [frame["content"] for frame in hers.socket.frames] == ["pong"]


def test_every_frame_is_answered_for_anothers_conversation_as_for_one_that_does_not_exist(stack: DeployedStack):
    with busy(stack) as hers:
        before = hers.all()
        existing, missing = ask_both(stack, hers.conversation, say_everything)
        assert existing == missing
        assert hers.all() == before
        hers.socket.drain()
        assert [frame["content"] for frame in hers.socket.frames] == ["pong"]


@pytest.mark.alone
def test_the_same_work_is_done_for_anothers_conversation_as_for_one_that_does_not_exist(stack: DeployedStack):
    """So no clock tells the one from the other. (Turns look around while they run, so theirs is not counted.)"""
    with busy(stack) as hers:
        work_for(stack, new_conversation("first"))  # sockets of tests before this one have been forgotten after it
        existing, missing = (work_for(stack, name) for name in (hers.conversation, new_conversation("none")))
    assert existing == missing


def work_for(stack: DeployedStack, conversation: str) -> Counter[tuple[str, str]]:
    """What the functions ask of the table when somebody new asks and says everything but what begins a turn."""
    start, bob = stack.calls_so_far(), somebody("bob")
    with stack.rest(bob) as rest, stack.socket(conversation, bob) as socket:
        for method, path, body in REQUESTS[:-2]:
            if path != "api/copilotedge":
                ask(rest, method, path, body, conversation)
        for frame in FRAMES:
            if not begins_a_turn(frame):
                exchange(socket, frame)
    wait_until_forgotten(stack, key_of(conversation, bob))
    doors = {stack.function_name(function) for function in ("http-api", "websocket-api")}
    calls = [call for call in stack.calls(start) if call.function in doors and call.action.startswith("dynamodb:")]
    return Counter((call.function, call.action) for call in calls)


def ask_both(stack: DeployedStack, existing: str, speak: Any) -> list[Transcript]:
    """By two users who have nothing yet, one on the conversation that exists, one on another name."""
    transcripts = []
    for conversation in (existing, new_conversation("none")):
        user = somebody("bob")
        transcripts.append(speak(stack, user, conversation, {user: "<user>", conversation: "<conversation>"}))
    return transcripts


def shared_ids(hers: Hers) -> tuple[str, str]:
    """What members would call her conversation, and one that she does not have."""
    return f"{hers.owner}~{hers.conversation}", f"{hers.owner}~{new_conversation('none')}"


def test_what_is_not_shared_is_not_found_whether_or_not_it_exists(stack: DeployedStack):
    with busy(stack) as hers, stack.rest(somebody("bob")) as bob:
        before, ids = hers.all(), shared_ids(hers)
        for method, path, body in REQUESTS:
            if "{id}" not in path + json.dumps(body):
                continue
            answers = [ask(bob, method, path, body, name) for name in ids]
            names = dict.fromkeys(ids, "<conversation>")
            assert told(answers[0], names) == told(answers[1], names), path
            well_formed = body not in MALFORMED and "limit=0" not in path and "format=pdf" not in path
            assert answers[0].status_code == 404 or not well_formed, path
        assert hers.all() == before


def test_a_socket_to_what_is_not_shared_is_refused_whether_or_not_it_exists(stack: DeployedStack):
    with busy(stack) as hers:
        refused = [handshake(stack, name, somebody("bob")) for name in shared_ids(hers)]
    assert refused == [404, 404]


def handshake(stack: DeployedStack, conversation: str, user: str) -> int:
    with pytest.raises(InvalidStatus) as refused, stack.socket(conversation, user):
        pass
    return refused.value.response.status_code


@dataclass
class Shared:
    """A conversation that ``alice`` can share with ``bob``, who calls it by its ``id``."""

    stack: DeployedStack
    alice: Rest
    bob: Rest
    bob_name: str
    name: str
    id: str

    def allow(self, role: str | None) -> None:
        members = {self.bob_name: role} if role else {}
        answer = self.alice.client.put(f"conversation/{self.name}/members", json={"members": members})
        assert (answer.status_code, answer.json()["sharedId"]) == (200, self.id)

    def bobs_socket(self) -> Socket:
        return self.stack.socket(self.id, self.bob_name)

    def bob_asks(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.bob.client.request(method, f"conversation/{self.id}{path}", **options)


@pytest.fixture
def shared(stack: DeployedStack) -> Iterator[Shared]:
    alice, bob, name = somebody("alice"), somebody("bob"), new_conversation("shared")
    with stack.rest(alice) as hers, stack.rest(bob) as his:
        hers.chat("Something to share", name)
        yield Shared(stack, hers, his, bob, name, f"{alice}~{name}")


WRITING = [
    ("POST", "/messages", {"role": "user", "content": "Written by a member"}),
    ("PUT", "/state", {"model": "bob-model"}),
    ("POST", "/cancel", None),
    ("POST", "/clear", None),
]
OWNING = [
    ("PATCH", "", TAKEN),
    ("GET", "/members", None),
    ("PUT", "/members", {"members": {"carol": "write"}}),
    ("DELETE", "", None),
]


def test_who_may_read_reads_and_writes_nothing(shared: Shared):
    shared.allow("read")
    assert shared.bob.log(shared.id) == [("user", "Something to share"), ("assistant", "You said: Something to share")]
    assert shared.bob_asks("GET", "/state").json()["conversationId"] == shared.id
    assert shared.bob_asks("GET", "/export").json()["conversationId"] == shared.id
    for method, path, body in WRITING:
        refused = shared.bob_asks(method, path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only"), path
    assert shared.bob.chat("Hello", shared.id).json()["error"]["code"] == "read_only"
    assert len(shared.alice.log(shared.name)) == 2


def test_who_may_read_hears_all_over_a_socket_and_says_nothing(shared: Shared):
    shared.allow("read")
    with shared.bobs_socket() as socket:
        for frame in ({"type": "chat", "role": "user", "content": "Hello"}, *map(command, WRITES)):
            socket.send(**frame)
            assert socket.receive()["code"] == "read_only", frame
        socket.command("get_history")
        assert len(socket.receive_until(is_system("history"))[-1]["metadata"]["messages"]) == 2
        shared.alice.chat("Do you hear me?", shared.name)
        assert [f["content"] for f in socket.receive_turn() if f["type"] == "chat"][-1] == "You said: Do you hear me?"


WRITES = ("clear_history", "cancel", "regenerate")


def command(name: str) -> dict[str, Any]:
    return {"type": "system", "content": name}


def test_who_may_write_writes_and_both_hear_everything(shared: Shared):
    shared.allow("write")
    assert shared.bob.chat("By REST", shared.id).json()["conversationId"] == shared.id
    alice = shared.id.rpartition("~")[0]
    with shared.bobs_socket() as bob, shared.stack.socket(shared.name, alice) as owner:
        bob.say("By WebSocket")
        told_to_both = [socket.receive_turn() for socket in (bob, owner)]
    assert told_to_both[0] == told_to_both[1]
    assert shared.alice.log(shared.name) == shared.bob.log(shared.id)
    assert shared.bob_asks("POST", "/clear").status_code == 200
    assert shared.alice.log(shared.name) == []


@pytest.mark.parametrize("role", ["read", "write"])
def test_what_is_the_owners_alone_no_member_may_do(shared: Shared, role: str):
    shared.allow(role)
    for method, path, body in OWNING:
        refused = shared.bob_asks(method, path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_owner"), path
    assert len(shared.alice.log(shared.name)) == 2


def test_who_is_no_member_any_more_is_cut_off_at_once(shared: Shared):
    shared.allow("write")
    with shared.bobs_socket() as socket:
        socket.drain()
        shared.allow(None)
        assert socket.receive_rest() == []
    assert handshake(shared.stack, shared.id, shared.bob_name) == 404
    refused = [shared.bob_asks(method, path, json=body) for method, path, body in WRITING + OWNING]
    assert {answer.status_code for answer in refused} == {404}
    assert len(shared.alice.log(shared.name)) == 2


def test_who_may_only_read_from_now_on_writes_no_more_on_an_open_socket(shared: Shared):
    shared.allow("write")
    with shared.bobs_socket() as socket:
        assert socket.ask("May I?") == "You said: May I?"
        shared.allow("read")
        socket.say("And now?")
        assert socket.receive()["code"] == "read_only"


def test_a_member_sees_it_neither_in_a_list_nor_under_its_bare_name(shared: Shared):
    shared.allow("write")
    assert shared.bob.client.get("conversations").json() == {"conversations": [], "nextCursor": None}
    assert shared.bob.log(shared.name) == []


def test_a_list_shows_ones_own_the_newest_first_page_by_page(stack: DeployedStack):
    alice, bob = somebody("alice"), somebody("bob")
    hers, his = [new_conversation("list") for _ in range(3)], new_conversation("list")
    with stack.rest(alice) as rest, stack.rest(bob) as other:
        for name in hers:
            rest.chat("For the list", name)
        other.chat("For the other list", his)
        newest = rest.client.get("conversations?limit=2").json()
        rest_of_it = rest.client.get("conversations", params={"cursor": newest["nextCursor"]}).json()
        assert names_in(newest) + names_in(rest_of_it) == hers[::-1]
        assert rest_of_it["nextCursor"] is None
        assert names_in(other.client.get("conversations").json()) == [his]
        entry = newest["conversations"][0]
    assert entry["messageCount"] == 2
    assert 0 < entry["createdAt"] <= entry["lastActivity"]


def names_in(answer: dict[str, Any]) -> list[str]:
    return [entry["conversationId"] for entry in answer["conversations"]]


def test_a_user_id_in_the_state_takes_nothing_over(stack: DeployedStack):
    with busy(stack) as hers, stack.rest(somebody("bob")) as bob:
        before = hers.all()
        for name in (hers.conversation, shared_ids(hers)[0]):
            bob.client.put(f"conversation/{name}/state", json={"userId": hers.owner})
            assert "What only she knows" not in bob.client.get(f"conversation/{name}/messages").text
        hers.rest.client.put(f"conversation/{hers.conversation}/state", json={"userId": "bob"})
        assert hers.rest.history(hers.conversation) == before[0]
        assert bob.log(hers.conversation) == []


def test_who_asks_to_be_forgotten_is_forgotten_within_a_minute_and_nobody_else(stack: DeployedStack):
    with busy(stack) as hers, busy(stack) as other:
        share(hers, other.owner)
        answer = hers.rest.client.delete("users/me")
        assert (answer.status_code, answer.json()) == (202, {"status": "deleting"})
        hers.socket.receive_rest(60)
        wait_until(lambda: not traces_of(stack, hers.owner), "everything of hers to go", timeout=60, pause=0.5)
        other.gate.set()
        other.socket.receive_until(is_status("complete"), seconds=60)
        other.socket.receive_until(is_status("complete"), seconds=60)
        assert len(other.rest.log(other.conversation)) == 6
        assert hers.rest.client.get("conversations").json()["conversations"] == []
        assert hers.rest.log(hers.conversation) == []
        hers.gate.set()
    assert traces_of(stack, hers.owner) == []


def share(hers: Hers, user: str) -> None:
    members = {"members": {user: "write"}}
    assert hers.rest.client.put(f"conversation/{hers.conversation}/members", json=members).status_code == 200


def test_who_was_forgotten_may_begin_anew(stack: DeployedStack):
    alice, conversation = somebody("alice"), new_conversation("anew")
    with stack.rest(alice) as rest:
        rest.chat("Before", conversation)
        rest.client.delete("users/me")
        wait_until(lambda: not traces_of(stack, alice), "everything of hers to go", timeout=60, pause=0.5)
        with stack.socket(conversation, alice) as socket:
            socket.say("After")
            assert [f for f in socket.receive_turn() if f["type"] == "chat"][-1]["content"] == "You said: After"
        assert [text for _, text in rest.log(conversation)] == ["After", "You said: After"]


def wait_until_forgotten(stack: DeployedStack, key: str) -> None:
    """Until the functions know that the sockets of a conversation are closed."""
    wait_until(lambda: not [trace for trace in traces_of(stack, key) if " SOCKET#" in trace], "the sockets to go")


def traces_of(stack: DeployedStack, user: str) -> list[str]:
    """Keys of the table's items in which the user's name is, but for the counters: they outlive a day, or asking to be
    forgotten would lift the limits."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.table_name)
    items = [item for page in pages for item in page["Items"]]
    return [
        f"{item['pk']['S']} {item['sk']['S']}"
        for item in items
        if user in json.dumps(item) and item["sk"]["S"] != "USAGE"
    ]
