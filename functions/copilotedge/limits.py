"""How much one user may ask for: messages a minute, tokens a (UTC) day, open sockets and readers over HTTP.

Messages are counted in slots of 5 s, and a message's place is the sum over the running slot and the 12 before it, which
span 60 to 65 s. One unconditional write counts a message and tells its place, so of any burst the first N get in, in
whichever Lambdas they are; and never more than N in any 60 s. What is refused is taken off again and does not count.
Tokens are known when an answer is there, so what was admitted before may pass the day's limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import accumulate

from copilotedge.errors import LimitExceeded, StoreUnavailable
from copilotedge.ports import EVERYBODY, Clock, Metrics, UsageStore
from copilotedge.settings import Settings
from copilotedge.transitions import new_id
from copilotedge.values import dataclass

SLOT_MS = 5_000
SLOTS = 13
"""Those that count: with 12, the window would be shorter than a minute at the end of a slot."""
DAY_SECONDS = 86_400
TOTAL_AGE_MS = 5_000
"""How long the tokens of everybody are believed before they are read again."""
SOCKETS_RETRY_SECONDS = 60
"""Nobody knows when a socket will be closed."""
READER = "http:"
"""Begins the ids of those who listen over HTTP; the gateway's sockets have no colon."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Messages a minute: ``limit`` in all (0: as many as one likes), ``remaining`` now, more in ``reset_seconds``."""

    limit: int = 0
    remaining: int = 0
    reset_seconds: int = 0


UNLIMITED = Quota()


