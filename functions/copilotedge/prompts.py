"""What the model gets to read: the system prompt and as much of the history as the window allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from copilotedge.models import ConversationSettings, Message, ModelRequest, PromptMessage, ToolCall, Turn, Usage
from copilotedge.questions import Question
from copilotedge.settings import Settings


def for_turn(turn: Turn, stored: ConversationSettings, messages: Sequence[Message], settings: Settings) -> ModelRequest:
    """``messages`` is the log up to and including the turn's question; what the turn replaces must not be in it."""
    question = messages[-1]
    prompt = [
        PromptMessage(message.role, message.content, message.tool_calls, message.tool_call_id)
        for message in messages
        if message.content or message.tool_calls or message.tool_call_id
    ]
    return ModelRequest(
        model=settings.model_for(turn.model, stored.model),
        messages=(*_system(stored, question.instructions), *_merged(window(prompt, settings))),
        max_tokens=bounded(turn.max_tokens or _stored_max_tokens(stored), settings),
        temperature=turn.temperature if turn.temperature is not None else _stored_temperature(stored),
        options=question.options,
    )


def for_question(question: Question, settings: Settings) -> ModelRequest:
    """Of a chat without a conversation."""
    system = [PromptMessage("system", question.instructions)] if question.instructions else []
    return ModelRequest(
        model=settings.model_for(question.model),
        messages=(*system, *window(question.messages, settings)),
        max_tokens=bounded(question.max_tokens, settings),
        temperature=question.temperature,
        options=question.options,
    )


def bounded(max_tokens: int | None, settings: Settings) -> int:
    """Who asks for more than the deployment allows gets what it allows."""
    return min(max_tokens or settings.max_answer_tokens, settings.longest_answer_tokens)


def estimated_usage(request: ModelRequest, characters: int) -> Usage:
    """Of a call that ended without an account, its answer this long: four characters a token."""
    asked = sum(message.length for message in request.messages) + len(request.options)
    answered = characters // 4
    return Usage((asked + characters) // 4 - answered, answered)


def window(messages: Sequence[PromptMessage], settings: Settings) -> list[PromptMessage]:
    """The newest messages within the window's counts of messages and characters; always at least the last one.

    A window into a longer history begins with a question: many chat templates refuse an answer there. Calls of tools
    and their results are kept together or not at all, as models insist.
    """
    kept: list[PromptMessage] = []
    room = settings.history_window_characters
    for message in reversed(messages[-settings.history_window_messages :]):
        room -= message.length
        if room < 0 and kept:
            break
        kept.append(message)
    if len(kept) < len(messages):
        while len(kept) > 1 and kept[-1].role in ("assistant", "tool"):
            kept.pop()
    return list(_paired(kept[::-1]))


def _paired(messages: Sequence[PromptMessage]) -> Iterator[PromptMessage]:
    """Without calls that have no result, and results without their call; a last one tells its result as the user."""
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        if message.role != "tool":
            calls = _answered(message.tool_calls, messages[number + 1 :])
            open_calls = {call.id for call in calls}
            if message.content or calls:
                yield replace(message, tool_calls=calls)
        elif message.tool_call_id in open_calls:
            yield message
        elif number == len(messages) - 1:
            yield PromptMessage("user", message.content)


def _answered(calls: tuple[ToolCall, ...], following: Sequence[PromptMessage]) -> tuple[ToolCall, ...]:
    """All of the calls, if the messages behind them begin with all of their results; else none."""
    results = {result.tool_call_id for result in takewhile(lambda message: message.role == "tool", following)}
    return calls if {call.id for call in calls} <= results else ()


def _merged(messages: Iterable[PromptMessage]) -> list[PromptMessage]:
    """Neighbours of one role joined: many chat templates insist that roles alternate, and failed turns leave gaps."""
    merged: list[PromptMessage] = []
    for message in messages:
        if merged and merged[-1].role == message.role and not (message.tool_call_id or merged[-1].tool_calls):
            merged[-1] = PromptMessage(message.role, f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    return merged


def _system(stored: ConversationSettings, instructions: str) -> list[PromptMessage]:
    """The stored system prompt, then what the request asked for on top."""
    texts = [text for text in (stored.context.get("systemPrompt"), instructions) if isinstance(text, str) and text]
    return [PromptMessage("system", "\n\n".join(texts))] if texts else []


def _stored_temperature(stored: ConversationSettings) -> float | None:
    value = stored.context.get("temperature")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _stored_max_tokens(stored: ConversationSettings) -> int | None:
    value = stored.context.get("maxTokens")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
