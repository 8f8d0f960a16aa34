"""What a model's reply says, payload by payload: the chunks of a stream, or one whole JSON body.

Both endpoints' shapes are read wherever they turn up, since newer models answer ``/run`` in the OpenAI shape.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

from copilotedge.adapters.workers_ai import failures
from copilotedge.models import Usage


class Answer:
    """Sum of one reply's payloads. ``skipped`` counts those that were no JSON object."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.finish_reason = "stop"
        self.done = False
        self.began = False
        self.skipped = 0
        self._whole_characters = codecs.getincrementaldecoder("utf-16-le")("replace")

    def take(self, data: str) -> str:
        """The text that ``data`` adds, perhaps none. Raises the ``ModelError`` that an error payload stands for."""
        if data.strip() == "[DONE]":
            self.done = self.began = True
            return ""
        payload = _object(data)
        if payload is None:
            self.skipped += 1
            return ""
        self.began = True
        return self._take_payload(payload)

    def _take_payload(self, payload: Mapping[str, Any]) -> str:
        failure = failures.from_payload(payload)
        if failure:
            raise failure
        result = payload.get("result")
        reply = result if isinstance(result, dict) else payload
        self._keep_usage(reply.get("usage"))
        choice = _first_choice(reply)
        self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
        return self._join(_text(_content(choice) if choice else reply.get("response")))

    def _keep_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.usage = Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))

    def _join(self, text: str) -> str:
        """Whole characters only: the two halves of an emoji can come escaped in two chunks."""
        return self._whole_characters.decode(text.encode("utf-16-le", "surrogatepass"))


def _object(data: str) -> dict[str, Any] | None:
    try:
        payload = json.loads(data)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _first_choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _content(choice: Mapping[str, Any]) -> Any:
    """Answer text only: what a reasoning model thinks is in ``reasoning_content`` beside it."""
    message = choice.get("delta") or choice.get("message")
    return message.get("content") if isinstance(message, dict) else None


def _text(content: Any) -> str:
    # Workers AI sends tokens such as "6" as JSON numbers: https://github.com/cloudflare/ai/issues/651.
    if isinstance(content, str):
        return content
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
