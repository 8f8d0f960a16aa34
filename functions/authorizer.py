"""Lambda authorizer of both APIs: tells the gateway whose request this is. It says who; the functions say no.

So it lets every request pass, with a context that the gateway hands to the function (and keeps for a minute, on the
HTTP API): ``user``, ``tokenExpires`` (ms, "0": never), and ``refusal``, the code of what is wrong with the token, "" if
nothing is. A ``user`` is only there without a ``refusal``. A socket's context also has its ``conversationId``.

When the keys cannot be read, or the settings are wrong, it raises: the gateway answers 500, lets nobody in, and keeps
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copilotedge.callers import bearer
from copilotedge.entrance import Entrance, entrance
from copilotedge.errors import StoreUnavailable, Unauthenticated
from copilotedge.identity import Identity

MAX_CONVERSATION_ID = 257
"""Characters of the longest id, a shared conversation's: ``<owner>~<id>``. Longer ones are cut, but stay too long."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return handle(entrance(), event)


def handle(app: Entrance, event: dict[str, Any]) -> dict[str, Any]:
    """Answer an HTTP API request (payload format 2.0) or a WebSocket API's ``$connect``; log one line about it."""
    socket = "methodArn" in event
    kind, route = "websocket" if socket else "http", event["requestContext"].get("routeKey")
    try:
        context = _context(app.run(app.identify(_token(event, socket))))
    except Unauthenticated as exc:
        context = _refused(exc.code)
    except StoreUnavailable as exc:
        app.log.error("admission", kind=kind, route=route, refusal=exc.code)
        raise
    app.log.info("admission", kind=kind, route=route, refusal=context["refusal"])
    if not socket:
        return {"isAuthorized": True, "context": context}
    return _policy(event["methodArn"], context | {"conversationId": _conversation_id(app, event)})


def _token(event: Mapping[str, Any], socket: bool) -> str:
    """From the ``Authorization`` header; a socket's also from its subprotocols, else from its query string."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    found = bearer(headers.get("authorization") or "")
    if found or not socket:
        return found
    return _subprotocol(headers.get("sec-websocket-protocol") or "") or _query(event).get("token") or ""


def _subprotocol(header: str) -> str:
    """The token of ``bearer, <token>``, which is how a browser can send one with a socket."""
    offered = [name.strip() for name in header.split(",")]
    return offered[offered.index("bearer") + 1] if "bearer" in offered[:-1] else ""


def _query(event: Mapping[str, Any]) -> Mapping[str, str]:
    return event.get("queryStringParameters") or {}


def _conversation_id(app: Entrance, event: Mapping[str, Any]) -> str:
    asked = _query(event).get("conversationId") or app.settings.default_conversation_id
    return asked[: MAX_CONVERSATION_ID + 1]


def _context(identity: Identity) -> dict[str, str]:
    return {"user": identity.user, "tokenExpires": str(identity.expires_at), "refusal": ""}


def _refused(code: str) -> dict[str, str]:
    return {"user": "", "tokenExpires": "0", "refusal": code}


def _policy(resource: str, context: dict[str, str]) -> dict[str, Any]:
    return {
        "principalId": context["user"] or "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resource}],
        },
        "context": context,
    }
