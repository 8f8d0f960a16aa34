"""A conversation to take away: the log as a JSON or a Markdown document.

An export ends before it outgrows what Lambda may answer; ``next_after`` is where the next one goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from copilotedge import frames
from copilotedge.addresses import address_of_key
from copilotedge.conversations import Conversations
from copilotedge.errors import Conflict, InvalidRequest, NotFound
from copilotedge.models import Message, State
from copilotedge.prices import dollars
from copilotedge.rest_shapes import MAX_BYTES
from copilotedge.users import Users, living
from copilotedge.values import dataclass

PAGE = 100
"""Messages that are read at once."""

_LINE_END = re.compile(r"\r\n|\r|\n")
"""Those of Markdown (CommonMark, section 2.1); other separators end no line there."""


@dataclass(frozen=True, slots=True)
class Export:
    """``after`` is the seq that it begins behind, ``next_after`` the one to go on from; None when it is complete."""

    state: State
    title: str
    messages: tuple[Message, ...]
    after: int = 0
    next_after: int | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """How a message is written, and how the whole. The latter also gets the id that the reader knows it by."""

    media_type: str
    suffix: str
    part: Callable[[Message], str]
    whole: Callable[[str, Export], str]


class Exports:
    """Stateless: one instance exports all conversations."""

    def __init__(self, conversations: Conversations, users: Users) -> None:
        self._conversations = conversations
        self._users = users

    async def read(self, key: str, form: Format, after: int = 0) -> Export:
        """Raises ``NotFound`` where there is no conversation, ``Conflict`` when it is cleared meanwhile."""
        page = await self._conversations.page(key, PAGE, after=after)
        state = living(page.state)
        if state is None:
            raise NotFound("There is no such conversation.")
        title, kept, room = await self._users.title(key, state), list[Message](), MAX_BYTES
        while True:
            if page.state is None or page.state.epoch != state.epoch:
                raise Conflict("The conversation was cleared.", code="conversation_cleared")
            for message in page.messages:
                room -= len(json.dumps(form.part(message)))
                if room < 0 and kept:
                    return Export(state, title, tuple(kept), after, kept[-1].seq)
                kept.append(message)
            if not page.more:
                return Export(state, title, tuple(kept), after)
            page = await self._conversations.page(key, PAGE, after=kept[-1].seq)


def file_name(key: str, form: Format) -> str:
    """Letters, digits, ``.``, ``_`` and ``-`` only."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", address_of_key(key).name).strip("-")
    return f"conversation-{name}.{form.suffix}"


def _json_part(message: Message) -> str:
    return frames.dump(frames.history_entry(message)).decode()


def _json_whole(known_as: str, export: Export) -> str:
    state = export.state
    document: dict[str, Any] = {
        "conversationId": known_as,
        "title": export.title,
        "epoch": state.epoch,
        "createdAt": state.created_at,
        "lastActivity": state.last_activity,
        "totalTokens": state.total_tokens,
        "totalCostUsd": dollars(state.total_cost),
        "messages": [frames.history_entry(message) for message in export.messages],
        "nextAfter": export.next_after,
    }
    return frames.dump(document).decode()


def _markdown_part(message: Message) -> str:
    """Quoted, and otherwise as it was said: nothing in it can end the quotation, or begin a heading of ours."""
    said = [message.content] if message.content or not message.tool_calls else []
    said += [f"{call.name}({call.arguments})" for call in message.tool_calls]
    status = "" if message.status == "complete" else f" ({message.status})"
    heading = f"## {message.role.capitalize()} · {_time(message.timestamp)}{status}"
    return "\n".join([heading, "", _quoted("\n\n".join(said)), ""])


def _markdown_whole(known_as: str, export: Export) -> str:
    return "\n".join(_sections(known_as, export))


def _sections(known_as: str, export: Export) -> Iterator[str]:
    begun, used = _time(export.state.created_at), _time(export.state.last_activity)
    yield f"# {export.title or known_as}\n\nConversation `{known_as}`, begun {begun}, last used {used}.\n"
    if export.after:
        yield f"*This goes on behind message {export.after}.*\n"
    for message in export.messages:
        yield _markdown_part(message)
    if export.next_after is not None:
        yield f"*There is more, behind message {export.next_after}: export it with `after={export.next_after}`.*\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in _LINE_END.split(text))


def _time(milliseconds: int) -> str:
    """ISO 8601, in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_of(name: str | None) -> Format:
    """JSON, if none is named. Raises ``InvalidRequest``."""
    form = FORMATS.get(name or "json")
    if form is None:
        raise InvalidRequest("format must be json or markdown.", code="invalid_parameter")
    return form


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", "json", _json_part, _json_whole),
    "markdown": Format("text/markdown; charset=utf-8", "md", _markdown_part, _markdown_whole),
}
