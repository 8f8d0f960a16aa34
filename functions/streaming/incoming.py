"""What a request brings: who asks, its body, when it came, and until when it must be answered."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.wiring import Application

LAMBDA_CONTEXT = "x-amzn-lambda-context"
"""Header in which the Lambda Web Adapter tells, as JSON, among others the ``deadline`` (ms) of the invocation."""

MARGIN_MS = 15_000
"""Kept of the function's time for ending a turn in good order."""

PATIENCE_MS = 590_000
"""OpenAI's clients hang up after 600 s in which they were sent nothing, and ask again."""


def application(request: Request) -> Application:
    found: Application = request.app.state.application
    return found


def user(request: Request) -> str:
    """Whose token came with the request."""
    found: str = request.state.user
    return found


def expires_at(request: Request) -> int:
    """When that token ends, in ms; 0: never."""
    found: int = request.state.expires_at
    return found


def arrival(request: Request) -> int:
    """When the request came, in ms."""
    found: int = request.state.arrival
    return found


def note_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Headers of the answer, whether it will be a good one or an error."""
    request.state.headers.update(headers)


def drop_header(request: Request, name: str) -> None:
    """Take back what was noted."""
    request.state.headers.pop(name, None)


async def text(request: Request) -> str:
    """The body. Raises ``RequestTooLarge`` as soon as it is, and ``InvalidRequest`` for what is not UTF-8."""
    most = application(request).settings.max_request_bytes
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise RequestTooLarge(f"A request may take {most} bytes at most.")
    except ClientDisconnect as exc:
        raise InvalidRequest("The body is cut short.") from exc
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidRequest("The body is not UTF-8 text.", code="invalid_json") from exc


def deadline(request: Request, *, streamed: bool = True) -> int:
    """When the caller has to be told something, in ms: within our own budget, and before Lambda's time is up.

    With the caller's token it is over at the latest.
    Who is not ``streamed`` to hears nothing until then, and may lose patience.
    """
    budget = int(application(request).settings.stream_time_budget_seconds * 1000)
    own = arrival(request) + (budget if streamed else min(budget, PATIENCE_MS))
    lambdas = _lambda_deadline(request.headers.get(LAMBDA_CONTEXT, ""))
    token_ends = expires_at(request) or own
    return min(own, token_ends, lambdas - MARGIN_MS) if lambdas else min(own, token_ends)


def _lambda_deadline(context: str) -> int:
    """0 where there is none. Where no adapter overwrites it, a caller could set it: so it only ever shortens."""
    try:
        found = json.loads(context)["deadline"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return 0
    return found if isinstance(found, int) else 0
