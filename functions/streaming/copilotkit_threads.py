"""CopilotKit's threads: each operation has its own route, and is reached by the one route's ``resource/request``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge.copilotkit import agui_events, agui_shapes
from copilotedge.copilotkit.agui_requests import AGENT, CallParams, ThreadQuery, change_of
from copilotedge.errors import MethodNotAllowed, NotFound
from copilotedge.models import Marks
from copilotedge.requests import load, parse, parse_count
from streaming.incoming import application, text, user
from streaming.outgoing import answer

PAGE = 50
"""Threads that are listed when the client names no number."""

Fields = Mapping[str, Any]
Operation = Callable[[Request, str, Fields], Awaitable[Mapping[str, Any]]]
"""What is asked of a thread ("" for all), with the query's or the body's fields."""


async def listed(request: Request, _: str, fields: Fields) -> Mapping[str, Any]:
    app = application(request)
    query = parse(ThreadQuery, dict(fields))
    if query.agent_id != AGENT:
        return {"threads": [], "nextCursor": None}
    most = app.settings.max_history_page
    limit = parse_count(query.limit, "limit", min(PAGE, most), 1, most)
    return await app.threads.listed(user(request), limit, query.cursor, archived=query.include_archived == "true")


async def changed(request: Request, thread_id: str, fields: Fields) -> Mapping[str, Any]:
    return await application(request).threads.change(user(request), thread_id, change_of(fields))


async def archived(request: Request, thread_id: str, _: Fields) -> Mapping[str, Any]:
    await application(request).threads.change(user(request), thread_id, Marks(archived=True))
    return {"threadId": thread_id, "archived": True}


async def deleted(request: Request, thread_id: str, _: Fields) -> Mapping[str, Any]:
    return await application(request).threads.delete(user(request), thread_id)


async def messages(request: Request, thread_id: str, _: Fields) -> Mapping[str, Any]:
    found = await application(request).threads.messages(user(request), thread_id)
    return {"messages": [agui_shapes.inspected(entry) for entry in found]}


async def events(request: Request, thread_id: str, _: Fields) -> Mapping[str, Any]:
    """A thread keeps messages, not events: those that would bring a client where it stands."""
    found = await application(request).threads.messages(user(request), thread_id)
    return {"events": [agui_events.messages_snapshot(found)]}


async def state(request: Request, thread_id: str, _: Fields) -> Mapping[str, Any]:
    return {"state": await application(request).threads.state(user(request), thread_id)}


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/threads"): listed,
    ("PATCH", "/threads/{id}"): changed,
    ("DELETE", "/threads/{id}"): deleted,
    ("POST", "/threads/{id}/archive"): archived,
    ("GET", "/threads/{id}/messages"): messages,
    ("GET", "/threads/{id}/events"): events,
    ("GET", "/threads/{id}/state"): state,
}


def routes(prefix: str) -> list[Route]:
    """Methods of one path share a route, so that a wrong one is told apart from a wrong path."""
    by_path: dict[str, dict[str, Operation]] = {}
    for (method, path), operation in OPERATIONS.items():
        by_path.setdefault(path, {})[method] = operation
    return [Route(prefix + path, _endpoint(methods), methods=[*methods]) for path, methods in by_path.items()]


async def resource(request: Request, asked: CallParams, body: Any) -> Response:
    """What ``resource/request`` asks for."""
    parts = _split(asked.path)
    segments = parts.path.split("/")
    thread_id = unquote(segments[2]) if len(segments) > 2 else ""
    path = "/".join([*segments[:2], "{id}", *segments[3:]]) if thread_id else parts.path
    if path not in {known for _, known in OPERATIONS}:
        raise _no_resource()
    operation = OPERATIONS.get((asked.http_method, path))
    if operation is None:
        raise MethodNotAllowed("This resource has no such method.")
    fields = dict(parse_qsl(parts.query)) if asked.http_method == "GET" else body
    return answer(200, await operation(request, thread_id, fields if isinstance(fields, dict) else {}))


def _split(path: str) -> SplitResult:
    try:
        return urlsplit(path)
    except ValueError as exc:
        raise _no_resource() from exc


def _no_resource() -> NotFound:
    return NotFound("There is no such resource.", code="route_not_found")


def _endpoint(methods: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        fields = dict(request.query_params) if request.method in ("GET", "HEAD") else await _body(request)
        operation = methods["GET" if request.method == "HEAD" else request.method]
        return answer(200, await operation(request, request.path_params.get("id", ""), fields))

    return endpoint


async def _body(request: Request) -> Fields:
    """Whoever archives or deletes need not send one."""
    body = await text(request)
    return load(body, application(request).settings) if body else {}
