"""What the REST routes answer, as JSON schemas for the OpenAPI description. ``rest_shapes`` makes the answers."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_USD: Schema = {"type": "number", "minimum": 0}
_USD_OR_UNKNOWN: Schema = {"type": ["number", "null"], "minimum": 0}
_TIME: Schema = {"type": "integer", "description": "Milliseconds since the epoch."}
_TIME_OR_NEVER: Schema = {"type": ["integer", "null"], "description": "Milliseconds since the epoch."}


def _object(**properties: Schema) -> Schema:
    """All of these are always there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_MESSAGE_REF: Schema = {"$ref": "#/components/schemas/Message"}
_USAGE = _object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)
_USAGE["properties"]["cost_usd"] = {**_USD, "description": "Left out where the model's price is not known."}

MESSAGE = _object(
    role={"enum": ["user", "assistant", "system", "tool"]},
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
    "toolCalls": _list(_object(id=_TEXT, name=_TEXT, arguments={"type": "string", "description": "JSON text."})),
    "toolCallId": {"type": "string", "description": "The call whose result this is."},
    "costUsd": {**_USD, "description": "What answering cost; left out where the model's price is not known."},
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
    title={"type": "string", "description": "Empty where nothing has been said yet."},
    userId={"type": ["string", "null"], "description": "A note of the client's; it opens no door."},
    model=_TEXT,
    context={"type": "object"},
    messageCount=_COUNT,
    queued=_COUNT,
    totalTokens=_COUNT,
    totalCostUsd={**_USD, "description": "Of the answers whose cost is known."},
    createdAt=_TIME_OR_NEVER,
    lastActivity=_TIME_OR_NEVER,
)
STORED_STATE = _object(success={"const": True}, state=STATE)

_MODEL = _object(id=_TEXT, inputUsdPerMillion=_USD_OR_UNKNOWN, outputUsdPerMillion=_USD_OR_UNKNOWN)
MODELS = _object(models=_list(_MODEL), default=_TEXT)

MEMBERS = _object(
    conversationId=_TEXT,
    sharedId={"type": "string", "description": "What its members call the conversation."},
    members={"type": "object", "additionalProperties": {"enum": ["read", "write"]}},
)

CONVERSATION = _object(
    conversationId=_TEXT,
    title={"type": "string", "description": "Empty where nothing has been said yet."},
    pinned={"type": "boolean"},
    archived={"type": "boolean"},
    createdAt=_TIME,
    lastActivity=_TIME,
    messageCount=_COUNT,
    totalTokens=_COUNT,
    totalCostUsd=_USD,
)
CONVERSATIONS = _object(conversations=_list(CONVERSATION), nextCursor={"type": ["string", "null"]})

EXPORT = _object(
    conversationId=_TEXT,
    title=_TEXT,
    epoch=_TEXT,
    createdAt=_TIME,
    lastActivity=_TIME,
    totalTokens=_COUNT,
    totalCostUsd=_USD,
    messages=_list(_MESSAGE_REF),
    nextAfter={"type": ["integer", "null"], "description": "Where the next export goes on; null when this is all."},
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
