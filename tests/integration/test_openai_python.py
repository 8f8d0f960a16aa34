"""The official ``openai`` package for Python, as it is, with the deployed stack."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent

from local.places import CHECKOUT
from tests.clients import new_conversation, remember
from tests.scripted_model import Call, Reply
from tests.stack import DeployedStack, wait_until

WEATHER: dict[str, Any] = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
OSLO = Call("weather", '{"city": "Oslo"}')
WORDS = [f"word{n} " for n in range(40)]
STORY = "".join(WORDS)


@pytest.fixture
def client(stack: DeployedStack) -> Iterator[OpenAI]:
    with client_of(stack) as client:
        yield client


def client_of(stack: DeployedStack, token: str = "") -> OpenAI:
    """A client that says what goes wrong at once, instead of trying again."""
    return OpenAI(base_url=f"{stack.stream_url}/v1", api_key=token or stack.token(), max_retries=0)


def ask(client: OpenAI, text: str, conversation: str = "", **more: Any) -> Any:
    remember({"content": text})
    named = {"metadata": {"conversationId": conversation}} if conversation else {}
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **named, **more)


def texts_of(client: OpenAI, conversation: str, **query: Any) -> list[str]:
    items = client.conversations.items.list(conversation, **query)
    return [part.text for item in items if item.type == "message" for part in item.content]


def held(*chunks: str) -> tuple[Reply, threading.Event]:
    """An answer that stays behind its first chunk until the event is set."""
    gate = threading.Event()
    return Reply(chunks=chunks, gate=gate, gate_after=1), gate


def test_a_chat(client: OpenAI):
    answer = ask(client, "Hello there, Python")
    assert answer.choices[0].message.content == "You said: Hello there, Python"
    assert (answer.choices[0].finish_reason, answer.usage.total_tokens) == ("stop", 15)


def test_the_first_chunk_arrives_while_the_model_is_still_generating(stack: DeployedStack, client: OpenAI):
    gate, half = threading.Event(), len(WORDS) // 2
    stack.model.script(Reply(chunks=WORDS, delay_between=0.05, gate=gate, gate_after=half))
    arrived: list[tuple[float, str]] = []
    for chunk in ask(client, "A slow story", stream=True):
        if text := chunk.choices[0].delta.content:
            arrived.append((time.time(), text))
            if len(arrived) == 1:
                assert stack.model.requests[0].outcome == ""
            if "".join(text for _, text in arrived) == "".join(WORDS[:half]):
                gate.set()
    [request] = stack.model.wait_for_outcomes(1)
    assert "".join(text for _, text in arrived) == STORY
    assert "".join(text for when, text in arrived if when < request.ended_at).startswith("".join(WORDS[:half]))


def test_a_stream_tells_its_usage_when_asked(client: OpenAI):
    *_, last = ask(client, "How much?", stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage.total_tokens) == ([], 15)


def test_tool_calls_go_round(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply(calls=[OSLO]), Reply("It is 12 degrees."))
    tools: Any = [{"type": "function", "function": WEATHER}]
    said: list[Any] = [{"role": "user", "content": "How warm is it in Oslo?"}]
    first = client.chat.completions.create(model="m", messages=said, tools=tools).choices[0]
    call = first.message.tool_calls[0]
    assert (first.finish_reason, call.function.name, call.function.arguments) == (
        "tool_calls",
        "weather",
        OSLO.arguments,
    )
    said += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "12"}]
    second = client.chat.completions.create(model="m", messages=said, tools=tools)
    assert second.choices[0].message.content == "It is 12 degrees."
    assert stack.model.requests[1].body["messages"][-1]["tool_call_id"] == call.id


def test_tool_calls_are_put_together_by_the_streaming_helper(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply("Let me see. ", calls=[OSLO]))
    tools: Any = [{"type": "function", "function": WEATHER}]
    said: Any = [{"role": "user", "content": "How warm is it in Oslo?"}]
    with client.chat.completions.stream(model="m", messages=said, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    assert (message.content, message.tool_calls[0].function.arguments) == ("Let me see. ", OSLO.arguments)


def test_the_models(client: OpenAI):
    names = [model.id for model in client.models.list()]
    assert "@cf/meta/llama-3.1-8b-instruct" in names
    assert client.models.retrieve(names[0]).id == names[0]


def test_a_chat_that_names_a_conversation_needs_its_new_message_only(stack: DeployedStack, client: OpenAI):
    conversation = new_conversation()
    ask(client, "First words", conversation)
    answer = ask(client, "Second words", conversation, stream=True)
    assert answer.response.headers["x-conversation-id"] == conversation
    assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == "You said: Second words"
    assert len(stack.model.requests[1].body["messages"]) == 3
    assert len(texts_of(client, conversation)) == 4


def test_a_conversation_is_made_filled_read_and_deleted(client: OpenAI):
    made = client.conversations.create(metadata={"topic": "tea"}, items=[{"role": "user", "content": "Is it hot?"}])
    client.conversations.items.create(made.id, items=[{"role": "assistant", "content": "Very hot."}])
    assert client.conversations.retrieve(made.id).metadata == {"topic": "tea"}
    assert client.conversations.update(made.id, metadata={"topic": "coffee"}).metadata == {"topic": "coffee"}
    [newest, _] = client.conversations.items.list(made.id)
    assert client.conversations.items.retrieve(newest.id, conversation_id=made.id).content[0].text == "Very hot."
    response = client.responses.create(input="And now?", conversation=made.id)
    assert texts_of(client, made.id)[0] == response.output_text
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_items_come_page_by_page(client: OpenAI, order: Any):
    texts = [f"This is text {n}" for n in range(11)]
    made = client.conversations.create(items=[{"role": "user", "content": text} for text in texts])
    found = texts_of(client, made.id, limit=4, order=order)
    assert found == (texts if order == "asc" else texts[::-1])


def test_responses_go_on_from_each_other(client: OpenAI):
    first = client.responses.create(model="m", input="Once upon a time")
    second = client.responses.create(model="m", input="And then?", previous_response_id=first.id)
    assert second.output_text == "You said: And then?"
    assert client.responses.retrieve(first.id).output_text == first.output_text
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="m", input="Or else?", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_last"


def test_a_function_call_goes_round_in_a_conversation(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply("Let me see. ", calls=[OSLO]), Reply("It is 12 degrees."))
    tools: Any = [{"type": "function", **WEATHER, "strict": False}]
    with client.responses.stream(model="m", input="How warm is it?", tools=tools) as stream:
        first = stream.get_final_response()
    [call] = [item for item in first.output if item.type == "function_call"]
    assert (call.name, call.arguments) == ("weather", OSLO.arguments)
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "12"}]
    second = client.responses.create(input=result, previous_response_id=first.id, tools=tools)
    assert second.output_text == "It is 12 degrees."


def read_some(stream: Any, most: int) -> list[ResponseStreamEvent]:
    """Up to so many events, then cut."""
    with stream:
        return list(islice(stream, most))


@pytest.mark.parametrize("background", [False, True], ids=["in this process", "in a worker"])
@pytest.mark.parametrize("seed", range(3))
def test_a_response_is_resumed_after_a_cut_at_any_event(
    stack: DeployedStack, client: OpenAI, seed: int, background: bool
):
    """Cut again and again, at random events, while the model talks and after it."""
    chance = random.Random(seed)
    stack.model.script(Reply(chunks=WORDS, delay_between=0.03))
    seen = read_some(client.responses.create(input="Tell me", stream=True, background=background), chance.randint(1, 9))
    response_id = seen[0].response.id
    while seen[-1].type != "response.completed":
        after = seen[-1].sequence_number
        again = client.responses.retrieve(response_id, stream=True, starting_after=after)
        seen += read_some(again, chance.randint(1, 9))
    numbers = [event.sequence_number for event in seen]
    assert numbers == sorted(set(numbers))
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == STORY
    assert seen[-1].response.output_text == STORY
    assert len(stack.model.requests) == 1


def test_the_helper_replays_a_response(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply(chunks=WORDS))
    first = client.responses.create(input="Tell me")
    with client.responses.stream(response_id=first.id, starting_after=20) as stream:
        assert min(event.sequence_number for event in stream) > 20
        assert stream.get_final_response().output_text == STORY


def test_a_response_outlives_the_process_that_gave_it(stack: DeployedStack, client: OpenAI):
    """It is begun anew, as another item, which is told to whoever comes back."""
    stack.model.script(Reply(chunks=["Once ", "upon "], stall_after=2), Reply(chunks=["A ", "new ", "begin."]))
    with stack.settings("stream-api", "turn-worker", LEASE_SECONDS="4"):
        stream = client.responses.create(input="Tell me", stream=True)
        seen = read_some(stream, 6)
        stack.kill("stream-api")
        with client_of(stack) as again:
            rest = again.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number)
            seen += list(rest)
    items = [event.item.id for event in seen if event.type == "response.output_item.added"]
    assert len(set(items)) == 2
    assert seen[-1].response.output_text == "A new begin."
    said = [event for event in seen if event.type == "response.output_text.delta" and event.item_id == items[-1]]
    assert "".join(event.delta for event in said) == "A new begin."


def settled(client: OpenAI, response_id: str) -> Response:
    def ended() -> bool:
        return client.responses.retrieve(response_id).status not in ("queued", "in_progress")

    wait_until(ended, "the response", timeout=60)
    return client.responses.retrieve(response_id)


def test_a_response_in_the_background_is_polled_for(client: OpenAI):
    response = client.responses.create(input="Take your time", background=True)
    assert response.status in ("queued", "in_progress")
    assert settled(client, response.id).output_text == "You said: Take your time"


def test_a_response_in_the_background_is_cancelled(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply(chunks=WORDS, stall_after=2))
    response = client.responses.create(input="Take your time", background=True)
    heard = ""
    with client.responses.retrieve(response.id, stream=True) as events:
        while heard != "word0 word1 ":
            event = next(events)
            heard += event.delta if event.type == "response.output_text.delta" else ""
    assert client.responses.cancel(response.id).status == "cancelled"
    assert client.responses.retrieve(response.id).output_text == "word0 word1 "


def test_a_stream_is_cancelled(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply(chunks=WORDS, stall_after=2))
    stream = client.responses.create(input="Tell me", stream=True)
    seen: list[Any] = []
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta" and "word1" in event.delta:
            client.responses.cancel(seen[0].response.id)
    assert (seen[-1].type, seen[-1].response.status) == ("response.incomplete", "cancelled")
    assert seen[-1].response.output_text == "word0 word1 "


def test_a_client_that_hangs_up_does_not_lose_the_turn(stack: DeployedStack, client: OpenAI):
    reply, gate = held("Once ", "upon ", "a time.")
    stack.model.script(reply)
    conversation = new_conversation()
    with ask(client, "Tell me a story", conversation, stream=True) as stream:
        assert any(chunk.choices[0].delta.content for chunk in stream)
    gate.set()
    wait_until(lambda: len(texts_of(client, conversation)) == 2, "the answer")
    assert texts_of(client, conversation)[0] == "Once upon a time."


def test_errors_are_the_clients_own(stack: DeployedStack, client: OpenAI):
    with pytest.raises(openai.AuthenticationError) as nobody, client_of(stack, "no-token") as stranger:
        stranger.models.list()
    with pytest.raises(openai.NotFoundError) as nothing:
        client.responses.retrieve("resp_nothing")
    with pytest.raises(openai.BadRequestError) as two:
        ask(client, "Say it twice", n=2)
    assert [refused.value.code for refused in (nobody, nothing, two)] == [
        "token_invalid",
        "not_found",
        "unsupported_parameter",
    ]
    assert two.value.request_id


def test_a_limit_is_the_clients_own_error(stack: DeployedStack):
    with (
        stack.settings("stream-api", RATE_LIMIT_PER_MINUTE="1"),
        client_of(stack, stack.token(new_conversation("eager"))) as client,
    ):
        ask(client, "The first one")
        with pytest.raises(openai.RateLimitError) as refused:
            ask(client, "One too many")
    assert (refused.value.code, refused.value.response.headers["x-ratelimit-remaining"]) == ("rate_limited", "0")


def test_an_error_behind_the_first_word_is_raised(stack: DeployedStack, client: OpenAI):
    stack.model.script(Reply(chunks=WORDS, cut_after=3))
    with pytest.raises(openai.APIError) as broken:
        list(ask(client, "Tell me", stream=True))
    assert broken.value.code == "model_interrupted"


def test_a_key_of_the_clients_own_makes_it_safe_to_ask_again(client: OpenAI):
    conversation, key = new_conversation(), {"Idempotency-Key": "k-1"}
    answers = [ask(client, "Only once", conversation, extra_headers=key) for _ in range(2)]
    assert answers[0].choices == answers[1].choices
    assert len(texts_of(client, conversation)) == 2


def test_the_code_in_the_readme_works(stack: DeployedStack):
    [code] = re.findall(r"```python\n(from openai .*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    named = {"OPENAI_BASE_URL": f"{stack.stream_url}/v1", "OPENAI_API_KEY": stack.token(new_conversation("reader"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | named, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "You said: Hello again!You said: And then?", done.stderr
