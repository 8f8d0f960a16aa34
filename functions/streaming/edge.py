"""Around every request: one line in the log, the headers of every answer, and what becomes of errors."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilotedge import correlation
from copilotedge.errors import CopilotEdgeError, MethodNotAllowed, NotFound, RequestTooLarge
from copilotedge.http_errors import defect, status_of
from copilotedge.ports import Log
from copilotedge.runtime import now
from copilotedge.transitions import new_id
from streaming.outgoing import refusal

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Line:
    """Logs one line a request, without anybody's ids; notes when it came."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"arrival": now(), "headers": {"x-request-id": new_id()}}
        with correlation.work():
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, status, told = scope["state"], 0, False

        def tell() -> None:
            nonlocal told
            told = True
            route = getattr(scope.get("route"), "path", "/...")
            request_id = state["headers"]["x-request-id"]
            self._log.info("request", method=scope["method"], route=route, status=status, request_id=request_id)

        async def heard(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, **state["headers"], **correlation.headers()}.items():
                    headers.setdefault(name, value)
            elif not message.get("more_body"):
                tell()  # before the last word is out: then Lambda may let the process sleep at once
            await send(message)

        try:
            with suppress(asyncio.CancelledError):  # the server stops: nobody can be told any more
                await self._app(scope, receive, heard)
        finally:
            if not told:
                tell()


class Refusals:
    """Answers errors. Behind the first word of an answer only its end is left: it comes too early, for all to see."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def heard(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        with Caught() as caught:
            await self._app(scope, receive, heard)
        if caught.error is not None:
            error = self._told(caught.error)
            if scope["type"] == "http" and not begun:
                answer = refusal(error)
                if isinstance(error, RequestTooLarge):
                    answer.headers["connection"] = "close"  # else the server reads the rest, to drop it
                await answer(scope, receive, send)

    def _told(self, exc: Exception) -> CopilotEdgeError:
        if not isinstance(exc, CopilotEdgeError):
            self._log.error("unhandled_error", **defect(exc))
            return CopilotEdgeError("Something went wrong on our side.")
        if status_of(exc) >= 500:
            self._log.error("request_failed", code=exc.code, detail=getattr(exc, "detail", ""))
        return exc


class Caught:
    """Whatever goes wrong under it, kept."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


async def no_route(_: Request, exc: Exception) -> Response:
    """Handles what Starlette's router raises: 404 and 405."""
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        answer = refusal(MethodNotAllowed("This route has no such method."))
        answer.headers.update(exc.headers or {})
        return answer
    return refusal(NotFound("There is no such route.", code="route_not_found"))
