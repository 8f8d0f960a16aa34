"""The OpenAPI description of the REST routes, made from the models that check the requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from copilotedge import openapi_shapes as shapes
from copilotedge.requests import (
    CONVERSATION_ID,
    DEFAULT_PAGE,
    MAX_COUNT,
    MESSAGE_ID,
    AppendRequest,
    ChatRequest,
    MembersUpdate,
    StateUpdate,
)
from copilotedge.settings import Settings

Operation = dict[str, Any]

_COMMON = ("400", "401", "404")
_REASONS = {
    "400": "The request is wrong; the message names what",
    "401": "There is no good token",
    "403": "Members may not do this",
    "404": "There is no such conversation for this user, or conversations are disabled",
    "409": "Not now: a turn runs, the conversation was cleared, or the id was used for another message",
    "413": "Too large",
    "429": "Too much: the limit and the seconds until there is room again",
    "5XX": "The model, the table or we ourselves fail",
}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_QUOTA = {
    "X-RateLimit-Limit": {"schema": _NUMBER, "description": "What is allowed."},
    "X-RateLimit-Remaining": {"schema": _NUMBER, "description": "What is left of it."},
    "X-RateLimit-Reset": {"schema": _NUMBER, "description": "Seconds until there is more."},
}
_ALSO_BY_THE_GATEWAY = ("401", "429", "5XX")
_HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    "429": {"Retry-After": {"schema": _NUMBER, "description": "In seconds."}, **_QUOTA},
}


def document(settings: Settings) -> dict[str, Any]:
    """The limits in it are those of ``settings``."""
    conversation = "/conversation/{conversationId}"
    secured: dict[str, Any] = {} if settings.auth_mode == "none" else {"security": [{"bearer": []}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "CopilotEdge for AWS", "version": "0.1.0"},
        **secured,
        "paths": {
            "/": {"get": _page()},
            "/health": {"get": _public("Whether the API answers", _json("It does", shapes.HEALTH))},
            "/openapi.json": {"get": _public("This description", _json("It", {"type": "object"}))},
            "/api/copilotedge": {"post": _chat()},
            "/conversations": {"get": _list(settings)},
            conversation: {"delete": _of_one("Delete it with its messages and settings", shapes.DONE, ["403", "409"])},
            f"{conversation}/messages": {"get": _read_messages(settings), "post": _append()},
            f"{conversation}/clear": {"post": _of_one("Forget all messages", shapes.DONE, ["403", "409"])},
            f"{conversation}/cancel": {"post": _of_one("Stop the running answer", shapes.CANCELLED, ["403", "409"])},
            f"{conversation}/state": {
                "get": _of_one("Model, user, context and counts", shapes.STATE),
                "put": _of_one("Set model, user and context", shapes.STORED_STATE, ["403", "409", "413"], StateUpdate),
            },
            f"{conversation}/members": {
                "get": _of_one("Who may read and write, besides the owner", shapes.MEMBERS, ["403"]),
                "put": _of_one("Let exactly these users in", shapes.MEMBERS, ["403", "409", "413"], MembersUpdate),
            },
            "/users/me": {"delete": _forget_me()},
        },
        "components": {
            "schemas": {"Message": shapes.MESSAGE, "Error": shapes.ERROR, "GatewayError": shapes.GATEWAY_ERROR},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _page() -> Operation:
    answers = {
        "200": {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}},
        "304": {"description": "It is the one that If-None-Match names"},
    }
    return {"summary": "The chat page", "security": [], "responses": answers}


def _public(summary: str, answer: dict[str, Any]) -> Operation:
    return {"summary": summary, "security": [], "responses": {"200": answer}}


def _chat() -> Operation:
    done = _json("An OpenAI chat completion with conversationId; events if stream is true", shapes.COMPLETION, _QUOTA)
    done["content"]["text/event-stream"] = {}
    answers = {
        "200": done,
        "202": _json("It takes longer; messagesUrl tells where the answer will be", shapes.PENDING, _QUOTA),
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "pattern": f"^({MESSAGE_ID.pattern})?$"},
        "description": "Repeating a request with the same key gives the same answer, and one model call.",
    }
    refusals = _refusals([*_COMMON, "403", "409", "413", "429", "5XX"])
    operation = _operation("Chat, with a conversation or without one", answers | refusals, ChatRequest)
    return operation | {"parameters": [key]}


def _list(settings: Settings) -> Operation:
    answers = {"200": _json("Newest activity first", shapes.CONVERSATIONS)} | _refusals([*_COMMON, "5XX"])
    cursor = {"name": "cursor", "in": "query", "schema": {"type": "string"}, "description": "An answer's nextCursor."}
    limit = _query("limit", "Conversations to read.", 1, settings.max_history_page)
    return _operation("The user's own conversations", answers) | {"parameters": [limit, cursor]}


def _read_messages(settings: Settings) -> Operation:
    operation = _of_one("Read the log, oldest first", shapes.PAGE)
    most = settings.max_history_page
    operation["parameters"] += [
        _query("limit", f"Messages to read; {min(DEFAULT_PAGE, most)} if left out.", 1, most),
        _query("before", "Read the messages before this seq. Not together with after.", 0, MAX_COUNT),
        _query("after", "Read the messages after this seq.", 0, MAX_COUNT),
    ]
    return operation


def _append() -> Operation:
    refused = ["403", "409", "413", "429"]
    return _of_one("Append a message without answering it", shapes.APPENDED, refused, AppendRequest)


def _forget_me() -> Operation:
    answers = {"202": _json("It will be done within a minute", shapes.DELETING)} | _refusals(["401", "5XX"])
    return _operation("Delete everything of this user", answers)


def _of_one(
    summary: str, reply: dict[str, Any], refused: Iterable[str] = (), request: type[BaseModel] | None = None
) -> Operation:
    """An operation on the conversation in the path."""
    conversation_id = {
        "name": "conversationId",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": f"^([!-~]{{1,128}}~)?{CONVERSATION_ID.pattern}$"},
        "description": "One's own, or <owner>~<id> for one that somebody shares.",
    }
    answers = {"200": _json("Done", reply)} | _refusals([*_COMMON, *refused, "5XX"])
    return _operation(summary, answers, request) | {"parameters": [conversation_id]}


def _operation(summary: str, answers: dict[str, Any], request: type[BaseModel] | None = None) -> Operation:
    body = {"requestBody": _body(request.model_json_schema())} if request else {}
    return {"summary": summary, "responses": answers} | body


def _refusals(statuses: Iterable[str]) -> dict[str, Any]:
    ours: dict[str, Any] = {"$ref": "#/components/schemas/Error"}
    both = {"anyOf": [ours, {"$ref": "#/components/schemas/GatewayError"}]}
    shape_of = dict.fromkeys(_ALSO_BY_THE_GATEWAY, both)
    return {
        status: _json(_REASONS[status], shape_of.get(status, ours), _HEADERS.get(status)) for status in sorted(statuses)
    }


def _query(name: str, description: str, low: int, high: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _inlined(schema)}}}


def _json(description: str, schema: dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": {"application/json": {"schema": schema}}}
    return answer | ({"headers": headers} if headers else {})


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its ``$defs``, whose references would not resolve inside the document."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict) and "$ref" in node:
            return resolve(definitions[node["$ref"].rsplit("/", 1)[-1]])
        if isinstance(node, dict):
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(entry) for entry in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved
