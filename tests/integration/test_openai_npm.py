"""The official ``openai`` package for JavaScript, as it is, with the deployed stack."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import node
from tests.clients import new_conversation
from tests.scripted_model import Call, Reply
from tests.stack import DeployedStack, wait_until

PLACE = Path(__file__).parent / "openai_npm"
OSLO = Call("weather", '{"city": "Oslo"}')
WORDS = [f"word{n} " for n in range(40)]
STORY = "".join(WORDS)

Check = Callable[..., Any]


@pytest.fixture(scope="module")
def packages() -> Path:
    return node.packages_of(PLACE)


@pytest.fixture
def check(stack: DeployedStack, packages: Path) -> Check:
    """What the client saw in one of its checks."""

    def run(name: str, *more: str, user: str = "alice") -> Any:
        url, token = f"{stack.stream_url}/v1", stack.token(user)
        return json.loads(node.run(PLACE / "client.mjs", packages, name, url, token, *more))

    return run


def test_a_chat(check: Check):
    assert check("chat") == ["You said: Hello there, Node", 15]


def test_chunks_arrive_while_the_model_is_still_generating(stack: DeployedStack, check: Check):
    stack.model.script(Reply(chunks=WORDS, delay_between=0.15))
    arrived = check("stream")
    [request] = stack.model.wait_for_outcomes(1)
    assert "".join(text for _, text in arrived) == STORY
    assert arrived[0][0] < request.ended_at
    assert sum(when < request.ended_at for when, _ in arrived) > len(arrived) / 2


def test_tool_calls_go_round(stack: DeployedStack, check: Check):
    stack.model.script(Reply("Let me see. ", calls=[OSLO]), Reply("It is 12 degrees."))
    assert check("tools") == ["tool_calls", OSLO.arguments, "It is 12 degrees."]


def test_the_models(check: Check):
    names, first = check("models")
    assert "@cf/meta/llama-3.1-8b-instruct" in names and first == names[0]


def test_a_conversation_is_made_filled_read_and_deleted(check: Check):
    assert check("conversations") == {
        "metadata": {"topic": "tea"},
        "texts": ["Is it hot?", "Very hot.", "And now?", "You said: And now?", "And then?", "You said: And then?"],
        "output": "You said: And then?",
        "deleted": True,
    }


def test_a_function_call_goes_round_in_a_conversation(stack: DeployedStack, check: Check):
    stack.model.script(Reply("Let me see. ", calls=[OSLO]), Reply("It is 12 degrees."))
    assert check("functionCall") == ["weather", OSLO.arguments, "It is 12 degrees."]


@pytest.mark.parametrize("where", ["foreground", "background"])
def test_a_response_is_resumed_after_a_cut_at_any_event(stack: DeployedStack, check: Check, where: str):
    """Cut again and again, at random events, while the model talks and after it."""
    cuts = [random.Random(where).randint(1, 9) for _ in range(7)]
    stack.model.script(Reply(chunks=WORDS, delay_between=0.03))
    seen = check("resume", where, json.dumps(cuts))
    assert seen["numbers"] == sorted(set(seen["numbers"]))
    assert seen["text"] == seen["output"] == seen["replayed"] == STORY
    assert len(stack.model.requests) == 1


def test_a_response_in_the_background_is_polled_for(check: Check):
    status, text = check("background")
    assert status in ("queued", "in_progress") and text == "You said: Take your time"


def test_a_stream_is_cancelled(stack: DeployedStack, check: Check):
    stack.model.script(Reply(chunks=WORDS, stall_after=2))
    assert check("cancel") == ["cancelled", "word0 word1 "]


def test_a_client_that_hangs_up_does_not_lose_the_turn(stack: DeployedStack, check: Check):
    gate, conversation = threading.Event(), new_conversation()
    stack.model.script(Reply(chunks=["Once ", "upon ", "a time."], gate=gate, gate_after=1))
    assert check("hangUp", conversation) == "gone"
    gate.set()
    with stack.rest() as rest:
        wait_until(lambda: len(rest.log(conversation)) == 2, "the answer")
        assert rest.log(conversation)[1] == ("assistant", "Once upon a time.")


def test_errors_are_the_clients_own(check: Check):
    assert check("errors") == [
        ["AuthenticationError", 401, "token_invalid"],
        ["NotFoundError", 404, "not_found"],
        ["BadRequestError", 400, "unsupported_parameter"],
    ]


def test_a_limit_is_the_clients_own_error(stack: DeployedStack, check: Check):
    with stack.settings("stream-api", RATE_LIMIT_PER_MINUTE="1"):
        assert check("limit", user=new_conversation("eager")) == ["RateLimitError", 429, "rate_limited"]
