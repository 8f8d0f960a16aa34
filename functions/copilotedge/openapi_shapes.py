"""What the REST routes answer, as JSON schemas for the OpenAPI description. ``rest_shapes`` makes the answers."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "integer", "description": "Milliseconds since the epoch."}
_TIME_OR_NEVER: Schema = {"type": ["integer", "null"], "description": "Milliseconds since the epoch."}


def _object(**properties: Schema) -> Schema:
    """All of these are always there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_MESSAGE_REF: Schema = {"$ref": "#/components/schemas/Message"}
_USAGE = _object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)

MESSAGE = _object(
    role={"enum": ["user", "assistant", "system"]},
    content=_TEXT,
    timestamp=_TIME,
    tokens={**_COUNT, "description": "Tokens that answering took, prompt included."},
    messageId=_TEXT,
    seq={**_COUNT, "description": "Orders the log."},
    turnId=_TEXT,
    status={"enum": ["complete", "incomplete", "cancelled", "failed"]},
)
MESSAGE["properties"] |= {
    "model": _TEXT,
    "replaces": {**_COUNT, "description": "Seq of the answer that this one took the place of."},
}

ERROR = _object(error=_object(message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}, code=_TEXT))

GATEWAY_ERROR = _object(message=_TEXT)
"""Of requests that never reach us: API Gateway found no token, or too many requests in one second, or no function."""

HEALTH = _object(status={"const": "ok"})
DONE = _object(success={"const": True})
CANCELLED = _object(success={"const": True}, cancelled={"type": "boolean"})
APPENDED = _object(success={"const": True}, message=_MESSAGE_REF)
DELETING = _object(status={"const": "deleting"})
PENDING = _object(status={"const": "pending"}, conversationId=_TEXT, turnId=_TEXT, messageId=_TEXT, messagesUrl=_TEXT)

PAGE = _object(
    conversationId=_TEXT,
    epoch=_TEXT,
    messages=_list(_MESSAGE_REF),
    totalTokens=_COUNT,
    hasMore={"type": "boolean"},
    turn={**_object(turnId=_TEXT, messageId=_TEXT, attempt=_COUNT), "type": ["object", "null"]},
)

STATE = _object(
    conversationId=_TEXT,
    userId={"type": ["string", "null"], "description": "A note of the client's; it opens no door."},
    model=_TEXT,
    context={"type": "object"},
    messageCount=_COUNT,
    queued=_COUNT,
    totalTokens=_COUNT,
    createdAt=_TIME_OR_NEVER,
    lastActivity=_TIME_OR_NEVER,
)
STORED_STATE = _object(success={"const": True}, state=STATE)

MEMBERS = _object(
    conversationId=_TEXT,
    sharedId={"type": "string", "description": "What its members call the conversation."},
    members={"type": "object", "additionalProperties": {"enum": ["read", "write"]}},
)

CONVERSATIONS = _object(
    conversations=_list(
        _object(conversationId=_TEXT, createdAt=_TIME, lastActivity=_TIME, messageCount=_COUNT, totalTokens=_COUNT)
    ),
    nextCursor={"type": ["string", "null"]},
)

COMPLETION = _object(
    id=_TEXT,
    object={"const": "chat.completion"},
    created=_COUNT,
    model=_TEXT,
    choices=_list(
        _object(
            index=_COUNT,
            message=_object(role={"const": "assistant"}, content=_TEXT),
            finish_reason=_TEXT,
        )
    ),
    usage=_USAGE,
)
COMPLETION["properties"]["conversationId"] = _TEXT
