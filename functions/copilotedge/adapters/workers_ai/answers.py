"""What a model's reply says, payload by payload: the chunks of a stream, or one whole JSON body.

Both endpoints' shapes are read wherever they turn up, since newer models answer ``/run`` in the OpenAI shape.
"""

from __future__ import annotations

import codecs
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from copilotedge.adapters.workers_ai import failures
from copilotedge.models import TextDelta, ToolCallDelta, Usage


class Answer:
    """Sum of one reply's payloads. ``skipped`` counts those that were no JSON object."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.finish_reason = "stop"
        self.done = False
        self.began = False
        self.skipped = 0
        self._calls: dict[int, int] = {}
        self._call_ids: dict[int, str] = {}
        self._whole_characters = codecs.getincrementaldecoder("utf-16-le")("replace")

    def take(self, data: str) -> Iterator[TextDelta | ToolCallDelta]:
        """What ``data`` adds, perhaps nothing. Raises the ``ModelError`` that an error payload stands for."""
        if data.strip() == "[DONE]":
            self.done = self.began = True
            return
        payload = _object(data)
        if payload is None:
            self.skipped += 1
            return
        self.began = True
        yield from self._take_payload(payload)

    def _take_payload(self, payload: Mapping[str, Any]) -> Iterator[TextDelta | ToolCallDelta]:
        failure = failures.from_payload(payload)
        if failure:
            raise failure
        result = payload.get("result")
        reply = result if isinstance(result, dict) else payload
        self._keep_usage(reply.get("usage"))
        choice = _first_choice(reply)
        self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
        said = _said(choice) if choice else {**reply, "content": reply.get("response")}
        if text := self._join(_text(said.get("content"))):
            yield TextDelta(text)
        yield from self._take_calls(said.get("tool_calls"))

    def _take_calls(self, calls: Any) -> Iterator[ToolCallDelta]:
        """Pieces of calls in OpenAI's shape, or whole ones in Workers AI's own."""
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                index = call.get("index")
                yield self._take_call(call, index if isinstance(index, int) else place)

    def _take_call(self, call: Mapping[str, Any], index: int) -> ToolCallDelta:
        function = call["function"] if isinstance(call.get("function"), dict) else call
        arguments, given_id = _text(function.get("arguments")), str(call.get("id") or "")
        if index in self._calls and given_id in ("", self._call_ids[self._calls[index]]):
            return ToolCallDelta(self._calls[index], arguments)
        number = self._calls[index] = len(self._call_ids)
        self._call_ids[number] = given_id or f"call_{secrets.token_hex(12)}"
        return ToolCallDelta(number, arguments, self._call_ids[number], str(function.get("name") or ""))

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


def _said(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of its ``content`` and ``tool_calls`` only is use: what a reasoning model thinks stands beside them."""
    message = choice.get("delta") or choice.get("message")
    return message if isinstance(message, dict) else {}


def _text(content: Any) -> str:
    # Workers AI sends tokens such as "6" as JSON numbers: https://github.com/cloudflare/ai/issues/651.
    if isinstance(content, str):
        return content
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
