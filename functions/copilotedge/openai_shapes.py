"""OpenAI's shapes for a chat reply: the completion object, and the same as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from copilotedge.replies import Reply


def completion(reply: Reply, conversation_id: str) -> dict[str, Any]:
    """``conversation_id`` is what the caller calls the conversation; empty for a stateless chat."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish_reason,
    }
    return _head(reply, conversation_id, "chat.completion") | {"choices": [choice], "usage": _usage(reply)}


def event_stream(reply: Reply, conversation_id: str) -> str:
    """The whole reply as one ``text/event-stream`` body, ended by ``[DONE]``."""
    return "".join(f"data: {data}\n\n" for data in _events(reply, conversation_id))


def _events(reply: Reply, conversation_id: str) -> Iterator[str]:
    head = _head(reply, conversation_id, "chat.completion.chunk")
    yield _chunk(head, {"role": "assistant", "content": ""}, None)
    if reply.text:
        yield _chunk(head, {"content": reply.text}, None)
    yield _chunk(head, {}, reply.finish_reason)
    yield json.dumps(head | {"choices": [], "usage": _usage(reply)}, ensure_ascii=False)
    yield "[DONE]"


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish_reason: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return json.dumps(head | {"choices": [choice]}, ensure_ascii=False)


def _head(reply: Reply, conversation_id: str, kind: str) -> dict[str, Any]:
    head = {
        "id": f"chatcmpl-{reply.turn_id}",
        "object": kind,
        "created": reply.created_at // 1000,
        "model": reply.model,
    }
    return head | ({"conversationId": conversation_id} if conversation_id else {})


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "total_tokens": reply.usage.total_tokens,
    }
