"""The WebSocket API of the deployed stack."""

from __future__ import annotations

import json
import threading

import pytest

from tests.clients import is_delta, is_status, is_system, kinds, new_conversation, text_of
from tests.scripted_model import Reply
from tests.stack import DeployedStack, key_of, rows_of, wait_until

TURN = ["chat:user", "status:thinking", "status:streaming", "delta", "chat:assistant", "status:complete"]


def test_a_message_sent_right_after_connecting_is_answered_in_order(stack: DeployedStack):
    stack.model.script(Reply(chunks=["Good ", "morning, ", "you."], delay_between=0.1))
    with stack.socket(new_conversation()) as socket:
        socket.say("Hello")
        frames = socket.receive_turn()
    assert kinds(frames) == TURN
    assert text_of(frames) == "Good morning, you." == frames[-2]["content"]
    assert len([frame for frame in frames if is_delta(frame)]) > 1
    assert frames[-2]["metadata"]["tokens"] == 15
    assert frames[-2]["metadata"]["timestamp"] > 1_700_000_000_000


def test_a_second_socket_sees_the_same_frames_in_the_same_order(stack: DeployedStack):
    stack.model.script(Reply(chunks=[f"word{n} " for n in range(20)], delay_between=0.02))
    conversation = new_conversation()
    with stack.socket(conversation) as one, stack.socket(conversation) as two:
        one.say("Hello")
        assert one.receive_turn() == two.receive_turn()


def test_the_next_call_carries_the_exchange_before(stack: DeployedStack):
    with stack.socket(new_conversation()) as socket:
        socket.ask("one")
        socket.ask("two")
    sent = [message["content"] for message in stack.model.requests[-1].body["messages"]]
    assert sent == ["one", "You said: one", "two"]


def test_history_over_the_socket(stack: DeployedStack):
    conversation = new_conversation()
    with stack.socket(conversation) as socket:
        socket.ask("one")
        socket.command("get_history")
        history = socket.receive_until(is_system("history"))[-1]["metadata"]
    assert [m["content"] for m in history["messages"]] == ["one", "You said: one"]
    assert history["totalTokens"] == 15


def test_clear_over_the_socket_reaches_everybody(stack: DeployedStack):
    conversation = new_conversation()
    with stack.socket(conversation) as one, stack.socket(conversation) as two:
        one.ask("Hello")
        one.command("clear_history")
        one.receive_until(is_system("history_cleared"))
        two.receive_until(is_system("conversation_cleared"))
        one.command("get_history")
        assert one.receive_until(is_system("history"))[-1]["metadata"]["messages"] == []


def test_cancel_from_a_second_client_stops_the_model(stack: DeployedStack):
    stack.model.script(Reply(chunks=["Once ", "upon "] + ["a time "] * 200, delay_between=0.1))
    conversation = new_conversation()
    with stack.socket(conversation) as one, stack.socket(conversation) as two:
        one.say("Tell me a story")
        one.receive_until(is_delta)
        two.command("cancel")
        one.receive_until(is_status("cancelled"))
        two.receive_until(is_status("cancelled"))
        assert [request.outcome for request in stack.model.wait_for_outcomes(1)] == ["client_closed"]
        assert one.ask("And now?") == "You said: And now?"
    with stack.rest() as rest:
        statuses = [m["status"] for m in rest.history(conversation)["messages"]]
    assert statuses == ["complete", "cancelled", "complete", "complete"]


def test_messages_sent_during_a_turn_wait_and_are_answered_in_order(stack: DeployedStack):
    gate = threading.Event()
    stack.model.script(Reply("first", gate=gate))
    conversation = new_conversation()
    with stack.socket(conversation) as socket:
        for content in ("1", "2", "3"):
            socket.submit(content, f"m-{content}")
        gate.set()
        for _ in range(3):
            socket.receive_turn()
        positions = [f["metadata"]["position"] for f in socket.frames if is_status("queued")(f)]
    with stack.rest() as rest:
        log = [content for _, content in rest.log(conversation)]
    assert log == ["1", "first", "2", "You said: 2", "3", "You said: 3"]
    assert positions == [1, 2]


