"""What clients send, over HTTP and WebSocket, checked at the edge: what all kinds of requests have in common.

One rule for unknown fields: they are ignored, since OpenAI-style clients send many. Types are strict. Every refusal
carries a stable code; the codes of sizes and of messages are listed in ``docs/protocol.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.json_objects import read_object
from copilotedge.settings import Settings

MAX_CONTEXT_BYTES = 100_000
"""Of a conversation's stored context, as JSON; an item of the table holds 400 KB."""

MAX_COUNT = 10**12
"""Of numbers that place a message in its conversation."""

MAX_SEARCH_CHARACTERS = 200

DEFAULT_PAGE = 50
"""Messages that are read when the reader names no number."""

_Model = TypeVar("_Model", bound=BaseModel)


def rounded(temperature: float | None) -> float | None:
    """To a thousandth: what is smaller makes no difference to a model, and some to what a table can hold."""
    return None if temperature is None else round(temperature, 3)


class ClientRequest(BaseModel):
    """Its checks are built with its first use; ``defer_build=False`` is for what a first request will be."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", alias_generator=to_camel, defer_build=True)


def check_instructions(text: str, settings: Settings) -> None:
    limit = settings.max_instruction_characters
    if len(text) > limit:
        raise RequestTooLarge(f"Instructions may have {limit} characters at most.", code="instructions_too_large")


def check_text(text: str, settings: Settings) -> None:
    limit = settings.max_message_characters
    if len(text) > limit:
        raise RequestTooLarge(f"A message may have {limit} characters at most.", code="message_too_large")


def merge_context(stored: Mapping[str, Any], update: Mapping[str, Any] | None) -> dict[str, Any]:
    """``stored`` with the keys of ``update``. Raises ``RequestTooLarge`` for what they add up to."""
    merged = {**stored, **(update or {})}
    if len(json.dumps(merged, ensure_ascii=False).encode()) > MAX_CONTEXT_BYTES:
        raise RequestTooLarge(f"The context may take {MAX_CONTEXT_BYTES} bytes at most.", code="context_too_large")
    return merged


def parse_count(text: str | None, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query string, between ``low`` and ``high``."""
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,15}", text) or not low <= int(text) <= high:
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}.", code="invalid_parameter")
    return int(text)


def parse_flag(text: str | None, name: str) -> bool:
    """A yes or no of the query string; no, if it is left out."""
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"{name} must be true or false.", code="invalid_parameter")
    return text == "true"


def parse_search(text: str | None) -> str:
    """The text that a list is searched for."""
    if len(text or "") > MAX_SEARCH_CHARACTERS:
        raise InvalidRequest(f"q may have {MAX_SEARCH_CHARACTERS} characters at most.", code="invalid_parameter")
    return text or ""


def load(body: str, settings: Settings) -> dict[str, Any]:
    return read_object(body, settings.max_request_bytes, settings.max_nesting_depth)


def parse(model: type[_Model], fields: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(fields)
    except ValidationError as exc:
        raise _refusal(exc) from exc


_CODES = {
    "role": "invalid_role",
    "content": "invalid_content",
    "messages": "invalid_messages",
    "title": "invalid_title",
}


def _refusal(exc: ValidationError) -> InvalidRequest:
    """Names the first field that is wrong; never repeats what was sent."""
    first = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    path = [str(step) for step in first["loc"]]
    names = [step for step in path if step in _CODES]
    code = _CODES[names[-1]] if names else "invalid_request"
    return InvalidRequest(f"{'.'.join(path) or 'body'}: {first['msg']}", code=code)
