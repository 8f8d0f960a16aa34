"""Which turn the work under way is for: its id is in every line that is logged, in the model's call, and in the answer.

A shell wraps each request or event in ``work``; whoever knows the turn calls ``follow``. Tasks and threads that are
started in between share what is known, so the shell's own last line has it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from copilotedge.values import dataclass

HEADER = "x-correlation-id"
"""Of answers over HTTP, and of calls to the model."""

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


@dataclass(slots=True)
class _Work:
    turn_id: str = ""


_work: ContextVar[_Work | None] = ContextVar("work", default=None)


@contextmanager
def work() -> Iterator[None]:
    """One request or event, of which nothing is known yet."""
    before = _work.set(_Work())
    try:
        yield
    finally:
        _work.reset(before)


def follow(turn_id: str) -> None:
    """What is done from here on is done for this turn."""
    current = _work.get()
    if current is None:
        _work.set(_Work(turn_id))
    else:
        current.turn_id = turn_id


def turn_id() -> str:
    """Empty where no turn is known."""
    current = _work.get()
    return current.turn_id if current else ""


def headers() -> dict[str, str]:
    """For an answer over HTTP; none where no turn is known."""
    known = turn_id()
    return {HEADER: known} if known else {}


def headers_to_model() -> dict[str, str]:
    """The same, and W3C's ``traceparent`` (Trace Context, section 3.2), which servers that trace take up.

    The turn's id is the trace's; its first half also names the span, for we keep none of our own.
    """
    known = turn_id()
    if not _TRACE_ID.fullmatch(known):
        return headers()
    return headers() | {"traceparent": f"00-{known}-{known[:16]}-00"}
