"""Chat completions, and the models, as OpenAI's clients ask for them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from copilotedge.errors import Conflict, CopilotEdgeError, LimitExceeded, StoreUnavailable
from copilotedge.wiring import Application
from tests.scripted_model import Call, Reply, ScriptedModel

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OSLO = Call("weather", '{"city": "Oslo"}')


async def ask(client: httpx.AsyncClient, text: str = "Hello", key: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "a-model", "messages": [{"role": "user", "content": text}]} | fields
    return await client.post("/v1/chat/completions", json=body, headers={"idempotency-key": key} if key else {})


def chunks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def log_of(app: Application, name: str = "c1") -> list[tuple[str, str]]:
    page = await app.conversations.page(f"alice/{name}", 100)
    return [(message.role, message.content) for message in page.messages]


async def test_an_answer_is_a_completion(client: httpx.AsyncClient, model: ScriptedModel):
    answer = await ask(client)
    choice = answer.json()["choices"][0]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "You said: Hello"},
        "finish_reason": "stop",
    }
    assert answer.json()["object"] == "chat.completion" and "conversationId" not in answer.json()
    assert model.requests[0].model == "a-model"


async def test_a_stream_is_chunks_until_it_is_done(client: httpx.AsyncClient):
    answer = await ask(client, stream=True)
    chunks = chunks_of(answer)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "You said: Hello"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_usage_is_streamed_to_those_who_ask(client: httpx.AsyncClient):
    chunks = chunks_of(await ask(client, stream=True, stream_options={"include_usage": True}))
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 15)


async def test_what_the_model_is_asked_with_is_handed_on(client: httpx.AsyncClient, model: ScriptedModel):
    options = {"tools": [WEATHER], "tool_choice": "auto", "top_p": 0.5, "stop": ["\n"], "seed": 7, "user": "u-1"}
    await ask(client, **options, max_completion_tokens=9)
    body = model.requests[0].body
    assert {name: body.get(name) for name in options} == options | {"user": None}
    assert body["max_tokens"] == 9


async def test_tool_calls_go_out_and_results_come_back(client: httpx.AsyncClient, model: ScriptedModel):
    model.script(Reply(calls=[OSLO]), Reply("12 degrees."))
    first = (await ask(client, tools=[WEATHER])).json()["choices"][0]
    assert (first["finish_reason"], first["message"]["content"]) == ("tool_calls", None)
    result = {"role": "tool", "tool_call_id": first["message"]["tool_calls"][0]["id"], "content": "12"}
    said = [{"role": "user", "content": "How warm is it?"}, first["message"], result]
    second = await ask(client, messages=said, tools=[WEATHER])
    assert second.json()["choices"][0]["message"]["content"] == "12 degrees."
    assert [message["role"] for message in model.requests[1].body["messages"]] == ["user", "assistant", "tool"]


async def test_tool_calls_are_streamed_as_deltas(client: httpx.AsyncClient, model: ScriptedModel):
    model.script(Reply(calls=[OSLO]))
    chunks = chunks_of(await ask(client, tools=[WEATHER], stream=True))
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert {key: calls[0][key] for key in ("index", "id", "type")} == {"index": 0, "id": "call-1", "type": "function"}
    assert "".join(call["function"]["arguments"] for call in calls) == OSLO.arguments
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "naming", [{"conversationId": "c1"}, {"metadata": {"conversationId": "c1"}}, {"extra_header": "c1"}]
)
async def test_a_named_conversation_needs_new_messages_only(
    client: httpx.AsyncClient, app: Application, model: ScriptedModel, naming: dict[str, Any]
):
    header = naming.pop("extra_header", "")
    client.headers.update({"x-conversation-id": header} if header else {})
    await ask(client, "One", **naming)
    answer = await ask(client, "Two", **naming)
    assert (answer.json()["conversationId"], answer.headers["x-conversation-id"]) == ("c1", "c1")
    assert [message["content"] for message in model.requests[1].body["messages"]] == ["One", "You said: One", "Two"]
    assert len(await log_of(app)) == 4


async def test_a_repeated_key_gets_the_same_answer(client: httpx.AsyncClient, app: Application):
    answers = [await ask(client, key="k-1", conversationId="c1") for _ in range(2)]
    assert answers[0].json()["choices"] == answers[1].json()["choices"]
    assert len(await log_of(app)) == 2


async def test_clients_are_told_not_to_repeat_what_is_in_the_log(client: httpx.AsyncClient, model: ScriptedModel):
    model.script(*[Reply(status=400, code="bad", message="no")] * 3)
    failed = await ask(client, conversationId="c1")
    assert failed.status_code == 400 and failed.headers["x-should-retry"] == "false"
    assert "x-should-retry" not in (await ask(client, conversationId="c1", key="k-1")).headers
    assert "x-should-retry" not in (await ask(client)).headers


@pytest.mark.parametrize(("key", "told"), [("", "false"), ("k-1", None)])
async def test_clients_are_told_not_to_repeat_what_may_be_in_the_log(
    client: httpx.AsyncClient, app: Application, monkeypatch: pytest.MonkeyPatch, key: str, told: str | None
):
    monkeypatch.setattr(app.conversations, "submit", lost(app.conversations.submit))
    failed = await ask(client, conversationId="c1", key=key)
    assert error_of(failed) == (503, "store_unavailable") and len(await log_of(app)) == 1
    assert failed.headers.get("x-should-retry") == told


def lost(command: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """It is done, but nobody is told so."""

    async def done(*given: Any, **named: Any) -> Any:
        await command(*given, **named)
        raise StoreUnavailable("The store does not answer.")

    return done


@pytest.mark.parametrize(
    "error",
    [
        LimitExceeded("Slow down.", retry_after=7),
        Conflict("An answer is being written.", code="turn_running"),
        StoreUnavailable("This conversation is too busy.", code="conversation_busy", retry_after=1),
    ],
)
async def test_clients_may_repeat_what_was_refused(
    client: httpx.AsyncClient, app: Application, monkeypatch: pytest.MonkeyPatch, error: CopilotEdgeError
):
    monkeypatch.setattr(app.conversations, "submit", AsyncMock(side_effect=error))
    refused = await ask(client, conversationId="c1")
    assert error_of(refused)[1] == error.code and "x-should-retry" not in refused.headers


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"n": 2}, "unsupported_parameter"),
        ({"messages": []}, "invalid_messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "unsupported_content"),
        ({"tools": [{"type": "web_search"}]}, "unsupported_tool"),
        ({"conversationId": "not an id"}, "invalid_conversation_id"),
    ],
)
async def test_what_cannot_be_done_is_refused(client: httpx.AsyncClient, fields: dict[str, Any], code: str):
    assert error_of(await ask(client, **fields)) == (400, code)


async def test_an_error_before_the_first_word_is_a_status_of_a_stream_too(
    client: httpx.AsyncClient, model: ScriptedModel
):
    model.script(Reply(status=404, code=7003))
    answer = await ask(client, stream=True)
    assert answer.status_code >= 400 and answer.json()["error"]["message"]


async def test_an_error_behind_the_first_word_ends_the_stream(client: httpx.AsyncClient, model: ScriptedModel):
    model.script(Reply("One two three", cut_after=2))
    answer = await ask(client, stream=True)
    assert answer.status_code == 200
    assert chunks_of(answer)[-1]["error"]["code"] == "model_interrupted"
    assert "[DONE]" not in answer.text


async def test_every_answer_has_an_id_and_the_quota(client: httpx.AsyncClient):
    answers = [await ask(client), await ask(client, stream=True), await client.get("/v1/nothing")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert [answer.headers.get("x-ratelimit-limit") for answer in answers] == ["60", "60", None]


async def test_an_answer_that_takes_too_long_is_pending(serve, app: Application, model: ScriptedModel):
    app.settings = app.settings.__class__(**{**_fields(app), "stream_time_budget_seconds": 0.2})
    model.default = lambda _: Reply("Late", delay_before=5)
    async with serve() as client:
        answer = await ask(client, conversationId="c1")
        streamed = await ask(client, conversationId="c1", stream=True)
    assert error_of(answer) == (504, "answer_pending") and answer.headers["retry-after"] == "5"
    assert "/v1/responses/resp_" in answer.json()["error"]["message"]
    assert "answer_pending" in streamed.text


def _fields(app: Application) -> dict[str, Any]:
    return {name: getattr(app.settings, name) for name in app.settings.__dataclass_fields__}


async def test_models_are_listed_and_read_by_their_names(client: httpx.AsyncClient):
    listed = (await client.get("/v1/models")).json()
    name = "@cf/meta/llama-3.1-8b-instruct"
    assert listed["object"] == "list" and name in [model["id"] for model in listed["data"]]
    assert (await client.get(f"/v1/models/{name}")).json() == {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "meta",
    }
    assert error_of(await client.get("/v1/models/no/such")) == (404, "model_not_found")
