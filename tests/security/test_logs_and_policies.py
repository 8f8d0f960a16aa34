"""What the whole session has logged, and asked of AWS. ``tests/conftest.py`` has these tests come last."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.audit import Call, Grant
from tests.clients import SAID, Rest, new_conversation
from tests.scripted_model import Reply
from tests.stack import FUNCTIONS, MODEL_API_TOKEN, DeployedStack

PIECE_OF_A_TOKEN = re.compile(r"eyJ[\w-]{8,}")
"""Every JSON Web Token, good or forged, begins so: with ``{"`` in base64."""
QUERY = re.compile(r"\w[?&][\w-]+=")

BY_THE_SERVICE = {
    "logs:CreateLogStream": "Lambda writes a function's output to its log group",
    "logs:PutLogEvents": "Lambda writes a function's output to its log group",
    "dynamodb:DescribeStream": "Lambda reads the table's stream, to call the janitor",
    "dynamodb:GetRecords": "Lambda reads the table's stream, to call the janitor",
    "dynamodb:GetShardIterator": "Lambda reads the table's stream, to call the janitor",
    "dynamodb:ListStreams": "Lambda reads the table's stream, to call the janitor",
    "sqs:SendMessage": "Lambda puts an event that failed for good into the queue of the function's destination",
}
"""What AWS does in a function's name: with its role, but not by its code, so none of it is among the calls."""

BY_A_TEST = ":no-such-function"
"""What a test tells the functions to call, to see what becomes of it."""

NEEDED = {"integration", "faults", "security"}
"""Tests that make the functions do everything they can do."""


@pytest.fixture(scope="module")
def logs(stack: DeployedStack) -> dict[str, str]:
    """Everything that each function has logged, the last of it under provocation."""
    provoke(stack, f"marker-{uuid.uuid4().hex}")
    return {function: "\n".join(stack.logs(function)) for function in FUNCTIONS}


def provoke(stack: DeployedStack, word: str) -> None:
    """Have a word wherever a log could get it from: messages, settings, broken JSON, queries, errors of the model."""
    SAID.add(word)
    conversation = new_conversation("marked")
    refusal = json.dumps({"errors": [{"code": 8000, "message": f"AiError: Cannot answer: {word}"}]}).encode()
    failures = {f"Please fail with {status}, {word}": status for status in (400, 413, 422, 500, 503)}
    for asked, status in failures.items():
        stack.model.when_asked(asked, *[Reply(status=status, raw=refusal)] * 3)
    with stack.rest() as rest, ThreadPoolExecutor(len(failures)) as pool:
        assert min(answer.status_code for answer in pool.map(rest.chat, failures)) >= 400
    with stack.rest() as rest, stack.socket(conversation, via="query") as socket:
        rest.client.put(f"conversation/{conversation}/state", json={"context": {"systemPrompt": word}, "userId": word})
        rest.chat(word, conversation)
        socket.ask(f"{word} over WebSocket")
        for text in (word, json.dumps({"type": word}), json.dumps({"type": "chat", "role": word})):
            socket.send_text(text)
        socket.drain()
        rest.client.post("api/copilotedge", content=word)
        rest.client.get(f"conversation/{conversation}/messages?limit={word}&before={word}")
        rest.client.get(f"conversations?cursor={word}&q={word}")
        rest.client.patch(f"conversation/{conversation}", json={"title": word})
        rest.client.get(f"conversation/{conversation}/export?format={word}")
    with Rest(stack.http_url, word) as rest:
        rest.client.get(f"conversations?token={word}")


def test_no_message_is_in_a_log(logs: dict[str, str]):
    forms = {form for text in SAID for form in (text, json.dumps(text)[1:-1])}
    assert {(function, text[:100]) for function, log in logs.items() for text in forms if text in log} == set()


def test_no_token_is_in_a_log(stack: DeployedStack, logs: dict[str, str]):
    tokens = [*stack.tokens.values(), stack.endpoints.token or "no token"]
    assert PIECE_OF_A_TOKEN.match(stack.token())
    assert {piece for log in logs.values() for piece in PIECE_OF_A_TOKEN.findall(log)} == set()
    assert [part for token in tokens for part in token.split(".") for log in logs.values() if part in log] == []


def test_no_secret_is_in_a_log(stack: DeployedStack, logs: dict[str, str]):
    secrets = [MODEL_API_TOKEN, *stack.signing_keys.values()]
    with stack.rest() as rest:
        rest.chat("With which token?")
    assert stack.model.requests[-1].headers["authorization"] == f"Bearer {MODEL_API_TOKEN}"
    assert [secret for secret in secrets if secret for log in logs.values() if secret in log] == []


def test_no_query_string_is_in_a_log(logs: dict[str, str]):
    assert {piece for log in logs.values() for piece in QUERY.findall(log)} == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_was_never_refused_what_it_asked_of_aws(stack: DeployedStack, function: str):
    calls, grants = calls_of(stack, function), stack.grants(function)
    assert {call for call in calls if not call.allowed} == set()
    assert [call for call in calls if not any(grant.covers(call) for grant in grants)] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_nothing_that_it_never_did(
    stack: DeployedStack, function: str, request: pytest.FixtureRequest
):
    """Nothing is missing above, nothing is too much here: a role allows what the code does."""
    if not {item.path.parent.name for item in request.session.items} >= NEEDED:
        pytest.skip("only a full run makes all calls")
    calls = calls_of(stack, function)
    assert [grant for grant in by_the_code(stack.grants(function)) if not any(map(grant.covers, calls))] == []


def calls_of(stack: DeployedStack, function: str) -> set[Call]:
    found = {call for call in stack.calls() if call.function == stack.function_name(function)}
    return {call for call in found if not call.resource.endswith(BY_A_TEST)}


def by_the_code(grants: list[Grant]) -> list[Grant]:
    return [grant for grant in grants if grant.action not in BY_THE_SERVICE]


def test_no_role_allows_a_whole_service_or_any_resource(stack: DeployedStack):
    """Listing streams is the one action that AWS allows on all resources or none."""
    grants = {grant for function in FUNCTIONS for grant in stack.grants(function)}
    assert {grant.action for grant in grants if "*" in grant.action} == set()
    assert {grant.action for grant in grants if grant.resource == "*"} <= {"dynamodb:ListStreams"}
