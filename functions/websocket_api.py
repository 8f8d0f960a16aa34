"""Lambda behind the WebSocket API: sockets come and go, and their frames are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from copilotedge import correlation
from copilotedge.addresses import address_of
from copilotedge.callers import caller
from copilotedge.errors import CopilotEdgeError, Forbidden, Unauthenticated
from copilotedge.http_errors import status_of
from copilotedge.identity import ANONYMOUS
from copilotedge.models import Connection
from copilotedge.wiring import Application, application, now


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    with correlation.work():
        return handle(application(), event)


def handle(app: Application, event: dict[str, Any]) -> dict[str, Any]:
    """Serve one event of a socket. The gateway adds what the authorizer said at ``$connect`` to each of them."""
    request = event["requestContext"]
    try:
        code = _serve(app, event)
        answer = {"statusCode": 200} | (_protocol(event) if request["routeKey"] == "$connect" else {})
    except CopilotEdgeError as exc:
        answer, code = {"statusCode": status_of(exc)}, exc.code
    app.log.info(
        "socket_event",
        route=request["routeKey"],
        connection_id=request["connectionId"],
        status=answer["statusCode"],
        code=code,
    )
    return answer


def _serve(app: Application, event: dict[str, Any]) -> str:
    """The code of what was wrong with a frame, or an empty string. Raises what is wrong with a handshake."""
    request = event["requestContext"]
    said, route = request.get("authorizer") or {}, request["routeKey"]
    if route == "$disconnect":
        return _disconnect(app, said, request["connectionId"])
    try:
        who = caller(said, app.settings, now())
    except Unauthenticated as exc:
        if route == "$connect":
            raise
        return _turn_away(app, said, request["connectionId"], exc)
    if not app.settings.enable_conversations:
        raise Forbidden("Conversations are not enabled.", code="conversations_disabled")
    key = address_of(who.user, said.get("conversationId") or "").key
    connection = Connection(request["connectionId"], who.user, token_expires=who.expires_at)
    if route == "$connect":
        app.run(app.sockets.connect(key, replace(connection, connected_at=now())))
        return ""
    arrival = int(request.get("requestTimeEpoch") or now())
    return app.run(app.sockets.receive(key, connection, event.get("body") or "", arrival))


def _turn_away(app: Application, said: dict[str, Any], connection_id: str, reason: Unauthenticated) -> str:
    """A socket ends with its token."""
    user = said.get("user") or ""
    key = address_of(user, said.get("conversationId") or "").key
    app.run(app.sockets.turn_away(key, Connection(connection_id, user), reason))
    return reason.code


def _disconnect(app: Application, said: dict[str, Any], connection_id: str) -> str:
    """Also of a socket whose token has expired since."""
    user = ANONYMOUS if app.settings.auth_mode == "none" else said.get("user") or ""
    key = address_of(user, said.get("conversationId") or "").key
    app.run(app.sockets.disconnect(key, Connection(connection_id, user)))
    return ""


def _protocol(event: dict[str, Any]) -> dict[str, Any]:
    """A browser that sent its token as a subprotocol wants one of its subprotocols chosen."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    offered = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",")]
    return {"headers": {"Sec-WebSocket-Protocol": "bearer"}} if "bearer" in offered else {}
