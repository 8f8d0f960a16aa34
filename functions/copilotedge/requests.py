"""What clients send, over HTTP and WebSocket, checked at the edge.

One rule for unknown fields: they are ignored, since OpenAI-style clients send many. Types are strict. Every refusal
carries a stable code; the codes of sizes and of messages are listed in ``docs/protocol.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.identity import USER
from copilotedge.json_objects import read_object
from copilotedge.listings import MAX_TITLE_CHARACTERS, one_line
from copilotedge.models import Marks, MemberRole
from copilotedge.settings import Settings

CONVERSATION_ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")
MAX_MEMBERS = 50
"""Whom a conversation may be shared with; they are part of its state, which every change writes."""

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
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", alias_generator=to_camel)


class AppendRequest(ClientRequest):
    """Body of ``POST /conversation/{id}/messages``."""

    role: Literal["user", "assistant", "system"]
    content: str = Field(min_length=1)
    tokens: int = Field(default=0, ge=0, le=10_000_000)


class StateUpdate(ClientRequest):
    """Body of ``PUT /conversation/{id}/state``; what is left out stays as it is, and ``context`` is merged by key."""

    user_id: str | None = Field(default=None, max_length=256)
    model: str | None = Field(default=None, max_length=200)
    context: dict[str, Any] | None = None

    @field_validator("context")
    @classmethod
    def _settings_have_their_types(cls, context: dict[str, Any] | None) -> dict[str, Any] | None:
        prompt, temperature = (context or {}).get("systemPrompt"), (context or {}).get("temperature")
        if prompt is not None and not isinstance(prompt, str):
            raise ValueError("systemPrompt must be a string")
        if temperature is not None and (isinstance(temperature, bool) or not isinstance(temperature, int | float)):
            raise ValueError("temperature must be a number")
        if temperature is not None and not 0 <= temperature <= 5:
            raise ValueError("temperature must be between 0 and 5")
        return context


class MembersUpdate(ClientRequest):
    """Body of ``PUT /conversation/{id}/members``: all users who may read or write, besides the owner."""

    members: dict[str, MemberRole] = Field(
        max_length=MAX_MEMBERS, json_schema_extra={"propertyNames": {"pattern": f"^{USER.pattern}$"}}
    )

    @field_validator("members", mode="before")
    @classmethod
    def _are_users_with_roles(cls, members: Any) -> Any:
        """Here and not by types, whose errors would name the users."""
        for user, role in members.items() if isinstance(members, dict) else ():
            if not USER.fullmatch(user):
                raise ValueError("a user is 1 to 128 visible ASCII characters")
            if role not in ("read", "write"):
                raise ValueError("a member may read or write")
        return members


class ListingUpdate(ClientRequest):
    """Body of ``PATCH /conversation/{id}``; what is left out stays as it is. A title of null is automatic again."""

    title: str | None = Field(default=None, min_length=1, max_length=MAX_TITLE_CHARACTERS)
    pinned: bool | None = None
    archived: bool | None = None

    @field_validator("title")
    @classmethod
    def _is_one_line(cls, title: str | None) -> str | None:
        line = None if title is None else one_line(title)
        if line == "":
            raise ValueError("a title may not be blank")
        return line


class ChatFrame(ClientRequest):
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


class SystemFrame(ClientRequest):
    type: Literal["system"]
    content: Literal["get_history", "clear_history", "cancel", "regenerate", "resume", "ping"]
    metadata: FrameMetadata = FrameMetadata()


def check_instructions(text: str, settings: Settings) -> None:
    limit = settings.max_instruction_characters
    if len(text) > limit:
        raise RequestTooLarge(f"Instructions may have {limit} characters at most.", code="instructions_too_large")


def parse_append(body: str, settings: Settings) -> AppendRequest:
    request = parse(AppendRequest, load(body, settings))
    check_text(request.content, settings)
    return request


def parse_state_update(body: str, settings: Settings) -> StateUpdate:
    request = parse(StateUpdate, load(body, settings))
    merge_context({}, request.context)
    check_instructions((request.context or {}).get("systemPrompt") or "", settings)
    return request


def parse_members(body: str, settings: Settings) -> dict[str, MemberRole]:
    return dict(parse(MembersUpdate, load(body, settings)).members)


def parse_marks(body: str, settings: Settings) -> Marks:
    return marks_of(load(body, settings))


def marks_of(fields: dict[str, Any]) -> Marks:
    update = parse(ListingUpdate, fields)
    title = (update.title or "") if "title" in update.model_fields_set else None
    return Marks(title, update.pinned, update.archived)


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


def check_text(text: str, settings: Settings) -> None:
    limit = settings.max_message_characters
    if len(text) > limit:
        raise RequestTooLarge(f"A message may have {limit} characters at most.", code="message_too_large")


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


def _with_page(frame: SystemFrame, settings: Settings) -> SystemFrame:
    most = settings.max_history_page
    if frame.metadata.limit <= most:
        return frame
    if "limit" in frame.metadata.model_fields_set:
        raise InvalidRequest(f"metadata.limit: Input should be less than or equal to {most}")
    return frame.model_copy(update={"metadata": frame.metadata.model_copy(update={"limit": most})})


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
