"""What a caller asks, over whatever API: the history it brings along, the new message, and how to answer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.models import PromptMessage
from copilotedge.settings import Settings
from copilotedge.values import dataclass

OPTIONS = (
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
)
"""What is handed on to the model as it is, by the names of OpenAI's chat completions."""

MAX_CALLS = 64
"""Of tools, in one message."""

MAX_QUESTION_BYTES = 350_000
"""Of a question and all that is stored with it; an item of the table holds 400 KB."""


@dataclass(frozen=True, slots=True)
class Question:
    """``messages`` is history that the caller brings along, then the new message: the user's, or a tool's result.

    In a conversation, of the history only what the log does not have yet is stored; with ``all_new`` the caller says
    that this is all of it. ``instructions`` is system text for this answer alone. ``options`` is a JSON object with any
    of ``OPTIONS``, "" for none. What is left empty, the conversation's settings and then the deployment's decide.
    """

    messages: tuple[PromptMessage, ...]
    instructions: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    options: str = ""
    all_new: bool = False

    @property
    def new(self) -> PromptMessage:
        return self.messages[-1]

    @property
    def history(self) -> tuple[PromptMessage, ...]:
        return self.messages[:-1]


def options_of(given: Mapping[str, Any]) -> str:
    """``Question.options`` of those among ``given`` that say something."""
    said = {name: given[name] for name in OPTIONS if given.get(name) is not None}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else ""


def check(question: Question, settings: Settings) -> None:
    """Raises ``InvalidRequest`` and ``RequestTooLarge`` for what would not fit, or cost too much.

    Tools count as instructions: both are read by the model and paid for.
    """
    if len(question.messages) > settings.max_messages_per_request:
        most = settings.max_messages_per_request
        raise InvalidRequest(f"A request may carry {most} messages at most.", code="too_many_messages")
    if question.new.role not in ("user", "tool") or not (question.new.content or question.new.tool_call_id):
        raise InvalidRequest("The last message must be the user's, and not empty.", code="invalid_message")
    if any(message.role == "tool" and not message.tool_call_id for message in question.messages):
        raise InvalidRequest("A tool's result must name its call.", code="invalid_messages")
    check_model(question.model, settings)
    for message in question.messages:
        check_text(message, settings)
    most = settings.max_instruction_characters
    if len(question.instructions) + len(question.options) > most:
        raise RequestTooLarge(
            f"Instructions and tools may have {most} characters at most.", code="instructions_too_large"
        )
    size = len(f"{question.new.content}{question.instructions}{question.options}".encode())
    if size > MAX_QUESTION_BYTES:
        raise RequestTooLarge(
            f"A message and its instructions may take {MAX_QUESTION_BYTES} bytes together.", code="message_too_large"
        )


def check_model(name: str, settings: Settings) -> None:
    """Raises ``InvalidRequest`` where the deployment says which models may be named, and this one is not among them."""
    if not settings.allows(name):
        raise InvalidRequest("There is no such model here.", code="unknown_model")


def check_text(message: PromptMessage, settings: Settings) -> None:
    """Raises ``InvalidRequest`` and ``RequestTooLarge``. An answer may be as long as ours are."""
    most = settings.max_message_characters
    if message.role == "assistant":
        most = max(most, settings.max_answer_characters)
    if message.length > most:
        raise RequestTooLarge(f"A message may have {most} characters at most.", code="message_too_large")
    ids = {call.id for call in message.tool_calls}
    if len(ids) < len(message.tool_calls) or len(ids) > MAX_CALLS:
        raise InvalidRequest(f"A message may make {MAX_CALLS} calls, each with an id.", code="invalid_messages")
