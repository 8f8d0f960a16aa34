"""OpenAI's chat completion request, as every door takes it, plus ``conversationId``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from copilotedge import questions
from copilotedge.errors import InvalidRequest
from copilotedge.models import PromptMessage, Role, ToolCall
from copilotedge.questions import Question
from copilotedge.requests import ClientRequest, check_text, load, parse, rounded
from copilotedge.settings import Settings


class TextPart(ClientRequest):
    type: Literal["text"]
    text: str


def only_text(content: Any) -> Any:
    """Images, files and sound get an answer of their own."""
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind not in ("text", "input_text", "output_text"):
            raise InvalidRequest("Only text is understood, no images, files or sound.", code="unsupported_content")
    return content


def only_functions(tools: Any) -> Any:
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("type") != "function":
            raise InvalidRequest("Tools are functions.", code="unsupported_tool")
    return tools


class CalledFunction(ClientRequest):
    name: str = Field(min_length=1, max_length=128)
    arguments: str


class ChatToolCall(ClientRequest):
    id: str = Field(min_length=1, max_length=128)
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(ClientRequest):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str | list[TextPart] | None, Field(validate_default=True), BeforeValidator(only_text)] = None
    tool_calls: Annotated[list[ChatToolCall] | None, Field(alias="tool_calls", max_length=64)] = None
    tool_call_id: Annotated[str, Field(alias="tool_call_id", max_length=128, validate_default=True)] = ""

    @field_validator("content")
    @classmethod
    def _an_answer_may_have_none(cls, content: Any, info: ValidationInfo) -> Any:
        if content is None and info.data.get("role") != "assistant":
            raise ValueError("content must be text")
        return content

    @field_validator("tool_call_id")
    @classmethod
    def _a_result_names_its_call(cls, tool_call_id: str, info: ValidationInfo) -> str:
        if info.data.get("role") == "tool" and not tool_call_id:
            raise ValueError("a tool's message needs a tool_call_id")
        return tool_call_id

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ())


class ChatRequest(ClientRequest, defer_build=False):
    """Body of ``POST /api/copilotedge`` and ``POST /v1/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1)
    conversation_id: str | None = None
    metadata: dict[str, Any] | None = None
    model: str | None = Field(default=None, min_length=1, max_length=200)
    stream: bool | None = None
    stream_options: Annotated[dict[str, Any] | None, Field(alias="stream_options")] = None
    temperature: Annotated[float | None, Field(ge=0, le=5), AfterValidator(rounded)] = None
    max_tokens: Annotated[int | None, Field(alias="max_tokens", ge=1, le=1_000_000)] = None
    max_completion_tokens: Annotated[int | None, Field(alias="max_completion_tokens", ge=1, le=1_000_000)] = None
    n: int | None = None
    tools: Annotated[list[dict[str, Any]] | None, BeforeValidator(only_functions)] = Field(default=None, max_length=128)
    tool_choice: Annotated[str | dict[str, Any] | None, Field(alias="tool_choice")] = None
    parallel_tool_calls: Annotated[bool | None, Field(alias="parallel_tool_calls")] = None
    response_format: Annotated[dict[str, Any] | None, Field(alias="response_format")] = None
    top_p: Annotated[float | None, Field(alias="top_p", ge=0, le=1)] = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: Annotated[float | None, Field(alias="presence_penalty", ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(alias="frequency_penalty", ge=-2, le=2)] = None

    @property
    def known_as(self) -> str:
        """The conversation it names, "" for none."""
        named = self.conversation_id or (self.metadata or {}).get("conversationId") or ""
        if not isinstance(named, str):
            raise InvalidRequest("metadata.conversationId must be a string.", code="invalid_conversation_id")
        return named

    @property
    def question(self) -> Question:
        """System and developer messages are instructions, wherever they stand."""
        said = [message for message in self.messages if message.role not in ("system", "developer")]
        instructions = [message.text for message in self.messages if message.role in ("system", "developer")]
        return Question(
            messages=tuple(_prompt_message(message) for message in said),
            instructions="\n\n".join(instructions),
            model=self.model or "",
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            options=questions.options_of(self.model_dump(include=set(questions.OPTIONS))),
        )


def parse_chat(body: str, settings: Settings) -> ChatRequest:
    """Raises ``InvalidRequest`` and ``RequestTooLarge``; whether its question fits is checked when it is asked."""
    return check_chat(parse(ChatRequest, load(body, settings)), settings)


def check_chat(request: ChatRequest, settings: Settings) -> ChatRequest:
    if request.messages[-1].role not in ("user", "tool"):
        raise InvalidRequest("The last message must be the user's, and not empty.", code="invalid_message")
    if (request.n or 1) != 1:
        raise InvalidRequest("One answer at a time: n must be 1.", code="unsupported_parameter")
    if len(request.messages) > settings.max_messages_per_request:
        most = settings.max_messages_per_request
        raise InvalidRequest(f"A request may carry {most} messages at most.", code="too_many_messages")
    for message in request.messages:
        if message.role != "assistant":
            check_text(message.text, settings)
    questions.check(request.question, settings)
    return request


def _prompt_message(message: ChatMessage) -> PromptMessage:
    roles: dict[str, Role] = {"assistant": "assistant", "tool": "tool"}
    return PromptMessage(roles.get(message.role, "user"), message.text, message.calls, message.tool_call_id)
