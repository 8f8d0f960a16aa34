"""AG-UI's events, as far as its versions 0.0.59 and 1.0 agree on them, and the order in which a run sends them.

Source: https://docs.ag-ui.com/concepts/events, and the schemas of the npm package ``@ag-ui/core`` of both versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from copilotedge import frames
from copilotedge.answering import CallWords, Piece, Reply, Words
from copilotedge.errors import CopilotEdgeError
from copilotedge.models import ToolCall

Event = dict[str, Any]


def encode(event: Event) -> bytes:
    """As a server-sent event."""
    return b"data: %b\n\n" % frames.dump(event)


def run_started(thread_id: str, run_id: str) -> Event:
    return {"type": "RUN_STARTED", "threadId": thread_id, "runId": run_id}


def run_finished(thread_id: str, run_id: str) -> Event:
    return {"type": "RUN_FINISHED", "threadId": thread_id, "runId": run_id}


def run_error(exc: CopilotEdgeError) -> Event:
    return {"type": "RUN_ERROR", "message": exc.message, "code": exc.code}


def messages_snapshot(messages: Sequence[Mapping[str, Any]]) -> Event:
    return {"type": "MESSAGES_SNAPSHOT", "messages": list(messages)}


def state_snapshot(state: Mapping[str, Any]) -> Event:
    return {"type": "STATE_SNAPSHOT", "snapshot": dict(state)}


class AnswerEvents:
    """One answer, piece by piece: opens its message and its tool calls, and closes them before anything else begins.

    Messages are named by ``turn_id`` and attempt, as the log names the answer; one that belongs to no conversation by
    ``turn_id`` alone. An attempt that begins anew is another message.
    """

    def __init__(self, turn_id: str, *, stateless: bool = False) -> None:
        self._turn_id = turn_id
        self._stateless = stateless
        self._attempt = 0
        self._text = ""
        self._is_open = False
        self._calls: dict[int, str] = {}
        self._open_calls: list[str] = []

    @property
    def message_id(self) -> str:
        return self._turn_id if self._stateless else f"{self._turn_id}-{self._attempt}"

    def begins_anew(self, piece: Piece) -> bool:
        """Whether what was said so far is void: the caller then sends what is true before this piece's events."""
        return bool(self._attempt and self._said and piece.attempt > self._attempt)

    def piece(self, piece: Piece) -> Iterator[Event]:
        if piece.attempt != self._attempt:
            yield from self.close()
            self._attempt, self._text, self._calls = piece.attempt, "", {}
        if isinstance(piece, Words):
            yield from self._words(piece.text)
        else:
            yield from self._call_words(piece)

    def rest(self, reply: Reply) -> Iterator[Event]:
        """What of the answer has not been said, then the end of it."""
        attempt = reply.answer_id.removeprefix(f"{self._turn_id}-")
        if not self._attempt and not self._stateless and attempt.isdigit():
            self._attempt = int(attempt)
        if reply.text.startswith(self._text):
            yield from self._words(reply.text[len(self._text) :])
        for index, call in enumerate(reply.tool_calls):
            if index not in self._calls:
                yield from self._call_words(CallWords(index, call.arguments, call.id, call.name, self._attempt))
        yield from self.close()

    def has_said_more(self, calls: Sequence[ToolCall]) -> bool:
        """Whether calls were begun that are not among ``calls``, those of the answer as it is kept."""
        return len(self._calls) > len(calls)

    def close(self) -> Iterator[Event]:
        """Parallel calls stay open together: their arguments may come in turns."""
        yield from self._end_text()
        yield from ({"type": "TOOL_CALL_END", "toolCallId": call_id} for call_id in self._open_calls)
        self._open_calls = []

    def _end_text(self) -> Iterator[Event]:
        if self._is_open:
            self._is_open = False
            yield {"type": "TEXT_MESSAGE_END", "messageId": self.message_id}

    @property
    def _said(self) -> bool:
        return bool(self._text or self._calls)

    def _words(self, text: str) -> Iterator[Event]:
        if not text:
            return
        if not self._is_open:
            yield from self.close()
            self._is_open = True
            yield {"type": "TEXT_MESSAGE_START", "messageId": self.message_id, "role": "assistant"}
        self._text += text
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": self.message_id, "delta": text}

    def _call_words(self, words: CallWords) -> Iterator[Event]:
        if words.index not in self._calls:
            yield from self._end_text()
            self._calls[words.index] = words.call_id
            self._open_calls.append(words.call_id)
            yield {
                "type": "TOOL_CALL_START",
                "toolCallId": words.call_id,
                "toolCallName": words.name,
                "parentMessageId": self.message_id,
            }
        if words.arguments:
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": self._calls[words.index], "delta": words.arguments}
