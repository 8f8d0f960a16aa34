"""Ids that clients choose, and what they may look like."""

from __future__ import annotations

import re

from copilotedge.errors import InvalidRequest

CONVERSATION_ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")


def check_conversation_id(conversation_id: str) -> str:
    if not CONVERSATION_ID.fullmatch(conversation_id):
        raise InvalidRequest(
            "A conversation id has 1 to 128 characters: letters, digits and . _ : @ -", code="invalid_conversation_id"
        )
    return conversation_id


def check_message_id(message_id: str) -> str:
    if not MESSAGE_ID.fullmatch(message_id):
        raise InvalidRequest("A message id has 1 to 128 visible ASCII characters.", code="invalid_message_id")
    return message_id
