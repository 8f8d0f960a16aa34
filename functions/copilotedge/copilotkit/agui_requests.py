"""AG-UI's requests: what its clients send to run an agent, and what of it is a question to the conversation.

Clients send their whole history with every run. It is not trusted: what we have said ourselves is in the log or was
removed from it, so it and all before it is passed over; of what comes after, the core stores what the log lacks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from copilotedge import questions
from copilotedge.errors import InvalidRequest
from copilotedge.ids import MESSAGE_ID
from copilotedge.models import Marks, PromptMessage, Role, ToolCall
from copilotedge.questions import Question
from copilotedge.requests import ClientRequest, parse, rounded
from copilotedge.rest_requests import marks_of
from copilotedge.settings import Settings

AGENT = "default"
"""The one agent there is; it is the one that CopilotKit's clients ask for when they are not told another."""

SUGGESTION_TOOL = "copilotkitSuggest"
"""What CopilotKit has the model call to propose what the user might say next: no part of any conversation."""

OUR_ID = re.compile(r"[0-9a-f]{32}(-\d+)?")
"""Ids that we give to messages; clients make UUIDs."""

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "tool": "tool"}


class Part(ClientRequest):
    """Text, or what we cannot read: images, sound, documents."""

    type: str
    text: str = ""


class CalledFunction(ClientRequest):
    name: str = Field(min_length=1, max_length=128)
    arguments: str


class AgentToolCall(ClientRequest):
    id: str = Field(min_length=1, max_length=128)
    function: CalledFunction


class AgentMessage(ClientRequest):
    id: str = Field(max_length=256)
    role: Literal["developer", "system", "assistant", "user", "tool", "activity", "reasoning"]
    content: Any = None
    tool_calls: list[AgentToolCall] | None = Field(default=None, max_length=64)
    tool_call_id: str = Field(default="", max_length=128)

    @property
    def text(self) -> str:
        """Of content in parts, those that are text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self._parts if part.type == "text")
        return self.content if isinstance(self.content, str) else ""

    @property
    def is_ours(self) -> bool:
        return bool(OUR_ID.fullmatch(self.id))

    @property
    def prompt(self) -> PromptMessage:
        calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ())
        return PromptMessage(_ROLES[self.role], self.text, calls, self.tool_call_id)

    def check_readable(self) -> None:
        if isinstance(self.content, list) and any(part.type != "text" for part in self._parts):
            raise InvalidRequest("Only text can be sent, no images or files.", code="unsupported_content")

    @property
    def _parts(self) -> list[Part]:
        return [parse(Part, part) for part in self.content if isinstance(part, dict)]


class Tool(ClientRequest):
    name: str = Field(min_length=1, max_length=128)
    description: str = ""
    parameters: Any = None


class Context(ClientRequest):
    description: str
    value: str


class ForwardedProps(ClientRequest):
    """What apps may ask for a run; other properties are theirs."""

    model: str = Field(default="", max_length=200)
    temperature: Annotated[float | None, Field(ge=0, le=5), AfterValidator(rounded)] = None
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    tool_choice: str | dict[str, Any] | None = None


class RunInput(ClientRequest):
    """AG-UI's ``RunAgentInput``; the first three are all that version 1.0 requires."""

    thread_id: str
    run_id: str = Field(max_length=256)
    messages: list[AgentMessage]
    state: Any = None
    tools: list[Tool] | None = Field(default=None, max_length=128)
    context: list[Context] | None = None
    forwarded_props: Any = None

    @property
    def props(self) -> ForwardedProps:
        return parse(ForwardedProps, self.forwarded_props if isinstance(self.forwarded_props, dict) else {})

    @property
    def agent_state(self) -> dict[str, Any]:
        return self.state if isinstance(self.state, dict) else {}

    @property
    def asks_for_suggestions(self) -> bool:
        choice = self.props.tool_choice
        function = choice.get("function") if isinstance(choice, dict) else None
        return isinstance(function, dict) and function.get("name") == SUGGESTION_TOOL


class ThreadQuery(ClientRequest):
    """Query of ``GET /threads``."""

    agent_id: str = AGENT
    limit: str | None = None
    cursor: str = ""
    include_archived: str = ""


class CallParams(ClientRequest):
    """What multi-route clients put into the path."""

    agent_id: str = AGENT
    thread_id: str = ""
    path: str = ""
    http_method: str = "GET"


class SingleRoute(ClientRequest):
    """The envelope of clients that know only one URL."""

    method: str
    params: CallParams = CallParams()
    body: Any = None

    @property
    def fields(self) -> dict[str, Any]:
        return self.body if isinstance(self.body, dict) else {}


def parse_run(fields: Mapping[str, Any]) -> RunInput:
    return parse(RunInput, dict(fields))


def change_of(fields: Mapping[str, Any]) -> Marks:
    """Body of ``PATCH /threads/{id}``; what is left out stays as it is. A name is a title."""
    names = {"name": "title", "archived": "archived"}
    return marks_of({ours: fields[theirs] for theirs, ours in names.items() if theirs in fields})


def question_of(run: RunInput, settings: Settings) -> Question:
    """What a conversation is asked. Raises ``InvalidRequest``, also when there is nothing new."""
    return _question(run, new_messages(run.messages), settings)


def whole_question_of(run: RunInput, settings: Settings) -> Question:
    """What is asked outside of any conversation: with all the history that may come along."""
    return _question(run, [message for message in run.messages if message.role in _ROLES], settings)


def message_id_of(run: RunInput) -> str:
    """The id that its client gave the new message, which makes the run safe to repeat; "" for one that cannot serve."""
    last = new_messages(run.messages)[-1:]
    return last[0].id if last and MESSAGE_ID.fullmatch(last[0].id) else ""


def new_messages(messages: Sequence[AgentMessage]) -> list[AgentMessage]:
    """What comes after the last answer of ours."""
    said = [message for message in messages if message.role in _ROLES]
    ours = [number for number, message in enumerate(said) if message.role == "assistant" and message.is_ours]
    return said[ours[-1] + 1 :] if ours else said


def _question(run: RunInput, messages: Sequence[AgentMessage], settings: Settings) -> Question:
    if not messages or messages[-1].role not in ("user", "tool"):
        raise InvalidRequest("There is no new message to answer.", code="invalid_message")
    messages[-1].check_readable()
    props = run.props
    question = Question(
        messages=tuple(message.prompt for message in messages[-settings.max_messages_per_request :]),
        instructions=_instructions(run),
        model=props.model,
        temperature=props.temperature,
        max_tokens=props.max_tokens,
        options=_options(run.tools or (), props.tool_choice),
    )
    questions.check(question, settings)
    return question


def _instructions(run: RunInput) -> str:
    """System messages, but those that the log has shown the client, and what the app tells about itself."""
    texts = [m.text for m in run.messages if m.role in ("system", "developer") and not m.is_ours and m.text]
    facts = [f"{entry.description}: {entry.value}" for entry in run.context or ()]
    return "\n\n".join([*texts, *facts])


def _options(tools: Sequence[Tool], choice: str | dict[str, Any] | None) -> str:
    if not tools:
        return ""
    return questions.options_of({"tools": [_function(tool) for tool in tools], "tool_choice": choice})


def _function(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters if isinstance(tool.parameters, dict) else {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }
