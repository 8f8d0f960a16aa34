"""Every payload of ``events/``, as ``sam local invoke`` would serve it: Lambda's emulator, and the function as built.

The functions talk to the test stack's table, secrets, sockets and model. What they would invoke is only written down,
so the emulated worker runs the turns.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import uuid
from pathlib import Path

import pytest

from tests.clients import is_system, kinds, new_conversation, text_of
from tests.emulator.functions import EmulatedFunctions
from tests.emulator.invocations import Invocations
from tests.emulator.payloads import FILES, Payloads, function_of
from tests.scripted_model import Reply
from tests.stack import DeployedStack, rows_of


@pytest.fixture
def payloads(functions: EmulatedFunctions) -> Payloads:
    """About a new conversation of a new user."""
    return Payloads(functions, new_conversation(), f"user-{uuid.uuid4().hex[:12]}")


def connection_in(stack: DeployedStack, payloads: Payloads) -> str:
    """Id of the only socket of the conversation."""
    (row,) = [row for row in rows_of(stack, payloads.key) if row.startswith("SOCKET#")]
    return row.removeprefix("SOCKET#")


def leave_behind(stack: DeployedStack, functions: EmulatedFunctions, payloads: Payloads) -> None:
    """What a conversation has but its state, as if that had gone: the items of another one."""
    other = Payloads(functions, new_conversation(), payloads.user)
    other.ask("http-chat")
    items = stack.client("dynamodb").query(
        TableName=stack.table_name,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"CONV#{other.key}"}},
    )["Items"]
    for item in items:
        if item["sk"]["S"] != "STATE":
            moved = item | {"pk": {"S": f"CONV#{payloads.key}"}}
            stack.client("dynamodb").put_item(TableName=stack.table_name, Item=moved)
    assert rows_of(stack, payloads.key) == rows_of(stack, other.key) - {"STATE"} != set()


def end_lease(stack: DeployedStack, payloads: Payloads) -> None:
    """Of the turn that has begun; so long does a worker have to come that none waits here for it."""
    stack.client("dynamodb").update_item(
        TableName=stack.table_name,
        Key={"pk": {"S": f"CONV#{payloads.key}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET #turn.#lease = :past",
        ExpressionAttributeNames={"#turn": "turn", "#lease": "lease_until"},
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_payload_is_served_as_it_is(functions: EmulatedFunctions, file: Path):
    served = Payloads(functions).send(file.stem)
    good = {
        "authorizer": lambda: served["context"]["refusal"] == "token_invalid",  # another deployment's
        "http-api": lambda: served["statusCode"] == 200,
        "janitor": lambda: served == {"batchItemFailures": []},
        "turn-worker": lambda: served is None,
        "websocket-api": lambda: served["statusCode"] == 200,
    }
    assert good[function_of(file.stem)](), served


def test_every_payload_is_also_served_where_something_comes_of_it():
    code = Path(__file__).read_text()
    assert [file.stem for file in FILES if not re.search(rf'(send|ask|event)\("{file.stem}"', code)] == []


def test_a_function_that_fails_is_seen_to_fail(functions: EmulatedFunctions):
    with pytest.raises(AssertionError, match="KeyError"):
        functions["turn-worker"].invoke({"action": "dance"})


def test_the_authorizer_knows_who_asks(stack: DeployedStack, payloads: Payloads):
    answer = payloads.send("authorizer-http", token=stack.token(payloads.user))
    assert answer["isAuthorized"]
    assert (answer["context"]["user"], answer["context"]["refusal"]) == (payloads.user, "")


def test_the_authorizer_knows_who_connects_and_where(stack: DeployedStack, payloads: Payloads):
    answer = payloads.send("authorizer-connect", token=stack.token(payloads.user))
    (statement,) = answer["policyDocument"]["Statement"]
    assert (answer["principalId"], statement["Effect"]) == (payloads.user, "Allow")
    assert answer["context"]["conversationId"] == payloads.conversation


def test_a_chat_is_answered_once_however_often_it_comes(stack: DeployedStack, payloads: Payloads):
    first, again = payloads.ask("http-chat"), payloads.ask("http-chat")
    assert first["choices"][0]["message"]["content"] == "You said: Hello!"
    assert again["id"] == first["id"]
    assert len(stack.model.requests) == 1


def test_a_chat_is_answered_as_a_stream_of_events(payloads: Payloads):
    answer = payloads.send("http-chat-stream")
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *data, done = re.findall(r"data: (.*)", answer["body"])
    pieces = [choice["delta"].get("content", "") for chunk in data for choice in json.loads(chunk)["choices"]]
    assert ("".join(pieces), done) == ("You said: Hello, bit by bit!", "[DONE]")


def test_the_messages_are_those_of_the_chat(payloads: Payloads):
    payloads.ask("http-chat")
    messages = payloads.ask("http-messages")["messages"]
    assert [message["content"] for message in messages] == ["Hello!", "You said: Hello!"]


def test_settings_that_were_stored_count_in_the_next_chat(stack: DeployedStack, payloads: Payloads):
    assert payloads.ask("http-state")["state"]["model"] == "@cf/openai/gpt-oss-120b"
    payloads.ask("http-chat")
    (asked,) = stack.model.requests
    assert asked.model == "@cf/openai/gpt-oss-120b"
    assert asked.body["messages"][0] == {"role": "system", "content": "You are a helpful assistant"}


def test_the_list_has_the_conversation(payloads: Payloads):
    payloads.ask("http-chat")
    (listed,) = payloads.ask("http-conversations")["conversations"]
    assert (listed["conversationId"], listed["title"]) == (payloads.conversation, "Hello!")


def test_the_page_comes_compressed(payloads: Payloads):
    answer = payloads.send("http-page")
    assert (answer["statusCode"], answer["headers"]["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(base64.b64decode(answer["body"])).lower().startswith(b"<!doctype html>")


def test_the_description_has_the_routes(payloads: Payloads):
    described = payloads.ask("http-openapi")
    assert "/api/copilotedge" in described["paths"]


def test_a_socket_is_listed_from_its_connect_to_its_disconnect(stack: DeployedStack, payloads: Payloads):
    assert payloads.send("websocket-connect") == {"statusCode": 200}
    assert connection_in(stack, payloads) == payloads.event("websocket-connect")["requestContext"]["connectionId"]
    assert payloads.send("websocket-disconnect") == {"statusCode": 200}
    assert rows_of(stack, payloads.key) == set()


def test_a_ping_is_answered(stack: DeployedStack, payloads: Payloads):
    with stack.socket(payloads.conversation, payloads.user) as socket:
        payloads.send("websocket-ping", connection_in(stack, payloads))
        assert is_system("pong")(socket.receive())


def test_a_resume_brings_what_was_missed(stack: DeployedStack, payloads: Payloads):
    payloads.ask("http-chat")
    with stack.socket(payloads.conversation, payloads.user) as socket:
        payloads.send("websocket-resume", connection_in(stack, payloads))
        frames = socket.receive_until(is_system("resumed"))
    assert [frame["content"] for frame in frames] == ["Hello!", "You said: Hello!", "resumed"]


def test_a_message_begins_a_turn_and_wakes_the_worker(payloads: Payloads, invocations: Invocations):
    assert payloads.send("websocket-message") == {"statusCode": 200}
    (woken,) = invocations.of(payloads.key)
    assert woken.items() >= (payloads.event("turn-worker-run-turn") | {"turnId": woken["turnId"]}).items()
    (message,) = payloads.ask("http-messages")["messages"]
    assert (message["content"], message["turnId"]) == ("Hello via WebSocket!", woken["turnId"])


def test_the_worker_runs_the_turn(stack: DeployedStack, payloads: Payloads):
    with stack.socket(payloads.conversation, payloads.user) as socket:
        payloads.send("websocket-message")
        assert payloads.send("turn-worker-run-turn") is None
        frames = socket.receive_turn()
    begin = ["chat:user", "status:thinking", "status:streaming"]
    assert kinds(frames) == [*begin, "delta", "chat:assistant", "status:complete"]
    assert text_of(frames) == "You said: Hello via WebSocket!"


def test_a_worker_that_stands_by_wakes_another_once_the_lease_is_over(
    stack: DeployedStack, payloads: Payloads, invocations: Invocations
):
    payloads.send("websocket-message")
    end_lease(stack, payloads)
    assert payloads.send("turn-worker-stand-by") is None
    first, second = invocations.of(payloads.key)
    assert second == {"action": "run_turn", "conversationId": payloads.key, "turnId": first["turnId"]}


def test_the_worker_finds_a_title(stack: DeployedStack, payloads: Payloads):
    payloads.ask("http-chat")
    stack.model.script(Reply("Greetings"))
    with stack.socket(payloads.conversation, payloads.user) as socket:
        assert payloads.send("turn-worker-entitle") is None
        (frame,) = socket.receive_until(is_system("titled"))
    assert frame["metadata"] == {"title": "Greetings"}
    assert payloads.ask("http-conversations")["conversations"][0]["title"] == "Greetings"


def test_the_worker_sweeps(stack: DeployedStack, functions: EmulatedFunctions, payloads: Payloads):
    leave_behind(stack, functions, payloads)
    assert payloads.send("turn-worker-sweep") is None
    assert rows_of(stack, payloads.key) == set()


def test_the_worker_forgets_a_user(stack: DeployedStack, payloads: Payloads):
    payloads.ask("http-chat")
    assert payloads.send("turn-worker-forget-user") is None
    assert payloads.ask("http-conversations")["conversations"] == []
    assert rows_of(stack, payloads.key) == set()


def test_the_janitor_deletes_what_a_removed_state_leaves_behind(
    stack: DeployedStack, functions: EmulatedFunctions, payloads: Payloads
):
    leave_behind(stack, functions, payloads)
    assert payloads.send("janitor-state-removed") == {"batchItemFailures": []}
    assert rows_of(stack, payloads.key) == set()
