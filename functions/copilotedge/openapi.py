"""The OpenAPI description of the REST routes, made from the models that check the requests."""

from __future__ import annotations

from typing import Any

from copilotedge.requests import AppendRequest, ChatRequest, StateUpdate

_MESSAGE = {
    "type": "object",
    "required": ["role", "content", "timestamp", "seq", "messageId", "status"],
    "properties": {
        "role": {"enum": ["user", "assistant", "system"]},
        "content": {"type": "string"},
        "timestamp": {"type": "integer", "description": "Milliseconds since the epoch."},
        "tokens": {"type": "integer", "description": "Tokens that answering took, prompt included."},
        "messageId": {"type": "string"},
        "seq": {"type": "integer", "description": "Orders the log."},
        "turnId": {"type": "string"},
        "status": {"enum": ["complete", "incomplete", "cancelled", "failed"]},
        "model": {"type": "string"},
        "replaces": {"type": "integer", "description": "Seq of the answer that this one took the place of."},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}
_ANY_OBJECT = {"type": "object"}


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "CopilotEdge for AWS", "version": "0.1.0"},
        "paths": {
            "/api/copilotedge": {"post": _chat()},
            "/conversation/{conversationId}/messages": {"get": _read_messages(), "post": _append()},
            "/conversation/{conversationId}/clear": {"post": _operation("Forget all messages", _ANY_OBJECT)},
            "/conversation/{conversationId}/cancel": {"post": _operation("Stop the running answer", _ANY_OBJECT)},
            "/conversation/{conversationId}/state": {
                "get": _operation("Model, user, context and counts", _ANY_OBJECT),
                "put": _operation("Set model, user and context", _ANY_OBJECT, StateUpdate.model_json_schema()),
            },
            "/conversation/{conversationId}": {"delete": _operation("Delete the conversation", _ANY_OBJECT)},
            "/health": {
                "get": {"summary": "Whether the API answers", "responses": {"200": _json("It does", _ANY_OBJECT)}}
            },
        },
        "components": {"schemas": {"Message": _MESSAGE, "Error": _ERROR}},
    }


def _chat() -> dict[str, Any]:
    return {
        "summary": "Chat, with a conversation or without one",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128},
                "description": "Repeating a request with the same key gives the same answer, and one model call.",
            }
        ],
        "requestBody": _body(_inlined(ChatRequest.model_json_schema())),
        "responses": {
            "200": _json(
                "An OpenAI chat completion with conversationId; an event stream when stream is true", _ANY_OBJECT
            ),
            "202": _json("The answer takes longer; messagesUrl tells where it will be", _ANY_OBJECT),
            "default": _refusal(),
        },
    }


def _read_messages() -> dict[str, Any]:
    page = {
        "type": "object",
        "required": ["conversationId", "messages", "totalTokens", "hasMore"],
        "properties": {
            "conversationId": {"type": "string"},
            "epoch": {"type": "string"},
            "messages": {"type": "array", "items": {"$ref": "#/components/schemas/Message"}},
            "totalTokens": {"type": "integer"},
            "hasMore": {"type": "boolean"},
            "turn": {"type": ["object", "null"], "description": "The running turn."},
        },
    }
    operation = _operation("Read the log, oldest first", page)
    operation["parameters"] += [
        _query("limit", "Messages to read, 1 to 100; 50 if left out."),
        _query("before", "Read the messages before this seq."),
        _query("after", "Read the messages after this seq."),
    ]
    return operation


def _append() -> dict[str, Any]:
    return _operation("Append a message without answering it", _ANY_OBJECT, AppendRequest.model_json_schema())


def _operation(summary: str, reply: dict[str, Any], request: dict[str, Any] | None = None) -> dict[str, Any]:
    conversation_id = {
        "name": "conversationId",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,128}$"},
    }
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [conversation_id],
        "responses": {"200": _json("Done", reply), "default": _refusal()},
    }
    return operation | ({"requestBody": _body(request)} if request else {})


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 0}, "description": description}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _refusal() -> dict[str, Any]:
    return _json("Refused; the code is stable", {"$ref": "#/components/schemas/Error"})


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


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
