"""One message, followed from its client through the logs to the model and back, on the deployed stack."""

from __future__ import annotations

import json
from typing import Any

from tests.clients import new_conversation
from tests.stack import DeployedStack, wait_until

MESSAGES_OF_A_TURN = {"turn_started", "turn_ended"}


def lines(stack: DeployedStack, function: str, turn_id: str) -> list[dict[str, Any]]:
    """What the function has logged about the turn."""
    logged = [json.loads(line) for line in stack.logs(function) if line.startswith("{")]
    return [line for line in logged if line.get("turn_id") == turn_id]


def messages(stack: DeployedStack, function: str, turn_id: str) -> list[str]:
    return [line["message"] for line in lines(stack, function, turn_id)]


def test_a_message_over_a_socket_is_followed_to_the_model_and_back(stack: DeployedStack):
    with stack.socket(new_conversation()) as socket:
        socket.say("Hello")
        told = {frame["metadata"]["turnId"] for frame in socket.receive_turn(60)}
    (turn_id,) = told
    (asked,) = stack.model.requests
    assert asked.headers["x-correlation-id"] == turn_id
    assert asked.headers["traceparent"] == f"00-{turn_id}-{turn_id[:16]}-00"
    wait_until(lambda: set(messages(stack, "turn-worker", turn_id)) >= MESSAGES_OF_A_TURN, "the worker's lines")
    wait_until(lambda: messages(stack, "websocket-api", turn_id), "the line of the message")
    assert messages(stack, "websocket-api", turn_id) == ["socket_event"]


def test_a_message_over_rest_is_answered_with_its_correlation_id(stack: DeployedStack):
    with stack.rest() as rest:
        answer = rest.chat("Hello", new_conversation())
        plain = rest.chat("Hello")
        health = rest.client.get("health")
    turn_id = answer.headers["x-correlation-id"]
    assert [asked.headers["x-correlation-id"] for asked in stack.model.requests] == [
        turn_id,
        plain.headers["x-correlation-id"],
    ]
    assert set(messages(stack, "http-api", turn_id)) >= MESSAGES_OF_A_TURN | {"request"}
    assert "x-correlation-id" not in health.headers


def test_a_message_over_the_stream_api_is_answered_with_its_correlation_id(stack: DeployedStack):
    asked = {
        "messages": [{"role": "user", "content": "Hello"}],
        "metadata": {"conversationId": new_conversation()},
        "stream": True,
    }
    with stack.stream() as stream:
        answer = stream.post("v1/chat/completions", json=asked)
    turn_id = answer.headers["x-correlation-id"]
    assert stack.model.requests[0].headers["x-correlation-id"] == turn_id
    wait_until(lambda: "request" in messages(stack, "stream-api", turn_id), "the line of the request")
    assert set(messages(stack, "stream-api", turn_id)) >= MESSAGES_OF_A_TURN
