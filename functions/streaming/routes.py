"""Every route of the stream API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streaming import copilotkit, openai
from streaming.outgoing import answer

PUBLIC = {("GET", "/health")}
"""Asks for no token. Everything else does, known or not."""


async def health(_: Request) -> Response:
    return answer(200, {"status": "ok"})


ROUTES: list[Route] = [Route("/health", health), *openai.routes, *copilotkit.routes]
