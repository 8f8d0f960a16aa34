"""The REST routes of the deployed stack."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from tests.clients import new_conversation
from tests.integration.test_websocket import rows
from tests.scripted_model import Reply
from tests.stack import DeployedStack, key_of, wait_until


def test_a_chat_is_kept_and_read_back(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        body = rest.chat("Hello", conversation).json()
        history = rest.history(conversation)
    assert body["choices"][0]["message"]["content"] == "You said: Hello"
    assert body["conversationId"] == conversation
    assert body["usage"]["total_tokens"] == 15
    assert [m["role"] for m in history["messages"]] == ["user", "assistant"]
    assert history["totalTokens"] == 15


def test_a_rest_turn_is_heard_by_sockets(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest, stack.socket(conversation) as socket:
        rest.chat("Hello", conversation)
        assert [f["content"] for f in socket.receive_turn() if f["type"] == "chat"] == ["Hello", "You said: Hello"]


def test_a_model_out_of_capacity_is_asked_again(stack: DeployedStack):
    stack.model.script(*[Reply(status=429, code=3040)] * 2, Reply("There you are."))
    with stack.rest() as rest:
        answer = rest.chat("Hello", new_conversation())
    assert answer.json()["choices"][0]["message"]["content"] == "There you are."


def test_the_fallback_model_answers_after_the_retries(stack: DeployedStack):
    with stack.settings("http-api", FALLBACK_MODEL="fallback", MODEL="busy", MODEL_MAX_TRIES="2"):
        stack.model.when(lambda request: Reply(status=429, code=3040) if request.model == "busy" else None)
        with stack.rest() as rest:
            answer = rest.chat("Hello", new_conversation())
    assert answer.json()["model"] == "fallback"
    assert [request.model for request in stack.model.requests] == ["busy", "busy", "fallback"]


def test_a_refused_connection_to_the_model_is_502_and_the_message_is_kept(stack: DeployedStack):
    conversation = new_conversation()
    with (
        stack.rest() as rest,
        stack.settings("http-api", WORKERS_AI_BASE_URL="http://127.0.0.1:1", MODEL_MAX_TRIES="1"),
    ):
        answer = rest.chat("Hello", conversation)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "model_unavailable")
    with stack.rest() as rest:
        assert rest.log(conversation) == [("user", "Hello")]
        assert rest.chat("Again", conversation).status_code == 200


def test_an_expired_conversation_reads_as_empty_before_it_is_deleted(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        rest.chat("Hello", conversation)
        expire(stack, conversation)
        assert "STATE" in rows(stack, conversation)
        assert rest.log(conversation) == []
        rest.chat("A new life", conversation)
        assert [content for _, content in rest.log(conversation)] == ["A new life", "You said: A new life"]
        assert len(stack.model.requests[-1].body["messages"]) == 1


def test_the_removal_of_the_state_makes_the_janitor_delete_the_rest(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        rest.client.put(f"conversation/{conversation}/state", json={"model": "m"})
        rest.chat("Hello", conversation, key="k-1")
    assert len(rows(stack, conversation)) == 5
    key = {"pk": {"S": f"CONV#{key_of(conversation)}"}, "sk": {"S": "STATE"}}
    stack.client("dynamodb").delete_item(TableName=stack.table_name, Key=key)
    wait_until(lambda: not rows(stack, conversation), "the janitor", timeout=30)


def test_delete_leaves_nothing_behind(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        rest.chat("Hello", conversation)
        assert rest.client.delete(f"conversation/{conversation}").json() == {"success": True}
        assert rest.log(conversation) == []
    wait_until(lambda: not rows(stack, conversation), "the janitor", timeout=30)


def test_cleared_messages_are_deleted_behind(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        rest.chat("Hello", conversation)
        rest.client.post(f"conversation/{conversation}/clear")
        assert rest.log(conversation) == []
    wait_until(lambda: rows(stack, conversation) == {"STATE"}, "the sweep", timeout=30)


def test_the_same_key_sent_at_once_gives_one_answer_and_one_model_call(stack: DeployedStack):
    stack.model.script(Reply("Only once.", delay_before=0.5))
    conversation = new_conversation()
    with stack.rest() as rest, ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: rest.chat("Hello", conversation, key="k-1"), range(5)))
        texts = {answer.json()["choices"][0]["message"]["content"] for answer in answers}
        assert texts == {"Only once."}
        assert len(rest.log(conversation)) == 2
    assert len(stack.model.requests) == 1


def test_a_stream_is_served_as_events(stack: DeployedStack):
    with stack.rest() as rest:
        answer = rest.chat("Hello", new_conversation(), stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
    assert text == "You said: Hello"
    assert answer.text.endswith("data: [DONE]\n\n")


def test_another_origin_may_call(stack: DeployedStack):
    with stack.rest() as rest:
        preflight = rest.client.options(
            "api/copilotedge",
            headers={
                "origin": "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
    assert preflight.status_code in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == "*"


def expire(stack: DeployedStack, conversation: str) -> None:
    """Let a conversation's last activity be long ago."""
    stack.client("dynamodb").update_item(
        TableName=stack.table_name,
        Key={"pk": {"S": f"CONV#{key_of(conversation)}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
