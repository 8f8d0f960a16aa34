"""What answers cost, wherever it is told, on the deployed stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients import new_conversation
from tests.stack import DeployedStack, wait_until

COST_USD = 0.000006955
"""Of the scripted model's 10 and 5 tokens, at the default model's price."""
HEADER = "0.000006955"


def lines(stack: DeployedStack, function: str) -> list[dict[str, Any]]:
    """What the function has logged as JSON."""
    return [json.loads(line) for line in stack.logs(function) if line.startswith("{")]


def test_an_answer_over_rest_tells_its_cost(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        answer = rest.chat("Hello", conversation)
        (_, kept) = rest.history(conversation)["messages"]
    assert (answer.headers["x-cost-usd"], answer.headers["x-usage-tokens"]) == (HEADER, "15")
    assert answer.json()["usage"]["cost_usd"] == COST_USD
    assert kept["costUsd"] == COST_USD


def test_a_stateless_answer_tells_its_cost(stack: DeployedStack):
    with stack.rest() as rest:
        answer = rest.chat("Hello")
    assert (answer.headers["x-cost-usd"], answer.json()["usage"]["cost_usd"]) == (HEADER, COST_USD)


def test_an_answer_over_a_socket_tells_its_cost(stack: DeployedStack):
    with stack.socket(new_conversation()) as socket:
        socket.say("Hello")
        (answer,) = (f for f in socket.receive_turn() if f["type"] == "chat" and f["role"] == "assistant")
    assert answer["metadata"]["costUsd"] == COST_USD


def test_a_conversations_costs_add_up_until_it_is_cleared(stack: DeployedStack):
    conversation, user = new_conversation(), "dora"
    with stack.rest(user) as rest:
        for _ in range(3):
            rest.chat("Hello", conversation)
        state = rest.client.get(f"conversation/{conversation}/state").json()
        (listed,) = (c for c in list_of(rest.client) if c["conversationId"] == conversation)
        rest.client.post(f"conversation/{conversation}/clear")
        cleared = rest.client.get(f"conversation/{conversation}/state").json()
    assert [entry["totalCostUsd"] for entry in (state, listed)] == [pytest.approx(3 * COST_USD)] * 2
    assert cleared["totalCostUsd"] == 0


def list_of(client: Any) -> list[dict[str, Any]]:
    conversations: list[dict[str, Any]] = client.get("conversations").json()["conversations"]
    return conversations


def test_a_model_without_a_price_has_no_cost(stack: DeployedStack):
    conversation = new_conversation()
    with stack.rest() as rest:
        answer = rest.chat("Hello", conversation, model="@cf/new")
        (_, kept) = rest.history(conversation)["messages"]
        state = rest.client.get(f"conversation/{conversation}/state").json()
    assert "x-cost-usd" not in answer.headers
    assert "cost_usd" not in answer.json()["usage"]
    assert "costUsd" not in kept
    assert state["totalCostUsd"] == 0


def test_prices_of_ones_own_count(stack: DeployedStack):
    table = json.dumps({"mine": {"input": 1, "output": 2}})
    with stack.settings("http-api", PRICE_TABLE=table, MODEL="mine"), stack.rest() as rest:
        answer = rest.chat("Hello")
        models = rest.client.get("models").json()
    assert answer.headers["x-cost-usd"] == "0.000020000"
    assert models["default"] == "mine"
    assert {"id": "mine", "inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0} in models["models"]


def test_the_models_are_listed_with_their_prices(stack: DeployedStack):
    with stack.rest() as rest:
        body = rest.client.get("models").json()
    priced = {model["id"]: model["inputUsdPerMillion"] for model in body["models"]}
    assert priced[body["default"]] == 0.282


def test_turns_are_logged_with_their_cost_and_counted_for_cloudwatch(stack: DeployedStack):
    with stack.settings("turn-worker", STACK_NAME="counted"), stack.socket(new_conversation()) as socket:
        socket.ask("Hello")

    def counted() -> list[dict[str, Any]]:
        return [line for line in lines(stack, "turn-worker") if line.get("stack") == "counted"]

    wait_until(lambda: any("Turns" in line for line in counted()), "the end of the worker's invocation")
    assert [line["CostUsd"] for line in counted() if "CostUsd" in line] == [[COST_USD]]
    assert [line["verdict"] for line in counted() if "Turns" in line] == ["answered"]
    ended = [line for line in lines(stack, "turn-worker") if line.get("message") == "turn_ended"]
    assert (ended[-1]["tokens"], ended[-1]["cost_usd"]) == (15, COST_USD)


def test_an_answer_of_the_stream_api_tells_its_cost_and_is_counted(stack: DeployedStack):
    asked = {"messages": [{"role": "user", "content": "Hello"}]}
    with stack.settings("stream-api", STACK_NAME="streaming"), stack.stream() as stream:
        answer = stream.post("v1/chat/completions", json=asked)
        chunks = stream.post(
            "v1/chat/completions", json=asked | {"stream": True, "stream_options": {"include_usage": True}}
        )
    assert (answer.headers["x-cost-usd"], answer.json()["usage"]["cost_usd"]) == (HEADER, COST_USD)
    assert f'"cost_usd":{COST_USD}' in chunks.text.replace(" ", "")
    counted = [line for line in lines(stack, "stream-api") if line.get("stack") == "streaming"]
    assert [line["CostUsd"] for line in counted if "CostUsd" in line] == [[COST_USD]] * 2
