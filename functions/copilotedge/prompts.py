"""What the model gets to read: the system prompt and as much of the history as the window allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from copilotedge.models import ConversationSettings, Message, ModelRequest, PromptMessage, Turn
from copilotedge.settings import Settings


def for_turn(turn: Turn, stored: ConversationSettings, messages: Sequence[Message], settings: Settings) -> ModelRequest:
    """``messages`` is the log up to and including the turn's question; what the turn replaces must not be in it."""
    prompt = [PromptMessage(message.role, message.content) for message in messages if message.content]
    return ModelRequest(
        model=turn.model or stored.model or settings.model,
        messages=(*_system(stored, messages[-1].instructions), *_merged(window(prompt, settings))),
        max_tokens=bounded(turn.max_tokens or _stored_max_tokens(stored), settings),
        temperature=turn.temperature if turn.temperature is not None else _stored_temperature(stored),
    )


def bounded(max_tokens: int | None, settings: Settings) -> int:
    """Who asks for more than the deployment allows gets what it allows."""
    return min(max_tokens or settings.max_answer_tokens, settings.longest_answer_tokens)


def estimated_tokens(request: ModelRequest, text: str) -> int:
    """Of a call that ended without an account: four characters each, the prompt's and the answer's."""
    return (sum(len(message.content) for message in request.messages) + len(text)) // 4


def window(messages: Sequence[PromptMessage], settings: Settings) -> list[PromptMessage]:
    """The newest messages within the window's counts of messages and characters; always at least the last one.

    A window into a longer history begins with a question: many chat templates refuse an answer there.
    """
    kept: list[PromptMessage] = []
    room = settings.history_window_characters
    for message in reversed(messages[-settings.history_window_messages :]):
        room -= len(message.content)
        if room < 0 and kept:
            break
        kept.append(message)
    if len(kept) < len(messages):
        while len(kept) > 1 and kept[-1].role == "assistant":
            kept.pop()
    return kept[::-1]


def _merged(messages: Iterable[PromptMessage]) -> list[PromptMessage]:
    """Neighbours of one role joined: many chat templates insist that roles alternate, and failed turns leave gaps."""
    merged: list[PromptMessage] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
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
