"""What one user may ask for: messages a minute, tokens a day, sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.errors import LimitExceeded, StoreUnavailable
from copilotedge.limits import Limits, Quota
from copilotedge.models import Connection
from copilotedge.settings import Settings
from tests.fakes import START, FakeClock, FakeMetrics
from tests.memory_store import MemoryStore
from tests.memory_usage import MemoryUsage

DAY_MS = 86_400_000
EVENING = START // DAY_MS * DAY_MS + DAY_MS - 90_000
"""A minute and a half before midnight UTC."""


class Desk:
    """Limits over counters in memory."""

    def __init__(self, now: int = START, **settings: Any) -> None:
        self.clock = FakeClock(now)
        self.store = MemoryStore(self.clock)
        self.usage = MemoryUsage(self.clock, self.store)
        self.settings = Settings(**settings)
        self.metrics = FakeMetrics()
        self.limits = self.another_lambda()

    def another_lambda(self) -> Limits:
        return Limits(self.usage, self.settings, self.clock, self.metrics)

    async def admit(self, user: str = "alice") -> bool:
        return isinstance(await self.ask(user), Quota)

    async def ask(self, user: str = "alice") -> Quota | LimitExceeded:
        try:
            return await self.limits.admit_message(user)
        except LimitExceeded as exc:
            return exc

    async def fill(self, user: str = "alice") -> None:
        for _ in range(self.settings.rate_limit_per_minute):
            assert await self.admit(user)


def desk(**settings: Any) -> Desk:
    return Desk(**{"rate_limit_per_minute": 3} | settings)


async def refusal(asked: Any) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        await asked
    return caught.value


# --- Messages ----------------------------------------------------------------------------------------------------


async def test_a_message_is_told_how_many_more_there_may_be():
    it = desk()
    assert await it.ask() == Quota(3, 2, 65)
    it.clock.advance(10_000)
    assert await it.ask() == Quota(3, 1, 55)


async def test_a_message_above_the_limit_is_refused_with_the_limit_and_when_to_come_back():
    it = desk()
    await it.fill()
    it.clock.advance(2_500)
    refused = await refusal(it.limits.admit_message("alice"))
    assert (refused.code, refused.limit, refused.retry_after) == ("rate_limited", 3, 63)


async def test_another_user_is_not_affected():
    it = desk()
    await it.fill()
    assert await it.ask("bob") == Quota(3, 2, 65)


async def test_all_lambdas_count_together():
    it = desk()
    await it.fill()
    await refusal(it.another_lambda().admit_message("alice"))


async def test_a_minute_that_ends_cannot_be_used_twice():
    it = desk(now=START + 59_900)
    await it.fill()
    it.clock.advance(200)
    assert not await it.admit()


async def test_who_comes_back_when_told_to_is_let_in():
    it = desk()
    await it.fill()
    refused = await refusal(it.limits.admit_message("alice"))
    it.clock.advance(refused.retry_after * 1000)
    assert await it.admit()


async def test_what_was_refused_does_not_count():
    it = desk()
    await it.fill()
    for _ in range(65):
        it.clock.advance(1_000)
        assert await it.admit() == (it.clock.now == START + 65_000)


async def test_a_limit_that_was_lowered_holds_for_what_came_before():
    it = desk(rate_limit_per_minute=6)
    for _ in range(6):
        await it.admit()
        it.clock.advance(5_000)
    it.settings = Settings(rate_limit_per_minute=2)
    it.limits = it.another_lambda()
    assert (await refusal(it.limits.admit_message("alice"))).retry_after == 55


async def test_those_who_are_being_refused_do_not_make_others_wait_longer():
    it = desk()
    await it.admit()
    it.clock.advance(30_000)
    await it.admit()
    await it.admit()
    slot = it.clock.now // 5_000
    for _ in range(9):
        await it.usage.take("alice", slot, slot - 12, 0)
    assert (await refusal(it.limits.admit_message("alice"))).retry_after == 35


async def test_without_a_limit_nothing_is_asked_or_counted():
    it = desk(rate_limit_per_minute=0)
    assert await it.ask() == Quota(limit=0)
    await it.limits.charge("alice", 1_000_000)
    assert it.usage.requests == 0


async def test_a_message_costs_one_request():
    it = desk(tokens_per_day=100)
    await it.admit()
    assert it.usage.requests == 1


async def test_a_refusal_stands_when_the_place_cannot_be_given_back():
    it = desk()
    await it.fill()
    it.usage.give_back = unavailable
    await refusal(it.limits.admit_message("alice"))


async def test_without_an_answer_nobody_is_let_in():
    it = desk()
    it.usage.take = unavailable
    with pytest.raises(StoreUnavailable):
        await it.limits.admit_message("alice")


async def unavailable(*_: Any) -> Any:
    raise StoreUnavailable("The store does not answer.")


# --- Messages, at any time ---------------------------------------------------------------------------------------

GAPS = st.lists(st.one_of(st.integers(0, 2_000), st.integers(0, 70_000)), max_size=80)
LIMITS = st.integers(1, 6)


def at_all(times: Callable[..., Any]) -> Callable[[], None]:
    """A property of arrivals, whatever the limit, the gaps between them (ms) and the moment of the first one."""

    @given(LIMITS, GAPS, st.integers(0, 5_000))
    def check(limit: int, gaps: list[int], offset: int) -> None:
        asyncio.run(times(desk(now=START + offset, rate_limit_per_minute=limit), gaps))

    check.__name__ = times.__name__
    return check


async def arrivals(it: Desk, gaps: list[int]) -> list[tuple[int, bool]]:
    """When each message came, and whether it was accepted."""
    found = []
    for gap in gaps:
        it.clock.advance(gap)
        found.append((it.clock.now, await it.admit()))
    return found


@at_all
async def test_no_minute_has_more_messages_than_the_limit(it, gaps):
    accepted = [time for time, was_accepted in await arrivals(it, gaps) if was_accepted]
    limit = it.settings.rate_limit_per_minute
    assert all(later - earlier >= 60_000 for earlier, later in zip(accepted, accepted[limit:], strict=False))


@at_all
async def test_a_message_is_accepted_when_fewer_than_the_limit_were_in_the_last_65_seconds(it, gaps):
    accepted: list[int] = []
    for time, was_accepted in await arrivals(it, gaps):
        recent = sum(time - other < 65_000 for other in accepted)
        assert was_accepted or recent >= it.settings.rate_limit_per_minute
        accepted += [time] if was_accepted else []


@at_all
async def test_who_was_idle_for_65_seconds_has_everything(it, gaps):
    await arrivals(it, gaps)
    it.clock.advance(65_000)
    await it.fill()


@at_all
async def test_refused_messages_change_nothing_for_those_that_follow(it, gaps):
    seen = await arrivals(it, gaps)
    again = desk(rate_limit_per_minute=it.settings.rate_limit_per_minute)
    for time in [time for time, was_accepted in seen if was_accepted]:
        again.clock.now = time
        assert await again.admit()


@at_all
async def test_the_time_to_wait_is_right_to_the_second(it, gaps):
    await arrivals(it, gaps)
    while isinstance(answer := await it.ask(), Quota):
        pass
    it.clock.advance((answer.retry_after - 1) * 1000)
    assert answer.retry_after == 1 or not await it.admit()
    it.clock.advance(1000)
    assert await it.admit()


@at_all
async def test_what_remains_is_what_is_accepted(it, gaps):
    await arrivals(it, gaps)
    answer = await it.ask()
    remaining = answer.remaining if isinstance(answer, Quota) else 0
    assert [await it.admit() for _ in range(remaining + 1)] == [True] * remaining + [False]


# --- Tokens ------------------------------------------------------------------------------------------------------


async def test_who_has_used_the_tokens_of_the_day_is_refused_till_midnight():
    it = desk(now=EVENING, tokens_per_day=100)
    await it.limits.charge("alice", 99)
    assert await it.admit()
    await it.limits.charge("alice", 1)
    refused = await refusal(it.limits.admit_message("alice"))
    assert (refused.code, refused.limit, refused.retry_after) == ("token_budget_spent", 100, 90)


async def test_the_next_day_has_tokens_of_its_own():
    it = desk(now=EVENING, tokens_per_day=100)
    await it.limits.charge("alice", 100)
    it.clock.advance((await refusal(it.limits.admit_message("alice"))).retry_after * 1000)
    assert await it.admit()


async def test_a_message_without_tokens_left_takes_no_place():
    it = desk(now=EVENING, tokens_per_day=100)
    await it.limits.charge("alice", 100)
    for _ in range(5):
        assert not await it.admit()
    it.clock.advance(90_000)
    await it.fill()


async def test_each_user_has_tokens_of_their_own():
    it = desk(tokens_per_day=100)
    await it.limits.charge("alice", 100)
    assert await it.admit("bob")


async def test_tokens_are_limited_where_messages_are_not():
    it = desk(rate_limit_per_minute=0, tokens_per_day=100)
    assert await it.ask() == Quota()
    await it.limits.charge("alice", 100)
    assert (await refusal(it.limits.admit_message("alice"))).code == "token_budget_spent"


@pytest.mark.parametrize("setting", ["tokens_per_day", "total_tokens_per_day"])
async def test_a_budget_is_looked_at_without_counting_a_message(setting):
    it = desk(**{setting: 100})
    await it.limits.check_budget("alice")
    await it.limits.charge("alice", 100)
    assert (await refusal(it.another_lambda().check_budget("alice"))).code == "token_budget_spent"
    assert sum(it.usage._messages["alice"].values()) == 0


async def test_an_answer_without_tokens_costs_no_request():
    it = desk(tokens_per_day=100)
    await it.limits.charge("alice", 0)
    assert it.usage.requests == 0


async def test_all_users_together_have_a_limit():
    it = desk(now=EVENING, total_tokens_per_day=100)
    await it.limits.charge("alice", 60)
    await it.limits.charge("bob", 40)
    refused = await refusal(it.limits.admit_message("carol"))
    assert (refused.code, refused.limit, refused.retry_after) == ("token_budget_spent", 100, 90)


async def test_the_tokens_of_all_are_read_every_five_seconds():
    it = desk(total_tokens_per_day=100)
    for _ in range(3):
        await it.admit()
    assert it.usage.requests == 4
    await it.limits.charge("alice", 100)
    it.clock.advance(5_000)
    assert (await refusal(it.limits.admit_message("bob"))).code == "token_budget_spent"


async def test_the_tokens_of_all_are_read_anew_after_midnight():
    it = desk(now=EVENING + 89_000, total_tokens_per_day=100)
    await it.limits.charge("alice", 100)
    assert not await it.admit()
    it.clock.advance(1_000)
    assert await it.admit()


# --- Sockets -----------------------------------------------------------------------------------------------------


async def open_socket(it: Desk, name: str, user: str = "alice", conversation_id: str = "alice/c") -> None:
    """As ``Sockets`` does: admitted first, listed then."""
    await it.limits.admit_socket(user, conversation_id, name)
    await it.store.connect(conversation_id, Connection(name))


async def test_a_user_has_no_more_sockets_than_allowed():
    it = desk(max_sockets_per_user=2)
    await open_socket(it, "a")
    await open_socket(it, "b", conversation_id="alice/d")
    refused = await refusal(open_socket(it, "c", conversation_id="alice/e"))
    assert (refused.code, refused.limit, refused.retry_after) == ("too_many_sockets", 2, 60)


async def test_a_socket_that_was_released_makes_room():
    it = desk(max_sockets_per_user=1)
    await open_socket(it, "a")
    await it.limits.release_socket("alice", "a")
    await open_socket(it, "b")


async def test_a_refused_socket_does_not_count():
    it = desk(max_sockets_per_user=1)
    await open_socket(it, "a")
    await refusal(open_socket(it, "b"))
    assert await it.usage.sockets_of_user("alice") == 1


async def test_a_refused_socket_is_refused_when_its_row_cannot_be_taken_back():
    it = desk(max_sockets_per_user=1)
    await open_socket(it, "a")
    it.usage.close_socket = unavailable
    await refusal(open_socket(it, "b"))


async def test_another_user_may_open_sockets_too():
    it = desk(max_sockets_per_user=1)
    await open_socket(it, "a")
    await open_socket(it, "b", user="bob")


async def test_a_socket_does_not_count_after_its_token():
    it = desk(max_sockets_per_user=1)
    await it.limits.admit_socket("alice", "alice/c", "a", START + 60_000)
    it.clock.advance(60_000)
    await open_socket(it, "b")


async def test_a_conversation_has_no_more_sockets_than_allowed():
    it = desk(max_sockets_per_conversation=2)
    await open_socket(it, "a")
    await open_socket(it, "b", user="bob")
    assert (await refusal(open_socket(it, "c", user="carol"))).limit == 2
    await open_socket(it, "d", user="carol", conversation_id="carol/c")


async def test_a_full_conversation_takes_no_place_of_the_user():
    it = desk(max_sockets_per_conversation=1)
    await open_socket(it, "a", user="bob")
    await refusal(open_socket(it, "b"))
    assert await it.usage.sockets_of_user("alice") == 0


async def test_without_limits_sockets_are_not_counted():
    it = desk(max_sockets_per_user=0, max_sockets_per_conversation=0)
    await open_socket(it, "a")
    await it.limits.release_socket("alice", "a")
    async with it.limits.reading("alice", START + 60_000):
        pass
    assert it.usage.requests == 0


async def test_who_listens_over_http_takes_the_place_of_a_socket():
    it = desk(max_sockets_per_user=1)
    async with it.limits.reading("alice", START + 60_000):
        assert (await refusal(open_socket(it, "a"))).code == "too_many_sockets"
    await open_socket(it, "a")
    refused = await refusal(it.limits.reading("alice", START + 60_000).__aenter__())
    assert (refused.code, refused.limit, refused.retry_after) == ("too_many_sockets", 1, 60)


async def test_who_listened_over_http_makes_room_whatever_happened():
    it = desk(max_sockets_per_user=1)
    with pytest.raises(ZeroDivisionError):
        async with it.limits.reading("alice", START + 60_000):
            raise ZeroDivisionError
    await open_socket(it, "a")


async def test_a_listener_whose_process_died_counts_until_its_time_is_over():
    it = desk(max_sockets_per_user=1)
    await it.limits.reading("alice", START + 60_000).__aenter__()
    it.clock.advance(59_000)
    await refusal(open_socket(it, "a"))
    it.clock.advance(1_000)
    await open_socket(it, "b")


async def test_a_listener_is_not_told_that_its_row_cannot_be_taken_back():
    it = desk(max_sockets_per_user=1)
    async with it.limits.reading("alice", START + 60_000):
        it.usage.close_socket = unavailable


# --- What is counted ---------------------------------------------------------------------------------------------


async def test_refusals_are_counted_by_their_reason():
    asked = desk(max_sockets_per_user=1, tokens_per_day=10)
    await asked.fill()
    assert not await asked.admit()
    await asked.limits.charge("bob", 10)
    assert not await asked.admit("bob")
    await asked.limits.admit_socket("alice", "alice/c", "a")
    await refusal(asked.limits.admit_socket("alice", "alice/c", "b"))
    counted = [count["code"] for count in asked.metrics.counts if "Refusals" in count]
    assert counted == ["rate_limited", "token_budget_spent", "too_many_sockets"]


async def test_a_user_is_counted_once_a_day():
    asked = desk()
    for user in ("alice", "bob", "alice"):
        await asked.admit(user)
    assert asked.metrics.sum("ActiveUsers") == 2
    asked.clock.advance(DAY_MS)
    await asked.admit("alice")
    assert asked.metrics.sum("ActiveUsers") == 3
