"""Answers that may be given again, in memory."""

from __future__ import annotations

from copilotedge.models import CachedAnswer
from copilotedge.ports import Clock


class MemoryAnswerCache:
    """Implements ``ports.AnswerCache``; counts its requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[CachedAnswer, int]] = {}
        self.requests = 0

    async def find(self, user: str, key: str) -> CachedAnswer | None:
        self.requests += 1
        answer, ends = self._kept.get((user, key), (None, 0))
        return answer if ends > self._clock() // 1000 else None

    async def keep(self, user: str, key: str, answer: CachedAnswer, seconds: int) -> None:
        self.requests += 1
        self._kept[user, key] = (answer, self._clock() // 1000 + seconds)

    async def forget(self, user: str) -> None:
        self.requests += 1
        self._kept = {place: kept for place, kept in self._kept.items() if place[0] != user}
