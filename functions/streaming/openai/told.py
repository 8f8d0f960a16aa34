"""What the answers of these routes have in common: headers, and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from copilotedge import frames
from copilotedge.requests import check_message_id
from streaming import incoming

RETRY = "x-should-retry"
"""By which OpenAI's clients are told whether to send a request again by themselves."""


def note(request: Request, known_as: str, headers: Mapping[str, str]) -> None:
    """Headers of the answer, good or bad, from now on.

    The question is in its conversation's log now: a client that repeats it by itself would ask it twice, unless it has
    a message id.
    """
    place = {"x-conversation-id": known_as} if known_as else {}
    once = {RETRY: "false"} if known_as and not message_id(request) else {}
    incoming.note_headers(request, {**headers, **place, **once})


def message_id(request: Request) -> str:
    """The client's own id of what it says, "" for none: with it, saying it again is safe."""
    key = request.headers.get("idempotency-key", "")
    return check_message_id(key) if key else ""


def event(data: Mapping[str, Any] | str, name: str = "") -> bytes:
    """A server-sent event."""
    text = data if isinstance(data, str) else frames.dump(data).decode()
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
