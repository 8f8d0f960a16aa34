"""A scripted model that keeps time: it speaks at an even pace, and remembers when it said each token."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from tests.scripted_model import Reply, Request, ScriptedModel

TOKEN = 6
"""Characters of a token, so that a frame's offset tells which tokens it has."""


def tokens(count: int) -> list[str]:
    """Each of them says its number."""
    return [f"{number:0{TOKEN - 1}d} " for number in range(count)]


class Paced(Reply):
    """``chunks`` at ``per_second``, by the clock: a late one does not make those behind it late.

    The server asks for ``delay_between`` before each chunk but the first.
    """

    _interval: float
    _next: float
    _clock: Callable[[], float]

    def __init__(self, chunks: Sequence[str], per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(chunks=chunks)
        object.__setattr__(self, "_clock", clock)
        object.__setattr__(self, "_interval", 1 / per_second)
        object.__setattr__(self, "_next", 0.0)

    @property
    def delay_between(self) -> float:
        """Seconds until the next chunk is due; none where it is overdue."""
        now = self._clock()
        due: float = (self._next or now) + self._interval
        object.__setattr__(self, "_next", due)
        return max(0.0, due - now)

    @delay_between.setter
    def delay_between(self, _: float) -> None:
        """Given by the dataclass, and not used."""


class TimedModel(ScriptedModel):
    """Times are in seconds since the epoch, as those of its requests are."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[int, list[float]] = defaultdict(list)

    def said(self, request: Request) -> list[float]:
        """When each chunk of the answer had been sent."""
        return self._said[id(request)]

    def note_chunk(self, request: Request) -> None:
        self._said[id(request)].append(time.time())
        super().note_chunk(request)

    def asked(self, text: str, timeout: float = 60) -> Request:
        """The request whose last user message is the text, once it has been answered. Raises ``TimeoutError``."""
        self.wait_until(lambda requests: any(r.outcome and r.last_user_message == text for r in requests), timeout)
        return next(request for request in self.requests if request.last_user_message == text)
