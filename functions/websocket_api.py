"""Lambda behind the WebSocket API: sockets come and go, and their frames are taken."""

from __future__ import annotations

from typing import Any

from copilotedge.errors import CopilotEdgeError
from copilotedge.http_errors import status_of
from copilotedge.models import Connection
from copilotedge.requests import CONVERSATION_ID
from copilotedge.wiring import Application, application, now

OK = {"statusCode": 200}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return handle(application(), event)


def handle(app: Application, event: dict[str, Any]) -> dict[str, Any]:
    """Serve one event of a socket. The authorizer has put ``user`` and ``conversationId`` into its context."""
    request = event["requestContext"]
    identity = request.get("authorizer") or {}
    conversation_id = identity.get("conversationId") or ""
    connection = Connection(request["connectionId"], identity.get("user") or "", int(request.get("connectedAt") or 0))
    try:
        answer, code = _serve(app, event, conversation_id, connection)
    except CopilotEdgeError as exc:
        answer, code = {"statusCode": status_of(exc)}, exc.code
    app.log.info(
        "socket_event",
        route=request["routeKey"],
        connection_id=connection.connection_id,
        status=answer["statusCode"],
        code=code,
    )
    return answer


def _serve(
    app: Application, event: dict[str, Any], conversation_id: str, connection: Connection
) -> tuple[dict[str, Any], str]:
    route = event["requestContext"]["routeKey"]
    if route == "$connect":
        return _connect(app, conversation_id, connection)
    if route == "$disconnect":
        app.run(app.sockets.disconnect(conversation_id, connection.connection_id))
        return OK, ""
    arrival = int(event["requestContext"].get("requestTimeEpoch") or now())
    return OK, app.run(app.sockets.receive(conversation_id, connection, event.get("body") or "", arrival))


def _connect(app: Application, conversation_id: str, connection: Connection) -> tuple[dict[str, Any], str]:
    if not app.settings.enable_conversations:
        return {"statusCode": 403}, "conversations_disabled"
    if not CONVERSATION_ID.fullmatch(conversation_id):
        return {"statusCode": 400}, "invalid_conversation_id"
    app.run(app.sockets.connect(conversation_id, connection))
    return OK, ""
