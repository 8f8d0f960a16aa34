"""The stream API over moto's AWS, a scripted model server, and fake tokens (``good-<user>``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from starlette.routing import Route

from copilotedge.entrance import Entrance
from copilotedge.identity import NEVER
from copilotedge.wiring import Application
from streaming.routes import ROUTES
from streaming.shell import compose
from tests.fakes import FakeLog, FakeTokens

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def log(app: Application) -> FakeLog:
    app.log = FakeLog()
    return app.log


@pytest.fixture
def entrance(app: Application) -> Entrance:
    entrance = Entrance(app.settings)
    entrance.tokens = FakeTokens(NEVER)
    return entrance


@pytest.fixture
def serve(app: Application, entrance: Entrance) -> Serve:
    """Serves these routes (default: ours) to a client with alice's token, which gets whole answers only."""

    @asynccontextmanager
    async def served(routes: Sequence[Route] = ROUTES) -> AsyncIterator[httpx.AsyncClient]:
        shell = compose(app, entrance, routes)
        async with (
            shell.router.lifespan_context(shell),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(shell),
                base_url="http://stream",
                headers={"authorization": "Bearer good-alice"},
            ) as client,
        ):
            yield client

    return served


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client
