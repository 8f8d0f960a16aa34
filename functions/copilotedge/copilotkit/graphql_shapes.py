"""The GraphQL that CopilotKit spoke before AG-UI: the original CopilotEdge answered it, and ``CopilotTask`` still asks.

No GraphQL is evaluated: the operations are known, and each is answered with all the fields that its clients select.
Source: the npm package ``@copilotkit/runtime-client-gql`` 1.74.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from copilotedge.answering import Pending, Reply
from copilotedge.copilotkit import agui_requests
from copilotedge.copilotkit.agui_requests import AGENT, RunInput
from copilotedge.copilotkit.agui_shapes import moment


def run_of(fields: Mapping[str, Any], new_id: str) -> RunInput:
    """The mutation as a run. Without a ``threadId`` it belongs to no conversation, and ``thread_id`` is empty.

    A task consists of instructions alone: they are the message then. ``new_id`` names what the client has not named.
    """
    data = _data(fields)
    return agui_requests.parse_run(
        {
            "threadId": _text(data.get("threadId")),
            "runId": _text(data.get("runId")) or new_id,
            "messages": _task([_message(m, f"{new_id}~{n}") for n, m in enumerate(_objects(data.get("messages")))]),
            "tools": [_tool(action) for action in _objects(_object(data.get("frontend")).get("actions"))],
            "context": _objects(data.get("context")),
            "forwardedProps": _forwarded(_object(data.get("forwardedParameters"))),
        }
    )


def generated(run: RunInput, thread_id: str, reply: Reply | Pending) -> dict[str, Any]:
    """The mutation's result. ``thread_id`` names the conversation, or just this reply."""
    is_over = isinstance(reply, Reply)
    response = {
        "__typename": "CopilotResponse",
        "threadId": thread_id,
        "runId": run.run_id,
        "extensions": None,
        "status": {"__typename": "BaseResponseStatus", "code": "Success" if is_over else "Pending"},
        "messages": list(_outputs(reply)) if isinstance(reply, Reply) else [],
        "metaEvents": [],
    }
    return {"data": {"generateCopilotResponse": response}}


def available_agents() -> dict[str, Any]:
    agent = {"__typename": "Agent", "id": AGENT, "name": AGENT, "description": "CopilotEdge"}
    return {"data": {"availableAgents": {"__typename": "AgentsResponse", "agents": [agent]}}}


def introspected() -> dict[str, Any]:
    """Enough for clients that ask whether this is GraphQL."""
    schema = {"queryType": {"name": "Query"}, "mutationType": {"name": "Mutation"}, "types": []}
    return {"data": {"__schema": schema}}


def thread_asked_for(fields: Mapping[str, Any]) -> str:
    """Of ``loadAgentState``."""
    return _text(_data(fields).get("threadId"))


def loaded(thread_id: str, state: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``entries`` are AG-UI's messages."""
    messages = [message for entry in entries for message in _loaded_messages(entry)]
    response = {
        "__typename": "LoadAgentStateResponse",
        "threadId": thread_id,
        "threadExists": bool(entries or state),
        "state": json.dumps(state, ensure_ascii=False),
        "messages": json.dumps(messages, ensure_ascii=False),
    }
    return {"data": {"loadAgentState": response}}


def _data(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``variables.data``; older clients had it in ``variables`` or beside it."""
    variables = _object(fields.get("variables"))
    return next((found for found in (variables.get("data"), fields.get("data")) if isinstance(found, dict)), variables)


def _message(message: Mapping[str, Any], new_id: str) -> dict[str, Any]:
    """AG-UI's message. Some frontends send role and content without a ``textMessage`` around them."""
    known_as = _text(message.get("id")) or new_id
    called, result = message.get("actionExecutionMessage"), message.get("resultMessage")
    if isinstance(called, dict):
        parent = _text(called.get("parentMessageId")) or known_as
        function = {"name": called.get("name"), "arguments": _json_text(called.get("arguments"))}
        return {"id": parent, "role": "assistant", "toolCalls": [{"id": known_as, "function": function}]}
    if isinstance(result, dict):
        call_id = result.get("actionExecutionId")
        return {"id": known_as, "role": "tool", "toolCallId": call_id, "content": _json_text(result.get("result"))}
    text = message.get("textMessage") if isinstance(message.get("textMessage"), dict) else message
    if not isinstance(text, dict) or "content" not in text:
        return {"id": known_as, "role": "activity"}
    return {"id": known_as, "role": str(text.get("role", "user")).lower(), "content": text["content"]}


def _task(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(message["role"] not in ("system", "developer", "activity") for message in messages):
        return messages
    return [message | {"role": "user"} for message in messages[-1:]]


def _tool(action: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parameters = json.loads(action.get("jsonSchema") or "null")
    except (ValueError, TypeError, RecursionError):
        parameters = None
    return {"name": action.get("name"), "description": action.get("description") or "", "parameters": parameters}


def _forwarded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    choice = parameters.get("toolChoice")
    if choice == "function":
        choice = {"type": "function", "function": {"name": parameters.get("toolChoiceFunctionName")}}
    most = parameters.get("maxTokens")
    given = {
        "model": parameters.get("model"),
        "temperature": parameters.get("temperature"),
        "maxTokens": int(most) if isinstance(most, float) else most,
        "toolChoice": choice,
    }
    return {name: value for name, value in given.items() if value is not None}


def _outputs(reply: Reply) -> Iterable[dict[str, Any]]:
    answer_id = reply.answer_id or reply.turn_id
    common = {
        "createdAt": moment(reply.created_at),
        "status": {"__typename": "SuccessMessageStatus", "code": "Success"},
    }
    if reply.text or not reply.tool_calls:
        text = {"content": [reply.text], "role": "assistant", "parentMessageId": None}
        yield {"__typename": "TextMessageOutput", "id": answer_id} | common | text
    for call in reply.tool_calls:
        called = {"name": call.name, "arguments": [call.arguments], "parentMessageId": answer_id}
        yield {"__typename": "ActionExecutionMessageOutput", "id": call.id} | common | called


def _loaded_messages(entry: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if entry["role"] == "tool":
        call_id = entry.get("toolCallId")
        yield {"id": entry["id"], "result": entry["content"], "actionExecutionId": call_id, "actionName": ""}
        return
    if entry.get("content"):
        yield {"id": entry["id"], "role": entry["role"], "content": entry["content"]}
    for call in entry.get("toolCalls", ()):
        function = call["function"]
        arguments = _arguments(function["arguments"])
        yield {"id": call["id"], "name": function["name"], "arguments": arguments, "parentMessageId": entry["id"]}


def _arguments(text: str) -> dict[str, Any]:
    """What a model wrote may be anything."""
    try:
        return _object(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