class Limits:
    """A limit of 0 is none, and costs no request. Refusals are counted, and users by the first message of their day."""

    def __init__(self, usage: UsageStore, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        self._usage = usage
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._total, self._total_until = 0, 0

    async def admit_message(self, user: str) -> Quota:
        """Count a message of ``user``, or raise ``LimitExceeded`` (``rate_limited``, ``token_budget_spent``).

        One request; where everybody's tokens are limited too, another one every 5 s. A refusal takes one more.
        """
        now = self._clock()
        with self._counted():
            await self._check_total(now)
            if self._settings.rate_limit_per_minute:
                return await self._take(user, now)
            await self._check_own(user, now)
            return Quota()

    async def check_budget(self, user: str) -> None:
        """Whether a model may be asked at this user's expense; raises ``LimitExceeded`` (``token_budget_spent``)."""
        now = self._clock()
        await self._check_total(now)
        await self._check_own(user, now)

    async def charge(self, user: str, tokens: int) -> None:
        """What an answer took. Makes no request where no tokens are limited."""
        accounts = [user] if self._settings.tokens_per_day else []
        accounts += [EVERYBODY] if self._settings.total_tokens_per_day else []
        day = _day(self._clock())
        if tokens > 0:
            await asyncio.gather(*(self._usage.spend(account, day, tokens) for account in accounts))

    async def admit_socket(self, user: str, conversation_id: str, connection_id: str, token_expires: int = 0) -> None:
        """Count a socket of ``user``, or raise ``LimitExceeded`` (``too_many_sockets``). Call it before it is listed.

        It counts until it is released, or cannot be open any more (``token_expires`` in ms; 0: never). Of sockets that
        come at the same moment for the last place all may be refused; a conversation may get one too many of them.
        """
        most = self._settings.max_sockets_per_conversation
        with self._counted():
            if most and await self._usage.sockets_of_conversation(conversation_id) >= most:
                raise _too_many_sockets("This conversation has", most)
            await self._count_socket(user, connection_id, token_expires)

    async def release_socket(self, user: str, connection_id: str) -> None:
        if self._settings.max_sockets_per_user:
            await self._usage.close_socket(user, connection_id)

    @asynccontextmanager
    async def reading(self, user: str, until: int) -> AsyncIterator[None]:
        """Count one who listens over HTTP among the sockets of ``user``, or raise ``LimitExceeded``.

        It counts while the block lasts; where its process dies, until ``until`` (ms).
        """
        reader = READER + new_id()
        with self._counted():
            await self._count_socket(user, reader, until)
        try:
            yield
        finally:
            with suppress(StoreUnavailable):
                await self.release_socket(user, reader)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except LimitExceeded as exc:
            self._metrics.count({"Refusals": 1}, code=exc.code)
            raise

    async def _count_socket(self, user: str, connection_id: str, ends: int) -> None:
        most = self._settings.max_sockets_per_user
        if not most:
            return
        await self._usage.open_socket(user, connection_id, ends)
        if await self._usage.sockets_of_user(user) > most:
            with suppress(StoreUnavailable):
                await self._usage.close_socket(user, connection_id)
            raise _too_many_sockets("You have", most)

    async def _take(self, user: str, now: int) -> Quota:
        slot = now // SLOT_MS
        tally = await self._usage.take(user, slot, slot - SLOTS + 1, _day(now))
        if tally.is_first_today:
            self._metrics.count({"ActiveUsers": 1})
        try:
            if self._settings.tokens_per_day:
                _check_tokens(tally.tokens, self._settings.tokens_per_day, now, "You have")
            return _quota(tally.messages, slot, self._settings.rate_limit_per_minute, now)
        except LimitExceeded:
            with suppress(StoreUnavailable):
                await self._usage.give_back(user, slot, _day(now))
            raise

    async def _check_own(self, user: str, now: int) -> None:
        if self._settings.tokens_per_day:
            tokens = await self._usage.tokens(user, _day(now))
            _check_tokens(tokens, self._settings.tokens_per_day, now, "You have")

    async def _check_total(self, now: int) -> None:
        most = self._settings.total_tokens_per_day
        if most and now >= self._total_until:
            self._total = await self._usage.tokens(EVERYBODY, _day(now))
            self._total_until = min(now + TOTAL_AGE_MS, (_day(now) + 1) * DAY_SECONDS * 1000)
        if most:
            _check_tokens(self._total, most, now, "All users together have")


def _quota(messages: Mapping[int, int], slot: int, limit: int, now: int) -> Quota:
    place = sum(messages.values())
    if place <= limit:
        return Quota(limit, limit - place, _seconds_until(place - 1, messages, now))
    raise LimitExceeded(
        f"You have sent {limit} messages within a minute, and no more are allowed.",
        retry_after=_seconds_until(limit - 1, _without_refused(messages, slot, limit), now),
        limit=limit,
    )


def _without_refused(messages: Mapping[int, int], slot: int, limit: int) -> dict[int, int]:
    """The same without this message and others that are being refused just now: no more than ``limit`` got in."""
    others = sum(count for other, count in messages.items() if other != slot)
    return {**messages, slot: max(0, min(messages.get(slot, 0) - 1, limit - others))}


def _seconds_until(most: int, messages: Mapping[int, int], now: int) -> int:
    """When the oldest slots will have left the window and only ``most`` messages are in it."""
    slots = sorted(messages)
    gone = accumulate(messages[slot] for slot in slots)
    surplus = sum(messages.values()) - most
    last = next(slot for slot, left in zip(slots, gone, strict=True) if left >= surplus)
    return max(1, -(-((last + SLOTS) * SLOT_MS - now) // 1000))


def _check_tokens(tokens: int, most: int, now: int, who: str) -> None:
    if tokens >= most:
        raise LimitExceeded(
            f"{who} used the {most} tokens of this day. The next one begins at midnight UTC.",
            code="token_budget_spent",
            retry_after=DAY_SECONDS - now // 1000 % DAY_SECONDS,
            limit=most,
        )


def _too_many_sockets(who: str, most: int) -> LimitExceeded:
    return LimitExceeded(
        f"{who} {most} open sockets, and no more are allowed.",
        code="too_many_sockets",
        retry_after=SOCKETS_RETRY_SECONDS,
        limit=most,
    )


def _day(now: int) -> int:
    return now // 1000 // DAY_SECONDS
