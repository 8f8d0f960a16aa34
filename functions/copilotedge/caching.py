"""Which stateless answers are given again, and to whom: the same user who asks the very same thing within the TTL.

What is asked is all that the model gets: its name, the messages that fit the window with the instructions before them,
temperature, ``max_tokens`` and options. Tools are never cached, for their use changes the world.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from typing import Any, Literal

from copilotedge.errors import StoreUnavailable
from copilotedge.models import CachedAnswer, ModelRequest
from copilotedge.ports import AnswerCache, Log, Metrics
from copilotedge.settings import Settings

MODEL_TEMPERATURE = 0.6
"""What Workers AI's models take when a request names none (their pages' ``temperature``)."""
MAX_BYTES = 65_536
"""Longer answers are not kept: a write is billed by its size."""

CacheUse = Literal["HIT", "MISS", ""]
"""Whether the cache gave the answer; empty where it was not asked."""


class Caching:
    """Stateless: one instance serves all users. A cache that fails is no cache, and nobody's error."""

    def __init__(self, answers: AnswerCache, settings: Settings, metrics: Metrics, log: Log) -> None:
        self._answers = answers
        self._settings = settings
        self._metrics = metrics
        self._log = log

    def allows(self, request: ModelRequest) -> bool:
        """Whether this request's answer may be given again; makes no request."""
        temperature = MODEL_TEMPERATURE if request.temperature is None else request.temperature
        cool = temperature <= self._settings.response_cache_max_temperature
        return self._settings.response_cache_seconds > 0 and cool and not _options(request).get("tools")

    async def find(self, user: str, request: ModelRequest) -> CachedAnswer | None:
        """The answer that ``user`` got to this, if it was not long ago. Only for what is allowed."""
        try:
            answer = await self._answers.find(user, _key(request))
        except StoreUnavailable as exc:
            self._log.error("cache_failed", error=exc.code)
            return None
        self._metrics.count({"CacheHits": int(answer is not None), "CacheMisses": int(answer is None)})
        return answer

    async def keep(self, user: str, request: ModelRequest, answer: CachedAnswer) -> None:
        """Only for what is allowed, and whole. Another model's answer, the fallback's, is not kept."""
        if answer.model != request.model or len(answer.text.encode()) > MAX_BYTES:
            return
        try:
            await self._answers.keep(user, _key(request), answer, self._settings.response_cache_seconds)
        except StoreUnavailable as exc:
            self._log.error("cache_failed", error=exc.code)


def _key(request: ModelRequest) -> str:
    asked = asdict(request) | {"options": _options(request)}
    return sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _options(request: ModelRequest) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(request.options or "{}")
    return options
