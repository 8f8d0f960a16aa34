"""What an answer's words weigh on their way out: frames, events and bytes, computed with the functions' own code."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from copilotedge import frames
from copilotedge.answering import Words
from copilotedge.models import Message, Turn
from copilotedge.openai.chat_shapes import Chunks
from copilotedge.speech import COALESCE_SECONDS

CHARACTERS_PER_TOKEN = 4
"""As ``prompts.estimated_usage`` counts."""
_ID = "0" * 32
_EPOCH = f"{'0' * 13}-{'0' * 8}"
_WHEN = 1_795_349_630_000
_TURN = Turn(_ID, _ID, 201, _ID, 1, user="alice")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one reader is sent in a turn: ``messages`` (frames, or events of a stream), and ``bytes`` in all."""

    messages: int
    bytes: int


def delta_frames(tokens: int, tokens_per_second: float, coalesce: float = COALESCE_SECONDS) -> int:
    """Delta frames of an answer whose tokens come evenly, by the rule of ``speech``.

    A word that comes when none has gone out for ``coalesce`` seconds goes out at once; others wait for that moment.
    """
    sent, waiting, next_at = 0, 0, -math.inf
    for number in range(tokens):
        now = number / tokens_per_second
        while next_at <= now + 1e-9 and waiting:
            sent, waiting, next_at = sent + 1, 0, next_at + coalesce
        if next_at <= now + 1e-9:
            sent, next_at = sent + 1, now + coalesce
        else:
            waiting += 1
    return sent + bool(waiting)


def over_a_socket(
    question_tokens: int, answer_tokens: int, tokens_per_second: float, coalesce: float = COALESCE_SECONDS
) -> Traffic:
    """The echo, three statuses, the deltas and the whole answer."""
    deltas = delta_frames(answer_tokens, tokens_per_second, coalesce)
    text = "x" * (answer_tokens * CHARACTERS_PER_TOKEN)
    told = [
        frames.chat(Message(201, "user", "x" * question_tokens * CHARACTERS_PER_TOKEN, _WHEN, _ID, _ID), _EPOCH),
        frames.status("thinking", _TURN),
        frames.status("streaming", _TURN),
        frames.chat(_answer(text), _EPOCH),
        frames.status("complete", _TURN),
    ]
    encoded = [data for frame in told for data in frames.encode(frame)]
    (empty,) = frames.encode(frames.delta(_TURN, 100, 500, ""))
    return Traffic(len(encoded) + deltas, sum(map(len, encoded)) + deltas * len(empty) + len(text))


def over_a_stream(answer_tokens: int, model: str) -> Traffic:
    """Chat completion chunks, one a token, and ``[DONE]``: nothing is collected over HTTP."""
    chunks = Chunks(_ID, _WHEN, model, "user-123", include_usage=True)
    word = "x" * CHARACTERS_PER_TOKEN
    events = [chunks.begin(), *[chunks.piece(Words(word, 0)) for _ in range(answer_tokens)]]
    size = sum(len(f"data: {json.dumps(event, ensure_ascii=False)}\n\n") for event in events)
    return Traffic(len(events) + 3, size)


def _answer(text: str) -> Message:
    return Message(202, "assistant", text, _WHEN, _ID, _ID, 5376, 5120, model="@cf/meta/llama-3.1-8b-instruct", cost=1)
