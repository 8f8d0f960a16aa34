"""What goes wrong."""

from __future__ import annotations

from typing import Any


class CopilotEdgeError(Exception):
    """``code`` is for programs, the text for people. ``retry_after`` is in seconds.

    The server's codes are listed in ``docs/protocol.md``. Our own: ``closed``, ``not_connected``,
    ``no_connection`` (for some time now), ``invalid_address``, ``message_withdrawn`` (taken back before it was sent),
    ``turn_failed`` and ``turn_cancelled`` (nobody said why). ``frame_too_large`` may be the gateway's word.
    """

    def __init__(self, message: str, code: str, retry_after: float | None = None, message_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.message_id = message_id


def closed() -> CopilotEdgeError:
    return CopilotEdgeError("The chat was closed.", "closed")


def too_large(message_id: str = "") -> CopilotEdgeError:
    return CopilotEdgeError("The message is too large to be sent.", "frame_too_large", message_id=message_id)


def error_of(fields: dict[str, Any], message_id: str = "") -> CopilotEdgeError:
    """From an error frame."""
    return CopilotEdgeError(
        str(fields.get("error", "")), str(fields.get("code", "")), fields.get("retryAfter"), message_id
    )
