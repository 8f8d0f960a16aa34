"""CopilotKit's routes and two users: what one has is, to the other, as if it did not exist."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from streaming.copilotkit import routes
from tests.clients import new_conversation
from tests.security.test_two_users import busy, shared_ids, somebody
from tests.security.transcripts import Transcript, told
from tests.stack import DeployedStack

BASE = "api/copilotedge"
ASK = {"id": "bobs-message", "role": "user", "content": "May I come in, please?"}
RUN: dict[str, Any] = {"threadId": "{id}", "runId": "bobs-run", "messages": [ASK], "state": {"taken": "over"}}
QUERY = {"operationName": "loadAgentState", "variables": {"data": {"threadId": "{id}", "agentName": "default"}}}
GRAPHQL = {"operationName": "generateCopilotResponse", "variables": {"data": {"threadId": "{id}", "messages": [ASK]}}}


def resource(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"method": "resource/request", "params": {"path": path, "httpMethod": method}, "body": body}


REQUESTS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "info", None),
    ("POST", "agent/default/connect", RUN | {"messages": []}),
    ("POST", "agent/default/stop/{id}", {"runId": "bobs-run"}),
    ("GET", "threads/{id}/messages", None),
    ("GET", "threads/{id}/events", None),
    ("GET", "threads/{id}/state", None),
    ("PATCH", "threads/{id}", {"agentId": "default", "name": "Taken over by bob"}),
    ("POST", "threads/{id}/archive", {"agentId": "default"}),
    ("DELETE", "threads/{id}", {"agentId": "default"}),
    ("GET", "threads?agentId=default&includeArchived=true", None),
    ("POST", "", QUERY),
    ("POST", "agent/default/run", RUN),
    ("POST", "agent/default/connect", RUN | {"messages": []}),
    ("POST", "agent/default/suggest", RUN),
    ("POST", "", GRAPHQL),
    ("POST", "", {"method": "agent/run", "params": {"agentId": "default"}, "body": RUN}),
    ("POST", "", {"method": "agent/connect", "params": {"agentId": "default"}, "body": RUN}),
    ("POST", "", {"method": "agent/stop", "params": {"agentId": "default", "threadId": "{id}"}}),
    ("POST", "", resource("GET", "/threads/{id}/messages")),
    ("POST", "", resource("PATCH", "/threads/{id}", {"name": "Taken over by bob"})),
    ("POST", "", resource("DELETE", "/threads/{id}")),
    ("POST", "", {"conversationId": "{id}", "messages": [{"role": "user", "content": ASK["content"]}]}),
]
"""Every route, first on what this user has not written to."""


def test_no_route_is_left_out():
    described = {(method, route.path) for route in routes for method in (route.methods or ()) if method != "HEAD"}
    asked = {(method, f"/{BASE}/{path.partition('?')[0]}".rstrip("/")) for method, path, _ in REQUESTS}
    known = {(method, re.sub(r"\{\w+\}", "{id}", path.replace("{agent}", "default"))) for method, path in described}
    assert known <= asked


def ask_everything(stack: DeployedStack, user: str, thread: str, names: dict[str, str]) -> Transcript:
    transcript: Transcript = []
    with stack.stream(user) as client:
        for method, path, body in REQUESTS:
            transcript.append((method, path, *told(ask(client, method, path, body, thread), names)))
    return transcript


def ask(client: httpx.Client, method: str, path: str, body: dict[str, Any] | None, thread: str) -> httpx.Response:
    filled = json.loads(json.dumps(body).replace("{id}", thread))
    return client.request(method, f"{BASE}/{path}".rstrip("/").replace("{id}", thread), json=filled)


def test_every_route_answers_for_anothers_thread_as_for_one_that_does_not_exist(stack: DeployedStack):
    with busy(stack) as hers:
        before = hers.all()
        transcripts = []
        for thread in (hers.conversation, new_conversation("none")):
            user = somebody("bob")
            transcripts.append(ask_everything(stack, user, thread, {user: "<user>", thread: "<thread>"}))
        assert transcripts[0] == transcripts[1]
        assert hers.all() == before


def test_what_is_not_shared_is_not_found_whether_or_not_it_exists(stack: DeployedStack):
    with busy(stack) as hers, stack.stream(somebody("bob")) as bob:
        before, ids = hers.all(), shared_ids(hers)
        for method, path, body in REQUESTS:
            if "{id}" not in path + json.dumps(body) or path == "agent/default/suggest":
                continue
            answers = [ask(bob, method, path, body, name) for name in ids]
            names = dict.fromkeys(ids, "<thread>")
            assert told(answers[0], names) == told(answers[1], names), path
            assert answers[0].status_code == 404, path
        assert hers.all() == before
