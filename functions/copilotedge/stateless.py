"""Chat without a conversation: nothing of it is kept, but for answers that may be given again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import field, replace

from copilotedge import correlation, prompts, transitions
from copilotedge.answering import CallWords, Hear, Reply, Words, add_piece, finish_reason, length_of
from copilotedge.caching import CacheUse, Caching
from copilotedge.charges import Charge, Charges
from copilotedge.errors import ModelError, ModelTimeout
from copilotedge.limits import Limits, Quota
from copilotedge.models import CachedAnswer, Finished, ModelEvent, ModelRequest, ToolCall, ToolCallDelta, Usage
from copilotedge.ports import Clock, Log, Model
from copilotedge.prices import dollars
from copilotedge.questions import Question
from copilotedge.settings import Settings
from copilotedge.times import Times
from copilotedge.values import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of ``user`` that came at ``began_at`` (ms). ``cached`` is its answer, where it was given before."""

    user: str
    request: ModelRequest
    turn_id: str
    quota: Quota
    began_at: int
    cached: CachedAnswer | None = None
    cache: CacheUse = ""


@dataclass(slots=True)
class _Heard:
    """An answer, as far as it has come."""

    request: ModelRequest
    hear: Hear
    times: Times
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: str = ""
    error: ModelError | None = None

    def take(self, event: ModelEvent, most: int, now: int) -> None:
        """``most`` characters are kept."""
        if isinstance(event, Finished):
            self.usage, self.model, self.finish_reason = event.usage, event.model, event.finish_reason
            return
        self.times.hear(now)
        if isinstance(event, ToolCallDelta):
            add_piece(self.calls, event)
            self.hear(CallWords(event.index, event.arguments, event.call_id, event.name))
        else:
            text = event.text[: most - self.length]
            self.hear(Words(text, len(self.text)))
            self.text += text

    @property
    def length(self) -> int:
        return length_of(self.text, self.calls)

    @property
    def is_whole(self) -> bool:
        return self.finish_reason == "stop" and bool(self.text) and not self.calls


class StatelessChat:
    """One instance serves all users. ``deadline`` in ms."""

    def __init__(
        self,
        model: Model,
        limits: Limits,
        charges: Charges,
        caching: Caching,
        settings: Settings,
        clock: Clock,
        log: Log,
    ) -> None:
        self._model = model
        self._limits = limits
        self._charges = charges
        self._caching = caching
        self._settings = settings
        self._clock = clock
        self._log = log

    async def ask(self, question: Question, user: str) -> Asked:
        """Count the message, and look whether its answer was given before. Raises ``LimitExceeded``."""
        began_at = self._clock()
        quota = await self._limits.admit_message(user)
        asked = Asked(user, prompts.for_question(question, self._settings), transitions.new_id(), quota, began_at)
        correlation.follow(asked.turn_id)
        if not self._caching.allows(asked.request):
            return asked
        cached = await self._caching.find(user, asked.request)
        return replace(asked, cached=cached, cache="HIT" if cached else "MISS")

    async def answer(self, asked: Asked, deadline: int, hear: Hear) -> Reply:
        """Raises the ``ModelError``s."""
        return _again(asked, asked.cached, hear) if asked.cached else await self._anew(asked, deadline, hear)

    async def _anew(self, asked: Asked, deadline: int, hear: Hear) -> Reply:
        heard = _Heard(asked.request, hear, Times(asked.began_at, asked_at=self._clock()))
        verdict = "failed"
        try:
            async with asyncio.timeout((deadline - self._clock()) / 1000):
                await self._listen(heard)
            verdict = "answered"
        except TimeoutError as exc:
            heard.error = ModelTimeout("The model took too long to answer.")
            raise heard.error from exc
        except ModelError as exc:
            heard.error = exc
            raise
        finally:
            charge = await self._charge(asked, heard, verdict)
        reply = self._reply(asked, heard, charge)
        if asked.cache and heard.is_whole:
            await self._caching.keep(asked.user, asked.request, CachedAnswer(reply.text, reply.model, reply.created_at))
        return reply

    async def _listen(self, heard: _Heard) -> None:
        most = self._settings.max_answer_characters
        async with aclosing(self._model.stream(heard.request)) as events:
            async for event in events:
                heard.take(event, most, self._clock())
                if heard.length >= most:
                    heard.finish_reason = "length"
                    break

    async def _charge(self, asked: Asked, heard: _Heard, verdict: str) -> Charge:
        charge = await self._charges.charge(asked.user, asked.request, heard.length, heard.usage, heard.model)
        self._charges.count_turn(verdict, heard.times.amounts(self._clock()), heard.error)
        self._log.info(
            "stateless_chat_ended",
            turn_id=asked.turn_id,
            verdict=verdict,
            tokens=charge.usage.total_tokens,
            cost_usd=None if charge.cost is None else dollars(charge.cost),
        )
        return charge

    def _reply(self, asked: Asked, heard: _Heard, charge: Charge) -> Reply:
        return Reply(
            asked.turn_id,
            heard.text,
            heard.model or asked.request.model,
            self._clock(),
            finish_reason=finish_reason(heard.finish_reason, heard.calls),
            usage=charge.usage,
            quota=asked.quota,
            tool_calls=() if heard.finish_reason == "length" else tuple(heard.calls),
            cost=charge.cost,
            cache=asked.cache,
        )


def _again(asked: Asked, cached: CachedAnswer, hear: Hear) -> Reply:
    """It takes no tokens."""
    hear(Words(cached.text, 0))
    return Reply(
        asked.turn_id,
        cached.text,
        cached.model,
        cached.created_at,
        quota=asked.quota,
        cost=0,
        cache=asked.cache,
    )
