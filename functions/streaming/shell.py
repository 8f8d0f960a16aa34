"""Puts the stream API together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from copilotedge.entrance import Entrance
from copilotedge.wiring import Application
from streaming.admission import Admission
from streaming.edge import Line, Refusals, no_route
from streaming.routes import ROUTES

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXPOSED = (
    "location",
    "retry-after",
    "x-cache",
    "x-conversation-id",
    "x-correlation-id",
    "x-cost-usd",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
    "x-should-retry",
    "x-usage-tokens",
)
CORS_SECONDS = 600


def compose(application: Application, entrance: Entrance, routes: Sequence[Route] = ROUTES) -> Starlette:
    """The ASGI application. Its routes find ``application`` by ``incoming.application``."""

    @asynccontextmanager
    async def serving(_: Starlette) -> AsyncIterator[None]:
        async with application.serving(), entrance.serving():
            yield

    origins = [origin.strip() for origin in application.settings.cors_allow_origins.split(",")]
    shell = Starlette(
        routes=routes,
        lifespan=serving,
        exception_handlers={HTTPException: no_route},
        middleware=[
            Middleware(Line, application.log),
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=METHODS,
                allow_headers=["*"],
                expose_headers=EXPOSED,
                max_age=CORS_SECONDS,
            ),
            Middleware(Refusals, application.log),
            Middleware(Admission, entrance),
        ],
    )
    shell.router.redirect_slashes = False
    shell.state.application = application
    return shell
