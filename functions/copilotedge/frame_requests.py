"""Frames that clients send over WebSocket."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.ids import MESSAGE_ID, check_message_id
from copilotedge.json_objects import read_object
from copilotedge.requests import DEFAULT_PAGE, MAX_COUNT, ClientRequest, check_text, parse
from copilotedge.settings import Settings


class ChatFrame(ClientRequest, defer_build=False):
    """A user message over WebSocket; ``id`` makes it safe to send again."""

    type: Literal["chat"]
    role: Literal["user"]
    content: str = Field(min_length=1)
    id: str | None = None


class FrameMetadata(ClientRequest):
    limit: int = Field(default=DEFAULT_PAGE, ge=1)
    before: int = Field(default=0, ge=0, le=MAX_COUNT)
    after_seq: int = Field(default=0, ge=0, le=MAX_COUNT)
    epoch: str = Field(default="", max_length=64)
    turn_id: str | None = Field(default=None, max_length=64)
    offset: int = Field(default=0, ge=0, le=MAX_COUNT)
    attempt: int = Field(default=0, ge=0, le=MAX_COUNT)
    message_id: str | None = Field(default=None, max_length=128)


class SystemFrame(ClientRequest, defer_build=False):
    type: Literal["system"]
    content: Literal["get_history", "clear_history", "cancel", "regenerate", "resume", "ping"]
    metadata: FrameMetadata = FrameMetadata.model_construct()


def parse_frame(body: str, settings: Settings, max_bytes: int) -> ChatFrame | SystemFrame:
    if len(body) > max_bytes or len(body.encode("utf-8", "replace")) > max_bytes:
        raise RequestTooLarge(f"A frame may take {max_bytes} bytes at most.", code="frame_too_large")
    fields = read_object(body, max_bytes, settings.max_nesting_depth)
    if fields.get("type") == "system":
        return _with_page(parse(SystemFrame, fields), settings)
    if fields.get("type") != "chat":
        raise InvalidRequest("Unknown message type: send chat or system.", code="unknown_type")
    frame = parse(ChatFrame, fields)
    check_text(frame.content, settings)
    if frame.id is not None:
        check_message_id(frame.id)
    return frame


def message_id_of(body: str) -> str:
    """The message id of a frame that was refused, as far as it has a well-formed one."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    found = fields.get("id") if isinstance(fields, dict) else None
    return found if isinstance(found, str) and MESSAGE_ID.fullmatch(found) else ""


def _with_page(frame: SystemFrame, settings: Settings) -> SystemFrame:
    most = settings.max_history_page
    if frame.metadata.limit <= most:
        return frame
    if "limit" in frame.metadata.model_fields_set:
        raise InvalidRequest(f"metadata.limit: Input should be less than or equal to {most}")
    return frame.model_copy(update={"metadata": frame.metadata.model_copy(update={"limit": most})})
