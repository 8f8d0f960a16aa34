"""Ids of responses. One tells which conversation and which of its messages are meant, so there is no table of them.

Whoever shows one must still be let into that conversation, under the name that it has for the one who asks.
"""

from __future__ import annotations

import base64
import binascii

from copilotedge.errors import NotFound

PREFIX = "resp_"


def encode(known_as: str, message_id: str) -> str:
    """``known_as`` is the conversation's id as the caller gives it; empty for an answer that is not kept."""
    names = f"{known_as}\n{message_id}".encode()
    return PREFIX + base64.urlsafe_b64encode(names).decode().rstrip("=")


def decode(response_id: str) -> tuple[str, str]:
    """The conversation's id and the message's. Raises ``NotFound`` for anything that ``encode`` would not have made."""
    text = response_id.removeprefix(PREFIX)
    try:
        names = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        names = ""
    known_as, _, message_id = names.partition("\n")
    if not known_as or not message_id or encode(known_as, message_id) != response_id:
        raise no_response()
    return known_as, message_id


def no_response() -> NotFound:
    return NotFound("There is no such response.")
