"""Calling the Lambda handlers as API Gateway does, with the payloads of ``events/``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import http_api
from copilotedge.wiring import Application

EVENTS = Path(__file__).parent.parent.parent / "events"


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


class Context(SimpleNamespace):
    """What our handlers use of Lambda's context."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def http(
    app: Application, method: str, path: str, body: Any = None, user: str | None = "alice", **headers: str
) -> tuple[int, Any]:
    """Call the HTTP handler as ``user`` (None: past no authorizer); status and parsed body."""
    answer = answer_of(app, method, path, body, user, **headers)
    return answer["statusCode"], json.loads(answer["body"])


def answer_of(
    app: Application, method: str, path: str, body: Any = None, user: str | None = "alice", **headers: str
) -> dict[str, Any]:
    request = event("http-messages")
    path, _, query = path.partition("?")
    context = request["requestContext"]
    request["rawPath"] = context["http"]["path"] = path
    request["rawQueryString"] = query
    request["queryStringParameters"] = dict(part.split("=", 1) for part in query.split("&")) if query else {}
    context["http"]["method"] = method
    if user is None:
        del context["authorizer"]
    else:
        context["authorizer"]["lambda"]["user"] = user
    request["headers"] |= headers
    if body is not None:
        request["body"] = body if isinstance(body, str) else json.dumps(body)
    return http_api.handle(app, request, Context())
