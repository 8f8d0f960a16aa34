"""The response object of OpenAI's Responses API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from copilotedge.answering import Reply
from copilotedge.errors import CopilotEdgeError
from copilotedge.openai import item_shapes
from copilotedge.openai.item_shapes import Item
from copilotedge.prices import dollars
from copilotedge.values import dataclass

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
Response = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What is known of a response before there is an answer. ``created_at`` in ms; ``options`` as in ``Question``.

    ``known_as`` is the conversation's id as the caller gives it; empty for an answer that is not kept.
    """

    response_id: str
    created_at: int
    known_as: str = ""
    model: str = ""
    instructions: str = ""
    options: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    previous: str = ""
    background: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def unfinished(head: ResponseHead, status: Status) -> Response:
    """Nothing of its answer is in here: that comes as events, or when it is whole."""
    return _response(head, status)


def ended(head: ResponseHead, reply: Reply) -> Response:
    """``completed``, ``incomplete`` or ``cancelled``."""
    status = status_of(reply)
    items = item_shapes.output(
        reply.answer_id or reply.turn_id,
        reply.text,
        reply.tool_calls,
        "completed" if status == "completed" else "incomplete",
    )
    return _response(head, status, items, model=reply.model) | {
        "completed_at": reply.created_at // 1000 if status == "completed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "usage": _usage(reply),
    }


def failed(head: ResponseHead, exc: CopilotEdgeError) -> Response:
    """``cancelled`` where the answer was stopped before its first word."""
    if exc.code == "turn_cancelled":
        return _response(head, "cancelled")
    return _response(head, "failed") | {"error": {"code": exc.code, "message": exc.message}}


def status_of(reply: Reply) -> Status:
    if reply.status == "cancelled":
        return "cancelled"
    return "incomplete" if reply.status == "incomplete" or reply.finish_reason == "length" else "completed"


def _response(head: ResponseHead, status: Status, items: Sequence[Item] = (), model: str = "") -> Response:
    asked = json.loads(head.options or "{}")
    return {
        "id": head.response_id,
        "object": "response",
        "created_at": head.created_at // 1000,
        "completed_at": None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": head.instructions or None,
        "model": model or head.model,
        "output": list(items),
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "temperature": head.temperature,
        "tool_choice": _choice(asked.get("tool_choice", "auto")),
        "tools": [_flat(tool) for tool in asked.get("tools", ())],
        "top_p": asked.get("top_p"),
        "text": {"format": _format(asked.get("response_format"))},
        "max_output_tokens": head.max_tokens,
        "previous_response_id": head.previous or None,
        "conversation": {"id": head.known_as} if head.known_as else None,
        "background": head.background,
        "store": bool(head.known_as),
        "truncation": "auto",
        "usage": None,
        "metadata": dict(head.metadata),
    }


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    cost = {} if reply.cost is None else {"cost_usd": dollars(reply.cost)}
    return cost | {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }


def _flat(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool in Responses' shape; ``tool`` is in chat completions'."""
    return {"type": "function", "parameters": None, "strict": None, **tool.get("function", {})}


def _choice(chosen: Any) -> Any:
    return {"type": "function", **chosen.get("function", {})} if isinstance(chosen, dict) else chosen


def _format(wanted: dict[str, Any] | None) -> dict[str, Any]:
    if wanted is None:
        return {"type": "text"}
    return {"type": wanted.get("type", "text"), **wanted.get("json_schema", {})}
