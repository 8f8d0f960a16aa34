"""The log as OpenAI's Conversations and Responses show it: items. A message is one, and so is each call it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from copilotedge.models import Message, ToolCall

Item = dict[str, Any]

_MESSAGE, _CALL, _RESULT = "msg_", "fc_", "fco_"


def items_of(message: Message) -> list[Item]:
    """At least one. Their ids begin with the message's."""
    if message.role == "tool":
        return [_result(message)]
    if message.role == "assistant":
        status = "completed" if message.status == "complete" else "incomplete"
        return output(message.message_id, message.content, message.tool_calls, status)
    content = [{"type": "input_text", "text": message.content}]
    return [_item(_MESSAGE + message.message_id, "message", "completed", role=message.role, content=content)]


def output(answer_id: str, text: str, calls: Sequence[ToolCall], status: str = "completed") -> list[Item]:
    """Items of an answer: its text, unless it has calls only, then its calls."""
    said = [answer_message(answer_id, text, status)] if text or not calls else []
    return said + [function_call(answer_id, index, call) for index, call in enumerate(calls)]


def answer_message(answer_id: str, text: str | None, status: str) -> Item:
    """With ``text`` None, an item whose content is still to come."""
    content = [] if text is None else [output_text(text)]
    return _item(_MESSAGE + answer_id, "message", status, role="assistant", content=content)


def output_text(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def function_call(answer_id: str, index: int, call: ToolCall, status: str = "completed") -> Item:
    made = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return _item(f"{_CALL}{answer_id}-{index}", "function_call", status, **made)


def message_id_of(item_id: str) -> str:
    """The message that has this item, if there is one; empty for what is no item's id."""
    if item_id.startswith(_CALL):
        return item_id.removeprefix(_CALL).rpartition("-")[0]
    for prefix in (_MESSAGE, _RESULT):
        if item_id.startswith(prefix):
            return item_id.removeprefix(prefix)
    return ""


def item_list(items: Sequence[Item], more: bool) -> dict[str, Any]:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": more}


def _result(message: Message) -> Item:
    made = {"call_id": message.tool_call_id, "output": message.content}
    return _item(_RESULT + message.message_id, "function_call_output", "completed", **made)


def _item(item_id: str, kind: str, status: str, **fields: Any) -> Item:
    return {"id": item_id, "type": kind, "status": status, **fields}
