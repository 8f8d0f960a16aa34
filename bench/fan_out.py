"""A model in a hurry, and many sockets that hear it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.latency import WITHIN_SECONDS, delays, share, summary
from bench.listen import Heard, Turn
from bench.live import Live
from bench.pace import Paced, tokens
from tests.clients import new_conversation
from tests.scripted_model import Reply

FAST = 1000.0
"""Tokens a second of a model in a hurry."""


def fan_out(on: Live, sockets: int, seconds: float) -> dict[str, Any]:
    """A model in a hurry, and so many sockets that hear it."""
    expected = tokens(int(FAST * seconds))
    with on.listeners(new_conversation(f"bench-fan-{sockets}"), sockets) as listeners:
        listeners.say(on.question(Reply(chunks=["warm"])))
        question = on.question(Paced(expected, FAST))
        turn = listeners.say(question)
    asked = on.model.asked(question)
    said = on.model.said(asked)
    return {"sockets": sockets, "tokens": len(expected)} | heard_by_all(turn, said, "".join(expected))


def heard_by_all(turn: Turn, said: Sequence[float], text: str) -> dict[str, Any]:
    """Whether anything was lost or out of order, how many frames there were, and how late."""
    heard = turn.sockets
    late = [delay for one in heard if one.text == text for delay in delays(one, said)[1:]]
    ended = max(one.ended for one in heard)
    first = min(one.deltas[0][0] for one in heard)
    return {
        "model_tokens_a_second": round((len(said) - 1) / (said[-1] - said[0])),
        "whole": sum(one.text == text and one.answer == text for one in heard),
        "in_order": sum(is_in_order(one) for one in heard),
        "frames_a_socket": round(sum(one.frames for one in heard) / len(heard), 1),
        "most_frames_in_a_second": max(busiest([now for now, _, _ in one.deltas]) for one in heard),
        "callbacks_a_second": round(sum(one.frames for one in heard) / (ended - first)),
        "behind_the_model_seconds": round(ended - said[-1], 2),
        "late_ms": summary(late) if late else None,
        "share_within": share(late, WITHIN_SECONDS) if late else 0.0,
    }


def is_in_order(heard: Heard) -> bool:
    """Whether each delta begins where the one before it ended."""
    at = 0
    for _, offset, length in heard.deltas:
        if offset != at:
            return False
        at += length
    return True


def busiest(times: Sequence[float]) -> int:
    """The most of them within any one second."""
    return max(sum(start <= now < start + 1 for now in times) for start in times)
