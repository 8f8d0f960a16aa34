"""CopilotKit's routes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from copilotedge.wiring import Application
from tests.fakes import FakeLog
from tests.unit.streaming.conftest import Serve

BASE = "/api/copilotedge"
RUN = f"{BASE}/agent/default/run"


def asking(content: Any = "Hello", message_id: str = "u-1", **fields: Any) -> dict[str, Any]:
    message = {"id": message_id, "role": "user", "content": content}
    return {"threadId": "t", "runId": "r", "messages": [message]} | fields


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def text_of(answer: httpx.Response) -> str:
    return "".join(event.get("delta", "") for event in events_of(answer))


async def single(client: httpx.AsyncClient, method: str, body: Any = None, **params: str) -> httpx.Response:
    envelope = {"method": method, "params": params} | ({} if body is None else {"body": body})
    return await client.post(BASE, json=envelope)


async def resource(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> httpx.Response:
    return await single(client, "resource/request", body, path=path, httpMethod=method)


async def test_a_run_is_streamed_as_events(client: httpx.AsyncClient):
    answer = await client.post(RUN, json=asking())
    assert [event["type"] for event in events_of(answer)][:2] == ["RUN_STARTED", "TEXT_MESSAGE_START"]
    assert text_of(answer) == "You said: Hello"


async def test_one_route_does_what_many_do(client: httpx.AsyncClient):
    assert (await single(client, "info")).json() == (await client.get(f"{BASE}/info")).json()
    assert text_of(await single(client, "agent/run", asking(), agentId="default")) == "You said: Hello"
    replay = await single(client, "agent/connect", asking() | {"messages": []}, agentId="default")
    assert replay.text == (await client.post(f"{BASE}/agent/default/connect", json=asking())).text
    stopped = await single(client, "agent/stop", {"runId": "r"}, agentId="default", threadId="t")
    assert stopped.json() == (await client.post(f"{BASE}/agent/default/stop/t")).json()


async def test_a_suggestion_is_of_no_thread(client: httpx.AsyncClient):
    choice = {"type": "function", "function": {"name": "copilotkitSuggest"}}
    body = asking(forwardedProps={"toolChoice": choice}, tools=[{"name": "copilotkitSuggest"}])
    assert (await client.post(f"{BASE}/agent/default/suggest", json=body)).status_code == 200
    assert (await client.get(f"{BASE}/threads?agentId=default")).json()["threads"] == []


async def test_what_is_wrong_with_the_question_is_told_in_the_stream(client: httpx.AsyncClient):
    answer = await client.post(RUN, json=asking([{"type": "image", "source": {}}]))
    assert answer.status_code == 200
    assert events_of(answer)[-1]["code"] == "unsupported_content"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("agent/other/run", asking(), 404, "agent_not_found"),
        ("agent/default/run", {"threadId": "t"}, 400, "invalid_request"),
        ("agent/default/run", asking(threadId="a b"), 400, "invalid_conversation_id"),
        ("agent/default/connect", asking(threadId="bob~t"), 404, "not_found"),
        ("agent/default/stop/bob~t", None, 404, "not_found"),
    ],
)
async def test_what_cannot_be_a_run_is_a_status(
    client: httpx.AsyncClient, path: str, body: Any, status: int, code: str
):
    answer = await client.post(f"{BASE}/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_threads_are_listed_renamed_archived_and_deleted(client: httpx.AsyncClient):
    await client.post(RUN, json=asking())
    renamed = await client.patch(f"{BASE}/threads/t", json={"agentId": "default", "name": "A trip"})
    assert renamed.json()["name"] == "A trip"
    assert [t["name"] for t in (await client.get(f"{BASE}/threads?agentId=default")).json()["threads"]] == ["A trip"]
    archived = await client.post(f"{BASE}/threads/t/archive", json={"agentId": "default"})
    assert archived.json() == {"threadId": "t", "archived": True}
    assert (await client.get(f"{BASE}/threads?agentId=default")).json()["threads"] == []
    everything = await client.get(f"{BASE}/threads?agentId=default&includeArchived=true&limit=1")
    assert [thread["id"] for thread in everything.json()["threads"]] == ["t"]
    deleted = await client.request("DELETE", f"{BASE}/threads/t", json={"agentId": "default"})
    assert deleted.json() == {"threadId": "t", "deleted": True}


async def test_a_thread_is_inspected(client: httpx.AsyncClient):
    await client.post(RUN, json=asking(state={"step": 1}))
    found = (await client.get(f"{BASE}/threads/t/messages")).json()["messages"]
    assert [message["content"] for message in found] == ["Hello", "You said: Hello"]
    assert (await client.get(f"{BASE}/threads/t/state")).json() == {"state": {"step": 1}}
    (event,) = (await client.get(f"{BASE}/threads/t/events")).json()["events"]
    assert event["type"] == "MESSAGES_SNAPSHOT"


async def test_threads_are_reached_by_the_one_route_too(client: httpx.AsyncClient):
    await client.post(RUN, json=asking())
    for path in ("threads?agentId=default&limit=5", "threads/t/messages", "threads/t/state"):
        assert (await resource(client, "GET", f"/{path}")).json() == (await client.get(f"{BASE}/{path}")).json()
    renamed = await resource(client, "PATCH", "/threads/t", {"name": "A trip"})
    assert renamed.json()["name"] == "A trip"
    assert (await resource(client, "DELETE", "/threads/t")).json() == {"threadId": "t", "deleted": True}


async def test_another_agent_has_no_threads(client: httpx.AsyncClient):
    await client.post(RUN, json=asking())
    assert (await client.get(f"{BASE}/threads?agentId=other")).json() == {"threads": [], "nextCursor": None}


async def test_resources_that_there_are_not_are_refused(client: httpx.AsyncClient):
    assert (await resource(client, "GET", "/memories")).status_code == 404
    odd = await resource(client, "GET", "//[")
    assert (odd.status_code, odd.json()["error"]["code"]) == (404, "route_not_found")
    assert (await resource(client, "POST", "/threads")).status_code == 405
    assert (await single(client, "transcribe")).status_code == 404
    assert (await client.post(f"{BASE}/threads/t/messages")).status_code == 405
    assert (await client.get(f"{BASE}/threads?limit=0")).status_code == 400


async def test_the_graphql_mutation_is_answered(client: httpx.AsyncClient):
    message = {"id": "m-1", "textMessage": {"role": "user", "content": "Hello"}}
    body = {"operationName": "generateCopilotResponse", "variables": {"data": {"messages": [message]}}}
    (said,) = (await client.post(BASE, json=body)).json()["data"]["generateCopilotResponse"]["messages"]
    assert said["content"] == ["You said: Hello"]


async def test_a_chat_is_answered_as_openai_would(client: httpx.AsyncClient):
    chat = {"messages": [{"role": "user", "content": "Hello"}], "conversationId": "c"}
    assert (await client.post(BASE, json=chat)).json()["choices"][0]["message"]["content"] == "You said: Hello"
    streamed = await client.post(BASE, json=chat | {"stream": True})
    assert streamed.text.endswith("data: [DONE]\n\n")


async def test_nobody_gets_in_without_a_token(client: httpx.AsyncClient):
    del client.headers["authorization"]
    for path in ("info", "threads"):
        assert (await client.get(f"{BASE}/{path}")).status_code == 401
    assert (await client.post(RUN, json=asking())).status_code == 401


async def test_a_limit_is_told_in_the_stream_with_the_headers_of_a_refusal(app: Application, serve: Serve):
    app.settings = replace(app.settings, rate_limit_per_minute=1)
    async with serve() as client:
        first, second = [await client.post(RUN, json=asking(message_id=name)) for name in ("u-1", "u-2")]
    assert first.headers["x-ratelimit-remaining"] == "0"
    assert events_of(second)[-1]["code"] == "rate_limited"
    assert second.headers["retry-after"]


async def test_a_defect_of_ours_ends_the_stream_as_an_error(
    app: Application, serve: Serve, log: FakeLog, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("copilotedge.copilotkit.agui_shapes.snapshot", broken)
    async with serve() as client:
        answer = await client.post(f"{BASE}/agent/default/connect", json=asking())
    assert events_of(answer)[-1]["code"] == "internal_error"
    assert ("unhandled_error", "ZeroDivisionError") in [(name, fields.get("error")) for name, fields in log.lines]
