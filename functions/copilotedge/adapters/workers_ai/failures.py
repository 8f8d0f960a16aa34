"""The one place where errors of the model server, and of the way to it, become ``ModelError``s.

The texts are ours, for the client; what the server said goes into ``detail``, for the operator's log.
Source: https://developers.cloudflare.com/workers-ai/platform/errors/, and as said below.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from copilotedge.errors import (
    ModelError,
    ModelNotAllowed,
    ModelOutOfCapacity,
    ModelQuotaExhausted,
    ModelRequestRejected,
    ModelTimeout,
    ModelUnavailable,
)

_DETAIL_CHARACTERS = 300
_NUMBER_BEFORE_MESSAGE = re.compile(r"(?:\w+: )*(\d{4,5}): ")


class _Kind(NamedTuple):
    error: type[ModelError]
    message: str
    code: str = ""


_UNKNOWN_MODEL = _Kind(ModelRequestRejected, "There is no such model.", "unknown_model")
_REJECTED = _Kind(ModelRequestRejected, "The model did not accept the request.")
_TOO_LARGE = _Kind(ModelRequestRejected, "The request is too large for the model.", "model_request_too_large")
_NOT_ALLOWED = _Kind(ModelNotAllowed, "The service may not use the model.")
_QUOTA = _Kind(ModelQuotaExhausted, "The model's daily allocation is used up.")
_CAPACITY = _Kind(ModelOutOfCapacity, "The model is out of capacity.")
_TIMEOUT = _Kind(ModelTimeout, "The model did not answer in time.")
_UNAVAILABLE = _Kind(ModelUnavailable, "The model is not available.")

_BY_CODE = {
    "5007": _UNKNOWN_MODEL,
    "3042": _UNKNOWN_MODEL,
    "model_not_found": _UNKNOWN_MODEL,  # OpenAI and its likes
    "3003": _REJECTED,
    "5004": _REJECTED,
    "3006": _TOO_LARGE,
    "5021": _TOO_LARGE,  # context window exceeded; seen, not listed
    "context_length_exceeded": _TOO_LARGE,
    "5018": _NOT_ALLOWED,
    "5016": _NOT_ALLOWED,
    "3041": _NOT_ALLOWED,
    "3023": _NOT_ALLOWED,
    "10000": _NOT_ALLOWED,
    "6003": _NOT_ALLOWED,  # Cloudflare's API: malformed Authorization header
    "7003": _NOT_ALLOWED,  # Cloudflare's API: no such account in the URL, sent as 404
    "3007": _TIMEOUT,
    "3008": _TIMEOUT,
    "3036": _QUOTA,
    "4006": _QUOTA,  # what the daily allocation's end looks like in practice
    "insufficient_quota": _QUOTA,
    "3040": _CAPACITY,
}
_BY_STATUS = {
    401: _NOT_ALLOWED,
    403: _NOT_ALLOWED,
    404: _UNKNOWN_MODEL,
    408: _TIMEOUT,
    413: _TOO_LARGE,
    429: _CAPACITY,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises ``ModelTimeout`` or ``ModelUnavailable`` for what httpx raises."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ModelTimeout(_TIMEOUT.message, detail=type(exc).__name__) from exc
    except httpx.HTTPError as exc:
        raise ModelUnavailable(_UNAVAILABLE.message, detail=f"{type(exc).__name__}: {exc}") from exc


def from_response(status: int, headers: Mapping[str, str], content: bytes) -> ModelError:
    """What an HTTP error means: its internal code decides, else its status."""
    return _failure(status, _fault(_json(content)) or {}, retry_after(headers))


def from_payload(payload: Mapping[str, Any]) -> ModelError | None:
    """What an error object in a reply with status 200 means; None where ``payload`` is no error."""
    fault = _fault(payload)
    return None if fault is None else _failure(_status(fault), fault)


def no_answer(detail: str) -> ModelError:
    return ModelUnavailable(_UNAVAILABLE.message, detail=detail)


def no_token(detail: str) -> ModelError:
    """Without its token the model cannot be asked, which is the operator's matter."""
    return ModelNotAllowed(_NOT_ALLOWED.message, detail=detail)


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3); None without a readable one."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0, math.ceil(float(value) if value[:1].isdigit() else _seconds_until(value)))
    except (ValueError, OverflowError):
        return None


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        payload = json.loads(content)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _fault(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error object of a reply: Cloudflare's ``errors``, OpenAI's ``error``, or vLLM's reply that is one itself."""
    errors = payload.get("errors")
    found = payload.get("error") or (errors[0] if isinstance(errors, list) and errors else None)
    if found is None and payload.get("object") == "error":
        found = payload
    if found is None and payload.get("success") is not False:
        return None
    return found if isinstance(found, dict) else {"message": str(found or "")}


def _failure(status: int, fault: Mapping[str, Any], seconds: int | None = None) -> ModelError:
    names = _names(fault)
    kind = next((_BY_CODE[name] for name in names if name in _BY_CODE), None) or _kind_by_status(status)
    detail = f"HTTP {status}, {'/'.join(names) or 'no code'}"  # not its message, which may quote the prompt
    return kind.error(kind.message, code=kind.code, retry_after=seconds, detail=detail[:_DETAIL_CHARACTERS])


def _names(fault: Mapping[str, Any]) -> list[str]:
    """Everything that may name the error's kind, best first: ``code``, ``type``, a number that leads the message."""
    number = _NUMBER_BEFORE_MESSAGE.match(str(fault.get("message", "")))
    return [str(name) for name in (fault.get("code"), fault.get("type"), number and number[1]) if name]


def _status(fault: Mapping[str, Any]) -> int:
    """The HTTP status that OpenAI-compatible servers write as the code of an error inside a stream; 200 without."""
    code = fault.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 200


def _kind_by_status(status: int) -> _Kind:
    return _BY_STATUS.get(status) or (_REJECTED if 400 <= status < 500 else _UNAVAILABLE)
