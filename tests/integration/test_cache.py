"""Stateless answers that are given again, on the deployed stack."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients import new_conversation
from tests.stack import DeployedStack, wait_until

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module", autouse=True)
def caching(stack: DeployedStack) -> Iterator[None]:
    with stack.settings("http-api", "stream-api", RESPONSE_CACHE_SECONDS="60"):
        yield


@pytest.fixture
def question() -> str:
    """One that nobody has asked before."""
    return f"What is {uuid.uuid4().hex}?"


def text_of(answer: httpx.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def said_in(stream: httpx.Response) -> str:
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


def cached(stack: DeployedStack, user: str) -> int:
    """How many answers the table keeps for the user."""
    found = stack.client("dynamodb").query(
        TableName=stack.table_name,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :low)",
        ExpressionAttributeValues={":pk": {"S": f"USER#{user}"}, ":low": {"S": "CACHE#"}},
    )
    return len(found["Items"])


def test_the_second_time_the_same_question_makes_no_model_call(stack: DeployedStack, question: str):
    with stack.rest() as rest:
        first, second = (rest.chat(question, temperature=0) for _ in range(2))
    assert [answer.headers["x-cache"] for answer in (first, second)] == ["MISS", "HIT"]
    assert text_of(first) == text_of(second) == f"You said: {question}"
    assert len(stack.model.requests) == 1


def test_an_answer_that_is_given_again_costs_nothing(stack: DeployedStack, question: str):
    with stack.rest() as rest:
        rest.chat(question, temperature=0)
        again = rest.chat(question, temperature=0)
    assert (again.headers["x-usage-tokens"], again.headers["x-cost-usd"]) == ("0", "0.000000000")
    assert again.json()["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost_usd": 0}


def test_another_user_does_not_get_it(stack: DeployedStack, question: str):
    with stack.rest("alice") as alice, stack.rest("bob") as bob:
        assert [rest.chat(question, temperature=0).headers["x-cache"] for rest in (alice, bob)] == ["MISS", "MISS"]
    assert len(stack.model.requests) == 2


def test_another_question_does_not_get_it(stack: DeployedStack, question: str):
    with stack.rest() as rest:
        rest.chat(question, temperature=0)
        for other in ({"temperature": 0.1}, {"max_tokens": 7}, {"model": "@cf/openai/gpt-oss-20b"}, {"seed": 1}):
            assert rest.chat(question, **({"temperature": 0} | other)).headers["x-cache"] == "MISS", other


@pytest.mark.parametrize(
    "more", [{}, {"temperature": 0.9}, {"temperature": 0, "tools": [TOOL]}], ids=["no temperature", "hot", "tools"]
)
def test_what_may_vary_is_never_cached(stack: DeployedStack, question: str, more: dict[str, Any]):
    with stack.rest() as rest:
        answers = [rest.chat(question, **more) for _ in range(2)]
    assert [(answer.status_code, answer.headers.get("x-cache")) for answer in answers] == [(200, None)] * 2
    assert len(stack.model.requests) == 2


def test_a_conversation_is_never_cached(stack: DeployedStack, question: str):
    with stack.rest() as rest:
        answers = [rest.chat(question, new_conversation(), temperature=0) for _ in range(2)]
    assert [answer.headers.get("x-cache") for answer in answers] == [None, None]
    assert len(stack.model.requests) == 2


def test_a_streamed_answer_is_given_again_as_a_stream(stack: DeployedStack, question: str):
    with stack.rest() as rest:
        rest.chat(question, temperature=0)
        again = rest.chat(question, temperature=0, stream=True)
    assert (again.headers["x-cache"], said_in(again)) == ("HIT", f"You said: {question}")


def test_both_apis_give_the_same_answers_again(stack: DeployedStack, question: str):
    asked = {"messages": [{"role": "user", "content": question}], "temperature": 0}
    with stack.rest() as rest, stack.stream() as stream:
        first = stream.post("v1/chat/completions", json=asked)
        again = stream.post("v1/chat/completions", json=asked | {"stream": True})
        elsewhere = rest.chat(question, temperature=0)
    assert [answer.headers["x-cache"] for answer in (first, again, elsewhere)] == ["MISS", "HIT", "HIT"]
    assert said_in(again) == f"You said: {question}"
    assert len(stack.model.requests) == 1


def test_who_is_forgotten_leaves_no_answers(stack: DeployedStack, question: str):
    user = f"carol-{uuid.uuid4().hex[:8]}"
    with stack.rest(user) as rest:
        rest.chat(question, temperature=0)
        assert cached(stack, user) == 1
        assert rest.client.delete("users/me").status_code == 202
    wait_until(lambda: not cached(stack, user), "the user to be forgotten", timeout=30)
