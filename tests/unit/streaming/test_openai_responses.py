"""The Responses API."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from copilotedge import transitions
from copilotedge.errors import StoreUnavailable
from copilotedge.wiring import Application
from tests.fakes import FakeWaker
from tests.scripted_model import Call, Reply, ScriptedModel

RESPONSES = "/v1/responses"
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
OSLO = Call("weather", '{"city": "Oslo"}')
STABLE = ("id", "output", "usage", "conversation")


async def ask(client: httpx.AsyncClient, said: Any = "Hello", key: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "a-model", "input": said} | fields
    return await client.post(RESPONSES, json=body, headers={"idempotency-key": key} if key else {})


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", []))


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def work(app: Application) -> None:
    """What the worker does that was woken."""
    waker = app.waker
    assert isinstance(waker, FakeWaker)
    key, _, _ = waker.pending.pop()
    run = await app.runner.claim(key, transitions.new_id())
    await app.runner.serve(run, 10**15)


async def test_an_answer_is_a_response_in_a_conversation_of_its_own(client: httpx.AsyncClient):
    response = (await ask(client, instructions="Be short.", metadata={"k": "v"})).json()
    assert (response["object"], response["status"], text_of(response)) == ("response", "completed", "You said: Hello")
    assert (response["instructions"], response["metadata"], response["error"]) == ("Be short.", {"k": "v"}, None)
    assert response["conversation"]["id"].startswith("resp_")
    assert response["usage"]["total_tokens"] == 15


async def test_a_response_is_read_again(client: httpx.AsyncClient):
    first = (await ask(client)).json()
    again = (await client.get(f"{RESPONSES}/{first['id']}")).json()
    assert {key: again[key] for key in ("id", "status", "output", "usage", "conversation")} == {
        key: first[key] for key in ("id", "status", "output", "usage", "conversation")
    }


async def test_instructions_are_not_shown_later_on(client: httpx.AsyncClient):
    first = (await ask(client, instructions="Secret.", tools=[WEATHER])).json()
    again = (await client.get(f"{RESPONSES}/{first['id']}")).json()
    assert (again["instructions"], again["tools"]) == (None, [])


async def test_responses_of_a_conversation_are_its_items(client: httpx.AsyncClient):
    first = (await ask(client, conversation="c1")).json()
    second = (await ask(client, "More", conversation={"id": "c1"})).json()
    listed = (await client.get("/v1/conversations/c1/items", params={"order": "asc"})).json()["data"]
    assert [item["role"] for item in listed] == ["user", "assistant"] * 2
    assert [listed[1], listed[3]] == [first["output"][0], second["output"][0]]


async def test_a_previous_response_is_gone_on_from(client: httpx.AsyncClient, model: ScriptedModel):
    first = (await ask(client, "One")).json()
    second = (await ask(client, "Two", previous_response_id=first["id"])).json()
    assert second["conversation"] == first["conversation"] and second["previous_response_id"] == first["id"]
    assert [message["content"] for message in model.requests[1].body["messages"]] == ["One", "You said: One", "Two"]


async def test_there_are_no_branches(client: httpx.AsyncClient):
    first = (await ask(client, "One")).json()
    await ask(client, "Two", previous_response_id=first["id"])
    branch = await ask(client, "Another two", previous_response_id=first["id"])
    assert error_of(branch) == (400, "previous_response_not_last")


async def test_a_repeated_key_gets_the_same_response(client: httpx.AsyncClient, model: ScriptedModel):
    first, again = [(await ask(client, key="k-1")).json() for _ in range(2)]
    assert [again[name] for name in STABLE] == [first[name] for name in STABLE]
    assert len(model.requests) == 1
    assert error_of(await ask(client, "Something else", key="k-1")) == (409, "message_id_reused")


async def test_a_key_is_its_users_own(client: httpx.AsyncClient):
    hers = (await ask(client, "Her secret", key="k-1")).json()
    client.headers["authorization"] = "Bearer good-bob"
    assert error_of(await client.get(f"{RESPONSES}/{hers['id']}")) == (404, "not_found")
    assert text_of((await ask(client, "His own", key="k-1")).json()) == "You said: His own"


async def test_a_repeated_key_goes_on_from_where_it_did(client: httpx.AsyncClient, model: ScriptedModel):
    first = (await ask(client, "One")).json()
    second, again = [(await ask(client, "Two", key="k-2", previous_response_id=first["id"])).json() for _ in range(2)]
    assert second["output"] == again["output"] and len(model.requests) == 2
    branch = await ask(client, "Another two", key="k-3", previous_response_id=first["id"])
    assert error_of(branch) == (400, "previous_response_not_last")


async def test_what_is_not_stored_is_not_found(client: httpx.AsyncClient):
    response = (await ask(client, store=False)).json()
    assert (response["status"], response["store"], response["conversation"]) == ("completed", False, None)
    assert error_of(await client.get(f"{RESPONSES}/{response['id']}")) == (404, "not_found")


async def test_tools_go_in_flat_and_calls_come_out_as_items(client: httpx.AsyncClient, model: ScriptedModel):
    model.script(Reply(calls=[OSLO]), Reply("12 degrees."))
    choice = {"type": "function", "name": "weather"}
    first = (await ask(client, "How warm?", tools=[WEATHER], tool_choice=choice)).json()
    asked = model.requests[0].body
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}
    ]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert (first["tools"], first["tool_choice"]) == ([WEATHER], choice)
    [call] = first["output"]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "weather", OSLO.arguments)
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "12"}
    second = (await ask(client, [result], previous_response_id=first["id"], tools=[WEATHER])).json()
    assert text_of(second) == "12 degrees."
    assert [message["role"] for message in model.requests[1].body["messages"]] == ["user", "assistant", "tool"]


async def test_a_whole_history_may_come_as_input(client: httpx.AsyncClient, model: ScriptedModel):
    history = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "How warm?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
        {"type": "function_call", "call_id": "c-1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c-2", "name": "wind", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c-1", "output": [{"type": "input_text", "text": "12"}]},
        {"type": "function_call_output", "call_id": "c-2", "output": "weak"},
    ]
    await ask(client, history, store=False)
    roles = [message["role"] for message in model.requests[0].body["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert len(model.requests[0].body["messages"][2]["tool_calls"]) == 2


async def test_a_schema_for_the_text_reaches_the_model(client: httpx.AsyncClient, model: ScriptedModel):
    wanted = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    response = (await ask(client, text={"format": wanted})).json()
    assert model.requests[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
    }
    assert response["text"]["format"] == wanted


async def test_a_stream_can_be_read_again_from_behind_any_event(client: httpx.AsyncClient):
    seen = events_of(await ask(client, "Hello there", stream=True))
    assert [seen[0]["type"], seen[-1]["type"]] == ["response.created", "response.completed"]
    one = f"{RESPONSES}/{seen[0]['response']['id']}"
    for cut, event in enumerate(seen):
        rest = events_of(await client.get(one, params={"stream": "true", "starting_after": event["sequence_number"]}))
        told = "".join(e.get("delta", "") for e in seen[: cut + 1] + rest)
        assert told == "You said: Hello there"
        assert rest == [] if event is seen[-1] else rest[-1]["type"] == "response.completed"


async def test_a_worker_answers_in_the_background(client: httpx.AsyncClient, app: Application):
    response = (await ask(client, background=True)).json()
    assert (response["status"], response["background"], response["output"]) == ("in_progress", True, [])
    one = f"{RESPONSES}/{response['id']}"
    assert (await client.get(one)).json()["status"] == "in_progress"
    await work(app)
    done = (await client.get(one)).json()
    assert (done["status"], text_of(done)) == ("completed", "You said: Hello")


async def test_what_waits_in_the_background_is_queued_and_can_be_cancelled(client: httpx.AsyncClient, app: Application):
    await ask(client, background=True, conversation="c1")
    second = (await ask(client, "More", background=True, conversation="c1")).json()
    assert second["status"] == "queued"
    one = f"{RESPONSES}/{second['id']}"
    assert (await client.get(one)).json()["status"] == "queued"
    assert (await client.post(f"{one}/cancel")).json()["status"] == "cancelled"
    assert error_of(await client.get(one)) == (404, "not_found")


async def test_clients_are_told_not_to_repeat_what_no_worker_could_be_woken_for(
    client: httpx.AsyncClient, app: Application, monkeypatch: pytest.MonkeyPatch
):
    lost = AsyncMock(side_effect=StoreUnavailable("The worker could not be woken."))
    monkeypatch.setattr(app.waker, "run_turn", lost)
    failed = await ask(client, background=True)
    assert (failed.status_code, failed.headers["x-should-retry"]) == (503, "false")
    assert "x-should-retry" not in (await ask(client, key="k-1", background=True)).headers


async def test_a_response_that_has_ended_stays_as_it_is_when_cancelled(client: httpx.AsyncClient):
    response = (await ask(client)).json()
    assert (await client.post(f"{RESPONSES}/{response['id']}/cancel")).json()["status"] == "completed"


async def test_a_failure_is_a_status_a_status_of_the_response_and_an_event(
    client: httpx.AsyncClient, model: ScriptedModel
):
    model.default = lambda _: Reply(status=400, code="bad", message="no")
    whole = await ask(client, conversation="c1")
    assert whole.status_code == 400 and whole.headers["x-should-retry"] == "false"
    last = events_of(await ask(client, conversation="c1", stream=True))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert (await client.get(f"{RESPONSES}/{last['response']['id']}")).json()["error"]["code"] == "turn_failed"


async def test_a_response_of_its_own_conversation_can_be_deleted(client: httpx.AsyncClient):
    alone, part = (await ask(client)).json(), (await ask(client, conversation="c1")).json()
    deleted = await client.delete(f"{RESPONSES}/{alone['id']}")
    assert deleted.json() == {"id": alone["id"], "object": "response", "deleted": True}
    assert error_of(await client.get(f"{RESPONSES}/{alone['id']}")) == (404, "not_found")
    assert error_of(await client.delete(f"{RESPONSES}/{part['id']}")) == (409, "response_in_conversation")


async def test_what_came_with_its_question_is_deleted_with_a_response(client: httpx.AsyncClient):
    said = [{"role": role, "content": f"{role} {n}"} for n, role in enumerate(["user", "assistant", "user"])]
    first = (await ask(client, said)).json()
    assert (await client.delete(f"{RESPONSES}/{first['id']}")).json()["deleted"]
    first = (await ask(client, said)).json()
    await ask(client, "More", previous_response_id=first["id"])
    assert error_of(await client.delete(f"{RESPONSES}/{first['id']}")) == (409, "response_in_conversation")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"conversation": "c1", "previous_response_id": "resp_1"}, "invalid_parameter"),
        ({"conversation": "c1", "store": False}, "invalid_parameter"),
        ({"background": True, "store": False}, "invalid_parameter"),
        ({"input": []}, "invalid_request"),
        ({"input": [{"role": "assistant", "content": "Hi"}]}, "invalid_message"),
        ({"input": [{"role": "system", "content": "Hi"}]}, "invalid_message"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "unsupported_content"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "unsupported_item"),
        ({"tools": [{"type": "web_search"}]}, "unsupported_tool"),
    ],
)
async def test_what_cannot_be_done_is_refused(client: httpx.AsyncClient, fields: dict[str, Any], code: str):
    assert error_of(await ask(client, **fields)) == (400, code)


@pytest.mark.parametrize("path", ["", "/cancel"])
async def test_a_strangers_response_is_like_one_that_is_not_there(client: httpx.AsyncClient, path: str):
    response = (await ask(client, conversation="c1")).json()
    method, missing = ("POST" if path else "GET"), f"{RESPONSES}/resp_nothing{path}"
    there = f"{RESPONSES}/{response['id']}{path}"
    stranger = {"authorization": "Bearer good-bob"}
    answers = [await client.request(method, where, headers=stranger) for where in (there, missing)]
    assert answers[0].status_code == 404 and answers[0].content == answers[1].content


async def test_without_conversations_there_is_nothing_to_go_on_from(serve, app: Application):
    app.settings = type(app.settings)(**_fields(app) | {"enable_conversations": False})
    async with serve() as client:
        response = (await ask(client)).json()
        refused = await ask(client, background=True)
    assert (response["status"], response["store"]) == ("completed", False)
    assert error_of(refused) == (404, "conversations_disabled")


def _fields(app: Application) -> dict[str, Any]:
    return {name: getattr(app.settings, name) for name in app.settings.__dataclass_fields__}
