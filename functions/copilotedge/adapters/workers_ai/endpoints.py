"""The two endpoints that answer a conversation: where to post, and what."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from copilotedge.errors import ModelRequestRejected
from copilotedge.models import ModelRequest, PromptMessage

Endpoint = Literal["chat-completions", "run"]

_PATH_SEGMENT = re.compile(r"(?!\.+$)[A-Za-z0-9@._:-]+")
_LONGEST_SHOWN = 80


def url(endpoint: Endpoint, base_url: str, model: str) -> str:
    """Address to post to. ``base_url`` may end in ``/v1`` or not: both ways of naming a server are about.
    An AI Gateway has no ``/run/``: it takes ``chat-completions`` only.

    Raises ``ModelRequestRejected`` for a model whose name would lead elsewhere than to ``/run/{model}``.
    """
    root = base_url.rstrip("/").removesuffix("/v1")
    return f"{root}/run/{_path(model)}" if endpoint == "run" else f"{root}/v1/chat/completions"


def shown(model: str) -> str:
    """The model as the log may know it: its name is the client's own text."""
    return model if len(model) <= _LONGEST_SHOWN and _is_path(model) else "other"


def body(endpoint: Endpoint, request: ModelRequest, model: str) -> dict[str, Any]:
    common: dict[str, Any] = {
        **(json.loads(request.options) if request.options else {}),
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "stream": True,
    }
    if request.temperature is not None:
        common["temperature"] = request.temperature
    if endpoint == "run":
        return common
    return {"model": model, "stream_options": {"include_usage": True}, **common}


def _message(message: PromptMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id:
        entry["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        entry["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return entry


def _path(model: str) -> str:
    # The name is the client's, the token in the header the operator's: "../.." must not reach the rest of the API.
    if _is_path(model):
        return model
    raise ModelRequestRejected("There is no such model.", code="unknown_model", detail="not a model's name")


def _is_path(model: str) -> bool:
    return all(_PATH_SEGMENT.fullmatch(segment) for segment in model.split("/"))
