"""JSON as clients send it: one object of bounded size and depth, whose numbers are numbers and whose text is text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from copilotedge.errors import InvalidRequest, RequestTooLarge

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what has begun as one: so none is looked at twice, whatever is sent."""
_NOT_A_BRACKET = re.compile(r"[^\[\]{}]+")


def read_object(text: str, max_bytes: int, max_depth: int) -> dict[str, Any]:
    """Raises ``RequestTooLarge``, and ``InvalidRequest`` with the codes too_deep, invalid_json and invalid_text."""
    if len(text.encode("utf-8", "replace")) > max_bytes:
        raise RequestTooLarge(f"A request may take {max_bytes} bytes at most.", code="request_too_large")
    _check_depth(text, max_depth)
    try:
        fields = json.loads(text, parse_constant=_number, parse_float=_number)
    except ValueError as exc:
        raise InvalidRequest("The message is not valid JSON.", code="invalid_json") from exc
    if not isinstance(fields, dict):
        raise InvalidRequest("The message must be a JSON object.", code="invalid_json")
    if "\\u" in text:
        _check_unicode(fields)
    return fields


def _check_depth(text: str, max_depth: int) -> None:
    """Before anything is built: reading and checking nested values takes stack for each level."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for bracket in _NOT_A_BRACKET.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            raise InvalidRequest(f"JSON may be nested {max_depth} levels deep at most.", code="too_deep")


def _number(text: str) -> float:
    """Python reads NaN and Infinity, and makes infinity of 1e999; JSON knows neither."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a JSON number")
    return number


def _check_unicode(fields: dict[str, Any]) -> None:
    """JSON can escape half of a surrogate pair, which is no text: it could neither be stored nor sent on."""
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest("The message is not valid Unicode text.", code="invalid_text") from exc
