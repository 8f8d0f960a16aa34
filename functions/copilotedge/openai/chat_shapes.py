"""OpenAI's shapes of a chat: the completion object, the same as chunks while it is being given, and the models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from copilotedge.answering import CallWords, Piece, Reply, Words
from copilotedge.errors import TurnFailed
from copilotedge.models import ToolCall
from copilotedge.prices import dollars

DONE = "[DONE]"
"""Data of a stream's last event."""


def completion(reply: Reply, conversation_id: str) -> dict[str, Any]:
    """``conversation_id`` is what the caller calls the conversation; empty for a stateless chat."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message |= {"content": reply.text or None, "tool_calls": [_call(call) for call in reply.tool_calls]}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    head = _head(reply.turn_id, "chat.completion", reply.created_at, reply.model, conversation_id)
    return head | {"choices": [choice], "usage": _usage(reply)}


def event_stream(reply: Reply, conversation_id: str) -> str:
    """The whole reply as one ``text/event-stream`` body, ended by ``[DONE]``."""
    chunks = Chunks(reply.turn_id, reply.created_at, reply.model, conversation_id, include_usage=True)
    said = [chunks.begin(), *chunks.rest(reply)]
    return "".join(f"data: {data}\n\n" for data in [*(json.dumps(chunk, ensure_ascii=False) for chunk in said), DONE])


class Chunks:
    """A reply as chat completion chunks. ``model`` is the one that was asked; the last chunks name that which answered.

    ``created_at`` in ms; ``conversation_id`` as in ``completion``.
    """

    def __init__(self, turn_id: str, created_at: int, model: str, conversation_id: str, *, include_usage: bool) -> None:
        self._head = _head(turn_id, "chat.completion.chunk", created_at, model, conversation_id)
        self._include_usage = include_usage
        self._attempt = 0
        self._text = ""
        self._calls: set[int] = set()

    def begin(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, piece: Piece) -> dict[str, Any]:
        """Raises ``TurnFailed`` where an answer is begun anew behind its first words: chunks cannot take them back."""
        if self._attempt not in (0, piece.attempt):
            raise TurnFailed("The answer was begun anew: read it from the conversation.", code="answer_restarted")
        self._attempt = piece.attempt
        if isinstance(piece, Words):
            self._text += piece.text
            return self._chunk({"content": piece.text})
        self._calls.add(piece.index)
        return self._chunk({"tool_calls": [_call_delta(piece)]})

    def rest(self, reply: Reply) -> Iterator[dict[str, Any]]:
        """What no piece brought, and the end."""
        if reply.text.startswith(self._text) and len(reply.text) > len(self._text):
            yield self._chunk({"content": reply.text[len(self._text) :]})
        for index, call in enumerate(reply.tool_calls):
            if index not in self._calls:
                yield self._chunk({"tool_calls": [{"index": index, **_call(call)}]})
        self._head["model"] = reply.model
        yield self._chunk({}, reply.finish_reason)
        if self._include_usage:
            yield self._head | {"choices": [], "usage": _usage(reply)}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._head | {"choices": [choice]}


def model_list(names: Iterable[str]) -> dict[str, Any]:
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """Workers AI's names begin with where a model comes from, and whose it is: ``@cf/meta/llama-3.1-8b-instruct``."""
    parts = name.split("/")
    owner = parts[1] if name.startswith("@") and len(parts) > 2 else "unknown"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _head(turn_id: str, kind: str, created_at: int, model_name: str, conversation_id: str) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{turn_id}", "object": kind, "created": created_at // 1000, "model": model_name}
    return head | ({"conversationId": conversation_id} if conversation_id else {})


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_delta(words: CallWords) -> dict[str, Any]:
    if not words.call_id:
        return {"index": words.index, "function": {"arguments": words.arguments}}
    return {"index": words.index, **_call(ToolCall(words.call_id, words.name, words.arguments))}


def _usage(reply: Reply) -> dict[str, float]:
    """OpenAI's SDKs pass ``cost_usd`` on; it is left out where the cost is not known."""
    tokens: dict[str, float] = {
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "total_tokens": reply.usage.total_tokens,
    }
    return tokens if reply.cost is None else tokens | {"cost_usd": dollars(reply.cost)}
