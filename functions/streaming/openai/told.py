"""What the answers of these routes have in common: headers, and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from copilotedge import frames
from copilotedge.errors import CopilotEdgeError
from copilotedge.http_errors import status_of
from copilotedge.ids import check_message_id
from streaming import incoming

RETRY = "x-should-retry"
"""By which OpenAI's clients are told whether to send a request again by themselves."""


@contextmanager
def asking(request: Request, known_as: str, *, takes_ids: bool = True) -> Iterator[None]:
    """Under it something is given to a conversation, and may be in the log whatever comes of that.

    A client that repeats it by itself would then say it twice, unless it has a message id and the route ``takes_ids``.
    Refusals come before.
    """
    if known_as and not (takes_ids and message_id(request)):
        incoming.note_headers(request, {RETRY: "false"})
    try:
        yield
    except CopilotEdgeError as exc:
        if status_of(exc) < 500 or exc.code == "conversation_busy":
            incoming.drop_header(request, RETRY)
        raise


def note(request: Request, known_as: str, headers: Mapping[str, str]) -> None:
    """Headers of the answer, good or bad, from now on."""
    place = {"x-conversation-id": known_as} if known_as else {}
    incoming.note_headers(request, {**headers, **place})


def message_id(request: Request) -> str:
    """The client's own id of what it says, "" for none: with it, saying it again is safe."""
    key = request.headers.get("idempotency-key", "")
    return check_message_id(key) if key else ""


def event(data: Mapping[str, Any] | str, name: str = "") -> bytes:
    """A server-sent event."""
    text = data if isinstance(data, str) else frames.dump(data).decode()
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
