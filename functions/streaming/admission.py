"""Who asks, by the token: what the authorizer is to the other doors. No gateway stands before this one."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from copilotedge.callers import bearer, caller
from copilotedge.entrance import Entrance
from copilotedge.errors import Unauthenticated
from copilotedge.identity import Identity
from copilotedge.runtime import now
from streaming.routes import PUBLIC


class Admission:
    """Lets nobody through without a good token, whatever is asked for, but to what is public."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) in PUBLIC:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":  # what a browser asks, it asks without a token
            await Response(status_code=204)(scope, receive, send)
        else:
            identity = await self._identity(scope)
            scope["state"] |= {"user": identity.user, "expires_at": identity.expires_at}
            await self._app(scope, receive, send)

    async def _identity(self, scope: Scope) -> Identity:
        """Raises ``Unauthenticated``, in the words of the other doors."""
        settings = self._entrance.settings
        try:
            async with self._one_at_a_time:  # keys are read, and read again, for one
                identity = await self._entrance.identify(bearer(Headers(scope=scope).get("authorization", "")))
        except Unauthenticated as exc:
            return caller({"refusal": exc.code}, settings, now())
        return caller({"user": identity.user, "tokenExpires": identity.expires_at}, settings, now())
