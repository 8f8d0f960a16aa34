"""The Conversations API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from copilotedge.wiring import Application

CONVERSATIONS = "/v1/conversations"


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


async def made(client: httpx.AsyncClient, *texts: str) -> str:
    answer = await client.post(CONVERSATIONS, json={"items": [message(text) for text in texts]})
    return answer.json()["id"]


async def items(client: httpx.AsyncClient, name: str, **query: Any) -> dict[str, Any]:
    return (await client.get(f"{CONVERSATIONS}/{name}/items", params=query)).json()


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def texts_of(listed: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in listed["data"]]


async def test_a_conversation_is_made_read_changed_and_deleted(client: httpx.AsyncClient):
    made = (await client.post(CONVERSATIONS, json={"metadata": {"topic": "tea"}})).json()
    assert (made["object"], made["metadata"]) == ("conversation", {"topic": "tea"})
    one = f"{CONVERSATIONS}/{made['id']}"
    assert (await client.get(one)).json() == made
    changed = (await client.post(one, json={"metadata": {"topic": "coffee"}})).json()
    assert changed == made | {"metadata": {"topic": "coffee"}}
    assert (await client.delete(one)).json() == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert error_of(await client.get(one)) == (404, "not_found")


async def test_one_can_be_made_of_nothing(client: httpx.AsyncClient):
    name = (await client.post(CONVERSATIONS)).json()["id"]
    assert (await client.get(f"{CONVERSATIONS}/{name}")).json()["metadata"] == {}
    assert await items(client, name) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_items_are_added_without_an_answer_and_told_to_sockets(client: httpx.AsyncClient, app: Application):
    name = await made(client, "One")
    said = [message("Two", "assistant"), message("Three", "developer")]
    added = (await client.post(f"{CONVERSATIONS}/{name}/items", json={"items": said})).json()
    assert [(item["role"], item["status"]) for item in added["data"]] == [
        ("assistant", "completed"),
        ("system", "completed"),
    ]
    assert texts_of(await items(client, name, order="asc")) == ["One", "Two", "Three"]


async def test_calls_and_their_outputs_are_items_too(client: httpx.AsyncClient):
    name = await made(client, "How warm is it?")
    call = {"type": "function_call", "call_id": "call-1", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "call-1", "output": "12"}
    await client.post(f"{CONVERSATIONS}/{name}/items", json={"items": [call, result]})
    listed = (await items(client, name, order="asc"))["data"]
    assert [item["type"] for item in listed] == ["message", "function_call", "function_call_output"]
    for item in listed:
        assert (await client.get(f"{CONVERSATIONS}/{name}/items/{item['id']}")).json() == item


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_items_come_page_by_page_in_either_order(client: httpx.AsyncClient, order: str):
    texts = [f"text {n}" for n in range(7)]
    name = await made(client, *texts)
    found: list[str] = []
    page = await items(client, name, order=order, limit=3)
    while found := found + texts_of(page):
        if not page["has_more"]:
            break
        page = await items(client, name, order=order, limit=3, after=page["last_id"])
    assert found == (texts if order == "asc" else texts[::-1])


async def test_the_newest_come_first_unless_asked_otherwise(client: httpx.AsyncClient):
    name = await made(client, "One", "Two")
    assert texts_of(await items(client, name)) == ["Two", "One"]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "", {"metadata": {"k": 1}}, (400, "invalid_request")),
        ("POST", "", {"items": [message("x")] * 21}, (400, "invalid_request")),
        ("POST", "", {"items": ["x"]}, (400, "invalid_request")),
        ("POST", "/c1", {}, (400, "invalid_request")),
        ("POST", "/c1", {"metadata": {}}, (404, "not_found")),
        ("DELETE", "/c1", None, (404, "not_found")),
        ("POST", "/c1/items", {"items": []}, (400, "invalid_request")),
        ("POST", "/c1/items", {"items": [{"type": "image_generation_call"}]}, (400, "unsupported_item")),
        (
            "POST",
            "/c1/items",
            {"items": [{"role": "user", "content": [{"type": "input_file"}]}]},
            (400, "unsupported_content"),
        ),
        ("GET", "/c1/items?order=up", None, (400, "invalid_parameter")),
        ("GET", "/c1/items?limit=101", None, (400, "invalid_parameter")),
        ("GET", "/c1/items", None, (404, "not_found")),
        ("GET", "/c1/items/msg_1", None, (404, "not_found")),
        ("GET", "/bob~c1", None, (404, "not_found")),
    ],
)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, method: str, path: str, body: Any, expected: tuple[int, str]
):
    assert error_of(await client.request(method, CONVERSATIONS + path, json=body)) == expected


async def test_nothing_is_left_of_a_conversation_whose_items_are_refused(serve, app: Application):
    app.settings = replace(app.settings, rate_limit_per_minute=1)
    async with serve() as client:
        await made(client, "One")
        refused = await client.post(CONVERSATIONS, json={"items": [message("Two")]})
    assert error_of(refused) == (429, "rate_limited")
    assert len(await app.store.listings("alice")) == 1


async def test_an_item_that_is_not_there_is_no_place_to_go_on_from(client: httpx.AsyncClient):
    name = await made(client, "One")
    answer = await client.get(f"{CONVERSATIONS}/{name}/items", params={"after": "msg_2"})
    assert error_of(answer) == (404, "not_found")
