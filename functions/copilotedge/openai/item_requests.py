"""Items, as OpenAI's Responses and Conversations APIs take them, and the requests of the latter.

Unknown fields are ignored, as everywhere; items that cannot be kept are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from copilotedge import questions
from copilotedge.errors import InvalidRequest
from copilotedge.models import PromptMessage, Role, ToolCall
from copilotedge.openai.chat_requests import only_text
from copilotedge.requests import ClientRequest, load, parse
from copilotedge.settings import Settings

MAX_ITEMS = 20
"""That may be added to a conversation at once."""
MAX_METADATA = 16
_IGNORED = "reasoning"
"""Agents send back items of this type; no model here has made them."""


def _check_metadata(metadata: Any) -> Any:
    """Here and not by types, whose errors would name the keys."""
    if not isinstance(metadata, dict):
        return metadata
    fits = all(len(key) <= 64 and isinstance(value, str) and len(value) <= 512 for key, value in metadata.items())
    if not fits or len(metadata) > MAX_METADATA:
        raise ValueError(f"has up to {MAX_METADATA} keys of 64 characters, with strings of 512")
    return metadata


Metadata = Annotated[dict[str, str], BeforeValidator(_check_metadata)]


class OpenAIRequest(ClientRequest):
    model_config = ConfigDict(alias_generator=None)


class TextPart(OpenAIRequest):
    type: Literal["input_text", "output_text", "text"]
    text: str


Content = Annotated[str | list[TextPart], BeforeValidator(only_text)]


class MessageItem(OpenAIRequest):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(OpenAIRequest):
    type: Literal["function_call"]
    call_id: str = Field(min_length=1, max_length=128)
    name: str = Field(min_length=1, max_length=128)
    arguments: str


class ResultItem(OpenAIRequest):
    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1, max_length=128)
    output: Content


class IgnoredItem(OpenAIRequest):
    type: Literal["reasoning"]


_ITEMS = ("message", "function_call", "function_call_output", _IGNORED)


def _item_type(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else item.type
    if kind not in _ITEMS:
        raise InvalidRequest("There are messages, function calls and their outputs only.", code="unsupported_item")
    return str(kind)


def are_objects(items: Any) -> Any:
    if isinstance(items, list) and not all(isinstance(item, dict) for item in items):
        raise ValueError("items are objects")
    return items


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[ResultItem, Tag("function_call_output")]
    | Annotated[IgnoredItem, Tag(_IGNORED)],
    Discriminator(_item_type),
]

ItemList = Annotated[list[Item], BeforeValidator(are_objects)]


class ConversationRequest(OpenAIRequest):
    """Body of ``POST /v1/conversations``, and, for its metadata, of ``POST /v1/conversations/{id}``."""

    items: ItemList | None = Field(default=None, max_length=MAX_ITEMS)
    metadata: Metadata | None = None


class ItemsRequest(OpenAIRequest):
    """Body of ``POST /v1/conversations/{id}/items``."""

    items: ItemList = Field(min_length=1, max_length=MAX_ITEMS)


def parse_conversation(body: str, settings: Settings) -> ConversationRequest:
    """Raises ``InvalidRequest`` and ``RequestTooLarge``. An empty body asks for nothing."""
    request = parse(ConversationRequest, load(body or "{}", settings))
    messages_of(request.items or (), settings)
    return request


def parse_items(body: str, settings: Settings) -> tuple[PromptMessage, ...]:
    """The messages that are to be added. Raises ``InvalidRequest`` and ``RequestTooLarge``."""
    return messages_of(parse(ItemsRequest, load(body, settings)).items, settings)


def messages_of(items: Iterable[Item], settings: Settings) -> tuple[PromptMessage, ...]:
    """As a conversation stores them: system text is a message of its own there."""
    messages = tuple(said_in(items))
    for message in messages:
        questions.check_text(message, settings)
    return messages


def said_in(items: Iterable[Item]) -> list[PromptMessage]:
    """Calls belong to the assistant's message before them."""
    said: list[PromptMessage] = []
    for item in items:
        if isinstance(item, MessageItem):
            said.append(PromptMessage(_ROLES[item.role], _text(item.content)))
        elif isinstance(item, ResultItem):
            said.append(PromptMessage("tool", _text(item.output), tool_call_id=item.call_id))
        elif isinstance(item, CallItem):
            if not said or said[-1].role != "assistant":
                said.append(PromptMessage("assistant", ""))
            call = ToolCall(item.call_id, item.name, item.arguments)
            said[-1] = replace(said[-1], tool_calls=(*said[-1].tool_calls, call))
    return said


_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def _text(content: str | list[TextPart]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)
