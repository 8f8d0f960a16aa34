"""OpenAI's API: what one user has is, to another, as if it did not exist."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from copilotedge.openai.response_ids import encode
from streaming.openai import routes
from tests.clients import new_conversation
from tests.security.transcripts import Transcript, told
from tests.stack import DeployedStack

ASK = {"role": "user", "content": "May I come in, please?"}
KEY = "k-1"
"""Id of her message, which a stranger may have guessed."""

REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "v1/conversations/{id}", None),
    ("GET", "v1/conversations/{id}/items", None),
    ("GET", "v1/conversations/{id}/items?limit=1&order=asc", None),
    ("GET", "v1/conversations/{id}/items?after=msg_k-1", None),
    ("GET", "v1/conversations/{id}/items/msg_k-1", None),
    ("GET", "v1/responses/{response}", None),
    ("GET", "v1/responses/{response}?stream=true&starting_after=3", None),
    ("POST", "v1/responses/{response}/cancel", None),
    ("DELETE", "v1/responses/{response}", None),
    ("POST", "v1/responses", {"input": "And then?", "previous_response_id": "{response}"}),
    ("POST", "v1/responses", {"input": "And then?", "previous_response_id": "{response}", "background": True}),
    ("POST", "v1/conversations/{id}", {"metadata": {"taken": "over"}}),
    ("POST", "v1/conversations/{id}/items", {"items": [ASK]}),
    ("POST", "v1/chat/completions", {"messages": [ASK], "metadata": {"conversationId": "{id}"}}),
    ("POST", "v1/chat/completions", {"messages": [ASK], "conversationId": "{id}", "stream": True}),
    ("POST", "v1/responses", {"input": "Hello?", "conversation": "{id}"}),
    ("POST", "v1/responses", {"input": "Hello?", "conversation": {"id": "{id}"}, "stream": True}),
    ("GET", "v1/conversations/{id}/items", None),
    ("DELETE", "v1/conversations/{id}", None),
    ("GET", "v1/conversations/{id}", None),
]
"""Every route that names something, first on what this user has not written to."""
NAMELESS = {("GET", "/v1/models"), ("GET", "/v1/models/{model:path}"), ("POST", "/v1/conversations")}


def test_no_route_is_left_out():
    asked = {(method, "/" + route_of(path)) for method, path, _ in REQUESTS}
    ours = {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    assert ours - NAMELESS == asked


def route_of(path: str) -> str:
    named = path.partition("?")[0].replace("{id}", "{conversation_id:path}").replace("{response}", "{response_id}")
    return named.replace("msg_k-1", "{item_id:path}")


@pytest.fixture
def hers(stack: DeployedStack) -> Iterator[tuple[str, str]]:
    """Her name, and that of a conversation with a response; nothing of it has changed at the end."""
    alice, conversation = f"alice-{uuid.uuid4().hex[:8]}", new_conversation("hers")
    with stack.stream(alice) as client:
        asked = {"input": "What only she knows", "conversation": conversation}
        assert client.post("v1/responses", json=asked, headers={"idempotency-key": KEY}).status_code == 200
        before = everything(client, conversation)
        yield alice, conversation
        assert everything(client, conversation) == before


def everything(client: httpx.Client, conversation: str) -> list[Any]:
    one = f"v1/conversations/{conversation}"
    return [client.get(where).json() for where in (one, f"{one}/items", f"v1/responses/{encode(conversation, KEY)}")]


def ask(client: httpx.Client, conversation: str, request: tuple[str, str, Any]) -> httpx.Response:
    method, path, body = request
    filled = json.dumps([path, body]).replace("{id}", conversation).replace("{response}", encode(conversation, KEY))
    path, body = json.loads(filled)
    return client.request(method, path, json=body)


def transcript_of(stack: DeployedStack, conversation: str) -> Transcript:
    """What somebody new is told who uses this name."""
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    names = {bob: "<user>", conversation: "<conversation>", encode(conversation, KEY): "<response>"}
    with stack.stream(bob) as client:
        return [(request[1], *told(ask(client, conversation, request), names)) for request in REQUESTS]


def test_anothers_conversation_is_like_one_that_does_not_exist(stack: DeployedStack, hers: tuple[str, str]):
    existing, missing = (without_responses(transcript_of(stack, name)) for name in (hers[1], new_conversation("none")))
    assert existing == missing


def without_responses(transcript: Transcript) -> Transcript:
    """The ids of responses that were made meanwhile have the conversation's name in them, encoded."""
    marked = []
    for entry in transcript:
        *head, body = entry
        for part in body.split('"'):
            if part.startswith("resp_"):
                body = body.replace(part, "<made>")
        marked.append((*head, body))
    return marked


def test_what_is_not_shared_is_not_found_whether_or_not_it_exists(stack: DeployedStack, hers: tuple[str, str]):
    alice, conversation = hers
    ids = [f"{alice}~{name}" for name in (conversation, new_conversation("none"))]
    with stack.stream(f"bob-{uuid.uuid4().hex[:8]}") as bob:
        for request in REQUESTS:
            answers = [ask(bob, name, request) for name in ids]
            known = dict.fromkeys(ids, "<conversation>")
            assert told(answers[0], known) == told(answers[1], known), request
            assert answers[0].status_code == 404, request


def test_members_read_and_write_as_they_are_allowed_to(stack: DeployedStack, hers: tuple[str, str]):
    alice, conversation = hers
    bob = f"bob-{uuid.uuid4().hex[:8]}"
    known_as = f"{alice}~{conversation}"
    with stack.rest(alice) as rest, stack.stream(bob) as client:
        rest.client.put(f"conversation/{conversation}/members", json={"members": {bob: "read"}})
        assert client.get(f"v1/responses/{encode(known_as, KEY)}").json()["status"] == "completed"
        assert len(client.get(f"v1/conversations/{known_as}/items").json()["data"]) == 2
        refused = client.post("v1/responses", json={"input": "Hello?", "conversation": known_as})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")
        deleted = client.delete(f"v1/conversations/{known_as}")
        assert (deleted.status_code, deleted.json()["error"]["code"]) == (403, "not_owner")
        rest.client.put(f"conversation/{conversation}/members", json={"members": {}})
