"""What CopilotKit's clients read besides events: the runtime's description, messages and threads.

Source: the npm packages ``@copilotkit/core`` 1.75 and ``@copilotkit/runtime`` 1.74. A thread is a conversation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from copilotedge.copilotkit.agui_requests import AGENT
from copilotedge.models import ConversationSettings, Message, ToolCall
from copilotedge.users import Entry

VERSION = "0.1.0"

STATE = "agentState"
"""Where the conversation's context keeps what AG-UI calls the agent's state."""

_THREAD_ROUTES = {"list": True, "inspect": True, "mutations": True, "realtimeMetadata": False}


def info() -> dict[str, Any]:
    """What the runtime can do. ``mode`` says that it speaks server-sent events; telemetry is the page's, and off."""
    return {
        "version": VERSION,
        "agents": {AGENT: {"name": AGENT, "description": "CopilotEdge", "className": "CopilotEdge"}},
        "audioFileTranscriptionEnabled": False,
        "mode": "sse",
        "threadEndpoints": _THREAD_ROUTES,
        "singleRoute": {"resourceOperations": True, "threadEndpoints": _THREAD_ROUTES},
        "suggestions": True,
        "a2uiEnabled": False,
        "openGenerativeUIEnabled": False,
        "telemetryDisabled": True,
    }


def stopped(was_running: bool) -> dict[str, Any]:
    if not was_running:
        return {"stopped": False, "message": "No run is active."}
    return {"stopped": True, "interrupt": {"type": "RUN_ERROR", "message": "The run was stopped.", "code": "STOPPED"}}


def state_of(settings: ConversationSettings) -> dict[str, Any]:
    state = settings.context.get(STATE)
    return dict(state) if isinstance(state, Mapping) else {}


def snapshot(messages: Sequence[Message], max_bytes: int) -> list[dict[str, Any]]:
    """AG-UI's messages: the newest that fit, since clients send them all back; answers that others replaced left out.

    A result whose call does not fit any more is left out too: it would answer nothing.
    """
    replaced = {message.replaces for message in messages if message.replaces}
    entries = [message_entry(message) for message in messages if message.seq not in replaced]
    fitting = entries[len(entries) - _fitting(reversed(entries), max_bytes) :]
    while fitting and fitting[0]["role"] == "tool":
        fitting = fitting[1:]
    return fitting


def message_entry(message: Message) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": message.message_id, "role": message.role, "content": message.content}
    if message.tool_calls and not message.content:
        del entry["content"]  # as a client has it that heard the answer
    if message.tool_calls:
        entry["toolCalls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id:
        entry["toolCallId"] = message.tool_call_id
    return entry


def inspected(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A message as ``/threads/{id}/messages`` gives it: with flat tool calls."""
    flat = [
        {"id": call["id"], "name": call["function"]["name"], "args": call["function"]["arguments"]}
        for call in entry.get("toolCalls", ())
    ]
    return {**entry, "toolCalls": flat} if flat else dict(entry)


def thread(entry: Entry, user: str) -> dict[str, Any]:
    used = moment(entry.state.last_activity)
    return {
        "id": entry.name,
        "name": entry.listing.title or None,
        "agentId": AGENT,
        "organizationId": "",
        "createdById": user,
        "archived": entry.listing.archived,
        "createdAt": moment(entry.state.created_at),
        "updatedAt": used,
        "lastRunAt": used,
    }


def moment(milliseconds: int) -> str:
    """As JavaScript writes it."""
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _fitting(entries: Iterable[Mapping[str, Any]], room: int) -> int:
    count = 0
    for entry in entries:
        room -= len(json.dumps(entry, ensure_ascii=False).encode()) + 1
        if room < 0:
            break
        count += 1
    return count
