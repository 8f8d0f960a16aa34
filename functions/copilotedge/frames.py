"""Frames that the server sends over WebSocket, as JSON objects; ``encode`` makes them bytes that fit the gateway.

API Gateway refuses messages over 128 KB on ``@connections`` (quotas page of the WebSocket API), so long text is split:
a ``chat`` carries ``part`` and ``parts``, a ``delta`` simply becomes several with their own offsets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from copilotedge.errors import CopilotEdgeError
from copilotedge.models import Message, Turn
from copilotedge.prices import dollars

Frame = dict[str, Any]
Status = Literal["queued", "thinking", "streaming", "complete", "cancelled", "failed"]

MAX_FRAME_BYTES = 128 * 1024
_TEXT_BYTES = 100_000
"""Room for text in a frame; the rest is for metadata."""


def chat(message: Message, epoch: str) -> Frame:
    return {
        "type": "chat",
        "role": message.role,
        "content": message.content,
        "metadata": {**message_metadata(message), "epoch": epoch},
    }


def message_metadata(message: Message) -> dict[str, Any]:
    """What clients learn of a message besides role and content; optional keys are left out when they say nothing."""
    metadata: dict[str, Any] = {
        "timestamp": message.timestamp,
        "tokens": message.tokens,
        "messageId": message.message_id,
        "seq": message.seq,
        "turnId": message.turn_id,
        "status": message.status,
    }
    optional = {
        "model": message.model,
        "replaces": message.replaces,
        "toolCallId": message.tool_call_id,
        "toolCalls": [asdict(call) for call in message.tool_calls],
    }
    known = {} if message.cost is None else {"costUsd": dollars(message.cost)}
    return metadata | {key: value for key, value in optional.items() if value} | known


def delta(turn: Turn, index: int, offset: int, text: str) -> Frame:
    """``offset`` counts the answer's characters (Unicode code points) before ``text``."""
    metadata = {"turnId": turn.turn_id, "attempt": turn.attempt, "index": index, "offset": offset}
    return {"type": "delta", "content": text, "metadata": metadata}


def status(value: Status, turn: Turn) -> Frame:
    metadata = {"turnId": turn.turn_id, "messageId": turn.message_id, "attempt": turn.attempt}
    return {"type": "status", "status": value, "metadata": metadata}


def ended(question: Message, last: Message) -> Frame:
    """How an earlier turn ended; ``last`` is its answer, or the question itself where it has none."""
    value = last.status if last.status in ("cancelled", "failed") else "complete"
    metadata = {"turnId": last.turn_id, "messageId": question.message_id}
    return {"type": "status", "status": value, "metadata": metadata}


def queued(turn_id: str, message_id: str, position: int) -> Frame:
    metadata = {"turnId": turn_id, "messageId": message_id, "position": position}
    return {"type": "status", "status": "queued", "metadata": metadata}


def withdrawn(turn_id: str, message_id: str) -> Frame:
    """A waiting message was taken off the queue."""
    metadata = {"turnId": turn_id, "messageId": message_id}
    return {"type": "status", "status": "cancelled", "metadata": metadata}


def system(content: str, **metadata: Any) -> Frame:
    return {"type": "system", "content": content} | ({"metadata": metadata} if metadata else {})


def history(conversation_id: str, epoch: str, messages: Sequence[Message], total_tokens: int, more: bool) -> Frame:
    return system(
        "history",
        conversationId=conversation_id,
        epoch=epoch,
        messages=[history_entry(message) for message in messages],
        totalTokens=total_tokens,
        hasMore=more,
    )


def history_entry(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content} | message_metadata(message)


def error(exc: CopilotEdgeError, **metadata: str) -> Frame:
    frame: Frame = {"type": "error", "error": exc.message, "code": exc.code}
    if exc.retry_after is not None:
        frame["retryAfter"] = exc.retry_after
    known = {key: value for key, value in metadata.items() if value}
    return frame | ({"metadata": known} if known else {})


def encode(frame: Frame) -> list[bytes]:
    """One or more messages for the gateway, each under ``MAX_FRAME_BYTES``."""
    whole = dump(frame)
    if len(whole) <= MAX_FRAME_BYTES:
        return [whole]
    split = _split_history if frame["type"] == "system" else _split
    return [dump(part) for part in split(frame)]


def fitting(entries: Iterable[dict[str, Any]]) -> int:
    """How many of ``entries`` fit into one frame together; at least one."""
    room = _TEXT_BYTES
    count = 0
    for entry in entries:
        room -= len(dump(entry)) + 1
        if room < 0 and count:
            break
        count += 1
    return count


def _split(frame: Frame) -> Iterator[Frame]:
    pieces = list(_pieces(frame["content"]))
    for number, (offset, text) in enumerate(pieces, start=1):
        metadata = dict(frame["metadata"])
        if frame["type"] == "delta":
            metadata["offset"] += offset
        else:
            metadata |= {"part": number, "parts": len(pieces)}
        yield frame | {"content": text, "metadata": metadata}


def _split_history(frame: Frame) -> Iterator[Frame]:
    """A history whose one entry is too long (``fitting`` sees to it that it is one): the entry in parts."""
    (entry,) = frame["metadata"]["messages"]
    pieces = list(_pieces(entry["content"]))
    for number, (_, text) in enumerate(pieces, start=1):
        part = entry | {"content": text, "part": number, "parts": len(pieces)}
        yield frame | {"metadata": frame["metadata"] | {"messages": [part]}}


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut ``text`` so that each piece's JSON stays under ``_TEXT_BYTES``; a character takes at most 6 bytes there."""
    start = 0
    while start < len(text):
        length = _TEXT_BYTES
        while len(dump(text[start : start + length])) > _TEXT_BYTES:
            length //= 2
        yield start, text[start : start + length]
        start += length


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
