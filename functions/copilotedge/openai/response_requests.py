"""The request of OpenAI's Responses API, as far as it makes sense here.

Unknown fields are ignored, as everywhere; what would change the answer and cannot be done is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from copilotedge import questions
from copilotedge.errors import InvalidRequest
from copilotedge.openai.chat_requests import only_functions
from copilotedge.openai.item_requests import Item, Metadata, OpenAIRequest, are_objects, said_in
from copilotedge.questions import Question
from copilotedge.requests import load, parse, rounded
from copilotedge.settings import Settings


def _as_items(said: Any) -> Any:
    """Text is what the user says."""
    return [{"role": "user", "content": said}] if isinstance(said, str) else are_objects(said)


class Function(OpenAIRequest):
    """A tool, in Responses' flat shape."""

    type: Literal["function"]
    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChosenFunction(OpenAIRequest):
    type: Literal["function"]
    name: str


class TextFormat(OpenAIRequest):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextSettings(OpenAIRequest):
    format: TextFormat | None = None


class ConversationName(OpenAIRequest):
    id: str


class ResponseRequest(OpenAIRequest):
    """Body of ``POST /v1/responses``."""

    input: Annotated[list[Item], BeforeValidator(_as_items)] = Field(min_length=1)
    instructions: str | None = None
    model: str | None = Field(default=None, min_length=1, max_length=200)
    conversation: str | ConversationName | None = None
    previous_response_id: str | None = Field(default=None, max_length=1024)
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    temperature: Annotated[float | None, Field(ge=0, le=5), AfterValidator(rounded)] = None
    top_p: float | None = Field(default=None, ge=0, le=1)
    tools: Annotated[list[Function] | None, BeforeValidator(only_functions)] = Field(default=None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | ChosenFunction | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None

    @property
    def known_as(self) -> str:
        """The conversation it names, "" for none."""
        named = self.conversation
        return named.id if isinstance(named, ConversationName) else named or ""

    @property
    def question(self) -> Question:
        said = said_in(self.input)
        instructions = [self.instructions, *(message.content for message in said if message.role == "system")]
        return Question(
            messages=tuple(message for message in said if message.role != "system"),
            instructions="\n\n".join(filter(None, instructions)),
            model=self.model or "",
            temperature=self.temperature,
            max_tokens=self.max_output_tokens,
            options=questions.options_of(self._options),
            all_new=True,
        )

    @property
    def _options(self) -> Mapping[str, Any]:
        """By the names and in the shapes of chat completions, which models know."""
        choice = self.tool_choice
        return {
            "tools": [_chat_tool(tool) for tool in self.tools or ()] or None,
            "tool_choice": _wrapped(choice) if isinstance(choice, ChosenFunction) else choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": _chat_format(self.text.format) if self.text and self.text.format else None,
            "top_p": self.top_p,
        }


def parse_response(body: str, settings: Settings) -> ResponseRequest:
    """Raises ``InvalidRequest`` and ``RequestTooLarge``."""
    request = parse(ResponseRequest, load(body, settings))
    if request.known_as and request.previous_response_id:
        raise InvalidRequest("Name a conversation or a previous response, not both.", code="invalid_parameter")
    if request.store is False and (request.known_as or request.previous_response_id or request.background):
        raise InvalidRequest("What is not stored has no conversation and no background.", code="invalid_parameter")
    question = request.question
    if not question.messages:
        raise InvalidRequest("The last message must be the user's, and not empty.", code="invalid_message")
    questions.check(question, settings)
    return request


def _chat_tool(tool: Function) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}


def _wrapped(choice: ChosenFunction) -> dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}}


def _chat_format(wanted: TextFormat) -> dict[str, Any] | None:
    if wanted.type != "json_schema":
        return None if wanted.type == "text" else {"type": wanted.type}
    schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
    return {"type": "json_schema", "json_schema": schema}
