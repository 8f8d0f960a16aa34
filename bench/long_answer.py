"""A long answer, and the memory of its worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.listen import Listeners
from bench.live import Live
from bench.pace import Paced, tokens
from bench.processes import MemoryWatch
from tests.clients import new_conversation
from tests.stack import wait_until

LONG_PACE = 10.0
"""Tokens a second: slow, so that what is measured meanwhile has the machine."""


@contextmanager
def long_answer(on: Live, seconds: float) -> Iterator[LongAnswer]:
    """Runs in the background; its worker's memory is watched to its end."""
    before = on.pids("turn-worker")
    count = int(seconds * LONG_PACE)
    with on.listeners(new_conversation("bench-long")) as listeners:
        question = on.question(Paced(tokens(count), LONG_PACE))
        listeners.begin(question)
        on.model.wait_until(lambda requests: any(one.last_user_message == question for one in requests))
        wait_until(lambda: on.pids("turn-worker") - before, "the worker")
        (pid, *_) = on.pids("turn-worker") - before
        with MemoryWatch(pid, pause=max(0.5, seconds / 120)) as watch:
            yield LongAnswer(pid, listeners, "".join(tokens(count)), watch)


@dataclass
class LongAnswer:
    """``pid`` is its worker's."""

    pid: int
    listeners: Listeners
    text: str
    watch: MemoryWatch

    def end(self) -> dict[str, Any]:
        """Waits for it. Raises ``RuntimeError`` where the worker could not be watched."""
        turn = self.listeners.end()
        seconds = turn.sockets[0].ended - turn.sent
        return memory([sample for sample in self.watch.samples if sample[0] <= seconds]) | {
            "seconds": round(seconds, 1),
            "characters": len(self.text),
            "whole": turn.sockets[0].text == turn.sockets[0].answer == self.text,
        }


def memory(samples: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Start, end and slope of a process's memory, of the samples behind the first tenth (which is for warming up)."""
    if len(samples) < 4:
        raise RuntimeError("There are too few samples of the worker's memory")
    steady = samples[len(samples) // 10 :]
    return {
        "samples": list(samples),
        "start_mb": steady[0][1],
        "end_mb": steady[-1][1],
        "most_mb": max(mb for _, mb in samples),
        "slope_mb_a_minute": round(slope(steady) * 60, 4),
    }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line of least squares."""
    x = sum(a for a, _ in points) / len(points)
    y = sum(b for _, b in points) / len(points)
    spread = sum((a - x) ** 2 for a, _ in points)
    return sum((a - x) * (b - y) for a, b in points) / spread if spread else 0.0
