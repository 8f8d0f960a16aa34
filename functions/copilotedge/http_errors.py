"""Errors as HTTP answers: the one place that maps our error classes to statuses."""

from __future__ import annotations

from traceback import extract_tb
from typing import Any

from copilotedge import errors

_STATUSES: list[tuple[type[errors.CopilotEdgeError], int]] = [
    (errors.RequestTooLarge, 413),
    (errors.InvalidRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.ConversationsDisabled, 404),
    (errors.MethodNotAllowed, 405),
    (errors.Conflict, 409),
    (errors.LimitExceeded, 429),
    (errors.ModelRequestRejected, 400),
    (errors.ModelQuotaExhausted, 503),
    (errors.ModelOutOfCapacity, 503),
    (errors.ModelTimeout, 504),
    (errors.ModelError, 502),
    (errors.TurnFailed, 502),
    (errors.AnswerPending, 504),
    (errors.StoreUnavailable, 503),
]


def status_of(exc: errors.CopilotEdgeError) -> int:
    if exc.code == "turn_cancelled":
        return 409
    return next((status for kind, status in _STATUSES if isinstance(exc, kind)), 500)


def body_of(exc: errors.CopilotEdgeError) -> dict[str, Any]:
    """OpenAI's error shape, which its SDKs read."""
    kind = "invalid_request_error" if status_of(exc) < 500 else "server_error"
    return {"error": {"message": exc.message, "type": kind, "param": None, "code": exc.code}}


def defect(exc: Exception) -> dict[str, Any]:
    """Of a defect of ours, for the log: its kind and place. Its text could quote a message."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in extract_tb(exc.__traceback__)[-5:]]
    return {"error": type(exc).__name__, "places": places}


def headers_of(exc: errors.CopilotEdgeError) -> dict[str, str]:
    headers = {} if exc.retry_after is None else {"retry-after": str(exc.retry_after)}
    if isinstance(exc, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(exc, errors.MethodNotAllowed) and exc.allowed:
        headers["allow"] = ", ".join(exc.allowed)
    if isinstance(exc, errors.LimitExceeded) and exc.limit:
        headers |= quota_headers(exc.limit, 0, exc.retry_after or 0)
    return headers


def quota_headers(limit: int, remaining: int, reset_seconds: int) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset_seconds),
    }
