"""Bodies of the REST routes, but for chat (see ``openai.chat_requests``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from copilotedge.identity import USER
from copilotedge.listings import MAX_TITLE_CHARACTERS, one_line
from copilotedge.models import Marks, MemberRole
from copilotedge.questions import check_model
from copilotedge.requests import ClientRequest, check_instructions, check_text, load, merge_context, parse
from copilotedge.settings import Settings

MAX_MEMBERS = 50
"""Whom a conversation may be shared with; they are part of its state, which every change writes."""


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


def parse_append(body: str, settings: Settings) -> AppendRequest:
    request = parse(AppendRequest, load(body, settings))
    check_text(request.content, settings)
    return request


def parse_state_update(body: str, settings: Settings) -> StateUpdate:
    request = parse(StateUpdate, load(body, settings))
    merge_context({}, request.context)
    check_model(request.model or "", settings)
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
