"""The OpenAPI description of the REST routes, made from the models that check the requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from copilotedge import openapi_shapes as shapes
from copilotedge.exports import FORMATS
from copilotedge.ids import CONVERSATION_ID, MESSAGE_ID
from copilotedge.openai.chat_requests import ChatRequest
from copilotedge.requests import DEFAULT_PAGE, MAX_COUNT, MAX_SEARCH_CHARACTERS
from copilotedge.rest_requests import AppendRequest, ListingUpdate, MembersUpdate, StateUpdate
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
_TAKEN = {
    "X-Usage-Tokens": {"schema": _NUMBER, "description": "Tokens that the answer took, the prompt included."},
    "X-Cost-Usd": {
        "schema": {"type": "string", "pattern": "^[0-9]+\\.[0-9]{9}$"},
        "description": "What they cost; left out where the model's price is not known.",
    },
    "X-Correlation-Id": {
        "schema": {"type": "string"},
        "description": "The turn's id, which every line of the log about it has.",
    },
    "X-Cache": {
        "schema": {"enum": ["HIT", "MISS"]},
        "description": "Whether the answer was given before; left out where it could not be.",
    },
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
            conversation: {
                "patch": _of_one("Rename, pin or archive it", shapes.CONVERSATION, ["403", "413"], ListingUpdate),
                "delete": _of_one("Delete it with its messages and settings", shapes.DONE, ["403", "409"]),
            },
            f"{conversation}/export": {"get": _export()},
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
            "/models": {"get": _models()},
        },
        "components": {
            "schemas": {"Message": shapes.MESSAGE, "Error": shapes.ERROR, "GatewayError": shapes.GATEWAY_ERROR},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def methods_of(path: str, settings: Settings) -> tuple[str, ...]:
    """What may be asked of this path; nothing of one that is no route."""
    for pattern, operations in document(settings)["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
            return tuple(sorted(method.upper() for method in operations))
    return ()


def _page() -> Operation:
    answers = {
        "200": {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}},
        "304": {"description": "It is the one that If-None-Match names"},
    }
    return {"summary": "The chat page", "security": [], "responses": answers}


def _public(summary: str, answer: dict[str, Any]) -> Operation:
    return {"summary": summary, "security": [], "responses": {"200": answer}}


def _chat() -> Operation:
    headers = _QUOTA | _TAKEN
    done = _json("An OpenAI chat completion with conversationId; events if stream is true", shapes.COMPLETION, headers)
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
    found = _json("Pinned ones first, then newest activity first", shapes.CONVERSATIONS)
    text, flag = {"type": "string", "maxLength": MAX_SEARCH_CHARACTERS}, {"enum": ["true", "false"]}
    parameters = [
        _query("limit", "Conversations to read.", 1, settings.max_history_page),
        _parameter("cursor", "An answer's nextCursor.", {"type": "string"}),
        _parameter("q", "Part of a title, or of an id, in whatever case.", text),
        _parameter("archived", "Those that are archived, instead of the others.", flag),
    ]
    answers = {"200": found} | _refusals([*_COMMON, "5XX"])
    return _operation("The user's own conversations", answers) | {"parameters": parameters}


def _read_messages(settings: Settings) -> Operation:
    operation = _of_one("Read the log, oldest first", shapes.PAGE)
    most = settings.max_history_page
    operation["parameters"] += [
        _query("limit", f"Messages to read; {min(DEFAULT_PAGE, most)} if left out.", 1, most),
        _query("before", "Read the messages before this seq. Not together with after.", 0, MAX_COUNT),
        _query("after", "Read the messages after this seq.", 0, MAX_COUNT),
    ]
    return operation


def _export() -> Operation:
    operation = _of_one("The whole log, to take away", shapes.EXPORT, ["403", "409"])
    done = operation["responses"]["200"]
    done["content"]["text/markdown"] = {"schema": {"type": "string"}}
    done["headers"] = {"Content-Disposition": {"schema": {"type": "string"}, "description": "It has a file name."}}
    operation["parameters"] += [
        _parameter("format", "json, if left out.", {"enum": sorted(FORMATS)}),
        _query("after", "Begin after this seq: where an export that was too long for one answer ended.", 0, MAX_COUNT),
    ]
    return operation


def _append() -> Operation:
    refused = ["403", "409", "413", "429"]
    operation = _of_one("Append a message without answering it", shapes.APPENDED, refused, AppendRequest)
    operation["responses"]["200"]["headers"] = _QUOTA
    return operation


def _models() -> Operation:
    answers = {"200": _json("Models whose prices are known, and the default", shapes.MODELS)}
    return _operation("What models cost", answers | _refusals(["401", "5XX"]))


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
    return _parameter(name, description, {"type": "integer", "minimum": low, "maximum": high})


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One of the query string."""
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
