"""The events of a response's stream. Each has a number, ``sequence_number``, that tells how far the stream has come.

A number depends on what it numbers and on nothing else, so that any process can go on behind it, without a hole or a
repeat, even in the middle of a piece of text::

    0, 1                       the response was created, is in progress
    base + 2, base + 3         its message begins, and its text
    base + 3 + n               text up to its n-th character (Unicode code point)
    and so on, one by one      text, part and message end; calls begin, come whole, and end; the response ends
    FAILED                     there will be no answer

``base`` is ``ATTEMPT`` times the attempts before. An answer that is begun anew, because the process that wrote it
died, is another item: the one before ends as ``incomplete``, and the next has an ``output_index`` one higher.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copilotedge.answering import Piece, Reply, Words
from copilotedge.errors import AnswerPending, CopilotEdgeError
from copilotedge.models import ToolCall
from copilotedge.openai import item_shapes, response_shapes
from copilotedge.openai.item_shapes import Item
from copilotedge.openai.response_shapes import Response, ResponseHead

Event = dict[str, Any]

ATTEMPT = 10_000_000
"""Numbers of one attempt; far more than an answer may have characters."""
FAILED = 1_000_000_000_000
_MESSAGE, _TEXT = 2, 3


class ResponseEvents:
    """Makes the events of one response, those behind the number ``after``, from an answer's pieces and its end.

    Pieces begin with the answer's first. Calls come at the end: what a model says between them cannot be told apart
    later on, and a call is of no use before it is whole.
    """

    def __init__(self, head: ResponseHead, turn_id: str, after: int = -1) -> None:
        self._head = head
        self._turn_id = turn_id
        self._after = after
        self._attempt = 0
        self._text = ""
        self._last = after

    def begin(self) -> Iterator[Event]:
        for number, kind in enumerate(("response.created", "response.in_progress")):
            yield from self._new(number, kind, response=response_shapes.unfinished(self._head, "in_progress"))

    def piece(self, piece: Piece) -> Iterator[Event]:
        if isinstance(piece, Words):
            yield from self._at_attempt(piece.attempt)
            yield from self._words(piece.text)

    def end(self, reply: Reply) -> Iterator[Event]:
        yield from self._at_attempt(_attempt_of(reply))
        if reply.text.startswith(self._text) and len(reply.text) > len(self._text):
            yield from self._words(reply.text[len(self._text) :])
        whole = response_shapes.ended(self._head, reply)
        number = self._base + _MESSAGE
        for position, item in enumerate(whole["output"]):
            if item["type"] == "message":
                if not reply.text:
                    yield from self._begin_message()
                number = self._base + _TEXT + len(reply.text) + 1
                yield from self._end_message(number, item, reply.text)
                number += 3
            else:
                call = ToolCall(item["call_id"], item["name"], item["arguments"])
                yield from self._call(number, position, item, call)
                number += 4
        yield from self._end(number, whole)

    def fail(self, exc: CopilotEdgeError) -> Iterator[Event]:
        """There will be no answer."""
        yield from self._end(FAILED, response_shapes.failed(self._head, exc))

    def pending(self) -> Event:
        """The time is over, the answer is not: a client goes on behind the number it has."""
        told = {"code": AnswerPending.code, "message": "Not over yet: go on behind this.", "param": None}
        return {
            "type": "error",
            **told,
            "error": {"type": "server_error", **told},
            "sequence_number": max(self._last, 0),
        }

    @property
    def _base(self) -> int:
        return (max(self._attempt, 1) - 1) * ATTEMPT

    @property
    def _place(self) -> int:
        """The attempt's first ``output_index``; those before it had one item each."""
        return max(self._attempt, 1) - 1

    @property
    def _answer_id(self) -> str:
        return f"{self._turn_id}-{self._attempt}" if self._head.known_as else self._turn_id

    @property
    def _item_id(self) -> str:
        return str(item_shapes.answer_message(self._answer_id, None, "")["id"])

    def _at_attempt(self, attempt: int) -> Iterator[Event]:
        if attempt != self._attempt and self._text:
            number = self._base + _TEXT + len(self._text) + 1
            item = item_shapes.answer_message(self._answer_id, self._text, "incomplete")
            yield from self._end_message(number, item, self._text)
            self._text = ""
        self._attempt = attempt

    def _words(self, text: str) -> Iterator[Event]:
        if not self._text:
            yield from self._begin_message()
        begin = len(self._text)
        self._text += text
        known = min(max(self._after - self._base - _TEXT, begin), len(self._text))
        yield from self._new(
            self._base + _TEXT + len(self._text),
            "response.output_text.delta",
            **self._in_text,
            delta=self._text[known:],
            logprobs=[],
        )

    def _begin_message(self) -> Iterator[Event]:
        item = item_shapes.answer_message(self._answer_id, None, "in_progress")
        yield from self._item(self._base + _MESSAGE, "added", self._place, item)
        part = item_shapes.output_text("")
        yield from self._new(self._base + _TEXT, "response.content_part.added", **self._in_text, part=part)

    def _end_message(self, number: int, item: Item, text: str) -> Iterator[Event]:
        yield from self._new(number, "response.output_text.done", **self._in_text, text=text, logprobs=[])
        part = item_shapes.output_text(text)
        yield from self._new(number + 1, "response.content_part.done", **self._in_text, part=part)
        yield from self._item(number + 2, "done", self._place, item)

    def _call(self, number: int, position: int, item: Item, call: ToolCall) -> Iterator[Event]:
        place = self._place + position
        begun = item | {"arguments": "", "status": "in_progress"}
        told = {"item_id": item["id"], "output_index": place}
        kind = "response.function_call_arguments"
        yield from self._item(number, "added", place, begun)
        yield from self._new(number + 1, f"{kind}.delta", **told, delta=call.arguments)
        yield from self._new(number + 2, f"{kind}.done", **told, name=call.name, arguments=call.arguments)
        yield from self._item(number + 3, "done", place, item)

    def _end(self, number: int, response: Response) -> Iterator[Event]:
        """OpenAI has no event for a response that was cancelled; its clients would not know one."""
        status = response["status"]
        kind = "incomplete" if status == "cancelled" else status
        yield from self._new(number, f"response.{kind}", response=response)

    def _item(self, number: int, what: str, place: int, item: Item) -> Iterator[Event]:
        yield from self._new(number, f"response.output_item.{what}", output_index=place, item=item)

    @property
    def _in_text(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": self._place, "content_index": 0}

    def _new(self, number: int, kind: str, **fields: Any) -> Iterator[Event]:
        if number > self._after:
            self._last = number
            yield {"type": kind, **fields, "sequence_number": number}


def _attempt_of(reply: Reply) -> int:
    """Answers of conversations have it behind the turn's id; there is one only at an answer that is not kept."""
    return int(reply.answer_id.rpartition("-")[2]) if reply.conversation_id else 1