def test_a_client_that_comes_back_gets_what_it_missed_and_the_live_rest(stack: DeployedStack):
    chunks, gate = [f"word{n} " for n in range(60)], threading.Event()
    stack.model.script(Reply(chunks=chunks, delay_between=0.02, gate=gate, gate_after=30))
    conversation = new_conversation()
    with stack.socket(conversation) as socket:
        socket.say("Tell me a story")
        before = socket.receive_until(is_delta)
    turn_id = before[-1]["metadata"]["turnId"]
    stack.model.wait_until(lambda requests: requests[0].chunks_sent == 30)
    with stack.socket(conversation) as socket:
        socket.command("resume", afterSeq=1, turnId=turn_id, offset=len(text_of(before)))
        after = socket.receive_until(is_system("resumed"))
        gate.set()
        after += socket.receive_turn()
    assert text_of(before) + text_of(after) == "".join(chunks)


def test_a_repeated_message_id_is_answered_once(stack: DeployedStack):
    conversation = new_conversation()
    with stack.socket(conversation) as socket:
        for _ in range(2):
            socket.say("Hello", id="m-1")
            assert socket.receive_turn()[-2]["content"] == "You said: Hello"
    assert len(stack.model.requests) == 1


def test_a_refused_connection_to_the_model_is_told_and_heals(stack: DeployedStack):
    conversation = new_conversation()
    with (
        stack.settings("turn-worker", WORKERS_AI_BASE_URL="http://127.0.0.1:1", MODEL_MAX_TRIES="1"),
        stack.socket(conversation) as socket,
    ):
        socket.say("Hello")
        assert kinds(socket.receive_turn())[-2:] == ["error:model_unavailable", "status:failed"]
        wait_until(lambda: not has_turn(stack, conversation), "the worker with that address to let go")
    with stack.socket(conversation) as socket:
        assert socket.ask("Again") == "You said: Hello\n\nAgain"


CHAT = {"type": "chat", "role": "user"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not JSON", "invalid_json"),
        ("[1]", "invalid_json"),
        (json.dumps({"type": "dance"}), "unknown_type"),
        (json.dumps({"content": "no type"}), "unknown_type"),
        (json.dumps(CHAT), "invalid_content"),
        (json.dumps(CHAT | {"content": ""}), "invalid_content"),
        (json.dumps(CHAT | {"content": 7}), "invalid_content"),
        (json.dumps(CHAT | {"role": "assistant", "content": "Hi"}), "invalid_role"),
        (json.dumps(CHAT | {"content": "x" * 10_001}), "message_too_large"),
        (json.dumps(CHAT | {"content": "x" * 150_000}), "frame_too_large"),
        (json.dumps(CHAT | {"content": "Hi", "id": "with space"}), "invalid_message_id"),
        (json.dumps({"type": "system", "content": "explode"}), "invalid_content"),
        (json.dumps({"type": "system", "content": "regenerate"}), "nothing_to_regenerate"),
        (json.dumps({"type": "system", "content": "cancel"}), "nothing_to_cancel"),
    ],
)
def test_bad_frames_are_refused_the_socket_stays_open_and_nothing_is_stored(stack: DeployedStack, text, code):
    conversation = new_conversation("bad")
    with stack.socket(conversation) as socket:
        socket.send_text(text)
        error = socket.receive()
        assert (error["type"], error["code"]) == ("error", code)
        socket.command("ping")
        assert socket.receive()["content"] == "pong"
    assert stored(stack, conversation) == set()


def test_a_socket_that_leaves_is_forgotten(stack: DeployedStack):
    conversation = new_conversation()
    with stack.socket(conversation):
        assert len(rows(stack, conversation)) == 1
    wait_until(lambda: not rows(stack, conversation), "the row to go")


def has_turn(stack: DeployedStack, conversation: str) -> bool:
    """Whether somebody holds the conversation, be it only to tell of the last turn's end."""
    place = {"pk": {"S": f"CONV#{key_of(conversation)}"}, "sk": {"S": "STATE"}}
    return "turn" in stack.client("dynamodb").get_item(TableName=stack.table_name, Key=place)["Item"]


def rows(stack: DeployedStack, conversation: str) -> set[str]:
    """Sort keys of a conversation's items."""
    return rows_of(stack, key_of(conversation))


def stored(stack: DeployedStack, conversation: str) -> set[str]:
    """The same, without sockets."""
    return {sk for sk in rows(stack, conversation) if not sk.startswith("SOCKET#")}
