"""One contract for what counts usage. Test modules import it and bring ``usage``, ``store`` and ``clock`` fixtures."""

from __future__ import annotations

from copilotedge.models import Connection, Tally
from copilotedge.ports import EVERYBODY, UsageStore
from tests.fakes import START

SLOT, DAY = START // 5_000, START // 86_400_000
OLDEST = SLOT - 12


async def take(usage: UsageStore, slot: int = SLOT, user: str = "alice") -> Tally:
    return await usage.take(user, slot, slot - 12, DAY)


async def test_the_first_message_is_the_only_one(usage):
    assert await take(usage) == Tally({SLOT: 1}, 0, is_first_today=True)


async def test_only_the_first_message_of_a_day_is_its_first(usage):
    told = [(await usage.take("alice", slot, slot - 12, DAY)).is_first_today for slot in (SLOT, SLOT, SLOT + 1)]
    assert told == [True, False, False]
    assert (await usage.take("alice", SLOT + 2, SLOT - 10, DAY + 1)).is_first_today


async def test_a_message_that_was_given_back_was_still_the_first(usage):
    await take(usage)
    await usage.give_back("alice", SLOT, DAY)
    assert not (await take(usage)).is_first_today


async def test_each_message_tells_all_that_came_before(usage):
    await take(usage, OLDEST)
    await take(usage, SLOT - 1)
    await take(usage)
    assert (await take(usage)).messages == {OLDEST: 1, SLOT - 1: 1, SLOT: 2}


async def test_a_slot_that_has_left_the_window_is_not_told(usage):
    await take(usage, OLDEST - 1)
    assert (await take(usage)).messages == {SLOT: 1}


async def test_a_clock_that_is_behind_counts_what_the_others_count(usage):
    await take(usage, OLDEST - 1)
    await take(usage, SLOT)
    assert (await take(usage, SLOT - 1)).messages == {OLDEST - 1: 1, SLOT - 1: 1, SLOT: 1}


async def test_what_is_given_back_is_not_counted(usage):
    await take(usage)
    await take(usage)
    await usage.give_back("alice", SLOT, DAY)
    assert (await take(usage)).messages == {SLOT: 2}


async def test_an_empty_slot_is_not_told(usage):
    await take(usage, SLOT - 1)
    await usage.give_back("alice", SLOT - 1, DAY)
    assert (await take(usage)).messages == {SLOT: 1}


async def test_many_places_can_be_given_back(usage):
    for _ in range(5):
        await take(usage)
    for _ in range(4):
        await usage.give_back("alice", SLOT, DAY)
    assert (await take(usage)).messages == {SLOT: 2}


async def test_however_long_users_come_and_go_their_counts_are_right(usage):
    for slot in range(SLOT - 2000, SLOT, 50):
        assert (await take(usage, slot)).messages == {slot: 1}


async def test_users_are_counted_apart(usage):
    await take(usage, user="bob")
    await usage.spend("bob", DAY, 9)
    assert await take(usage) == Tally({SLOT: 1}, 0, is_first_today=True)


async def test_tokens_are_told_with_the_next_message(usage):
    await usage.spend("alice", DAY, 7)
    await usage.spend("alice", DAY, 5)
    assert (await take(usage)).tokens == 12


async def test_tokens_are_told_when_asked_for(usage):
    await take(usage)
    await usage.spend("alice", DAY, 7)
    assert await usage.tokens("alice", DAY) == 7


async def test_nobody_has_spent_anything_at_first(usage):
    assert await usage.tokens("alice", DAY) == 0


async def test_each_day_has_tokens_of_its_own(usage):
    await usage.spend("alice", DAY - 1, 7)
    assert await usage.tokens("alice", DAY) == 0
    await usage.spend("alice", DAY, 5)
    assert (await take(usage)).tokens == 5


async def test_everybody_has_an_account(usage):
    await usage.spend(EVERYBODY, DAY, 7)
    assert await usage.tokens(EVERYBODY, DAY) == 7


async def test_open_sockets_are_counted(usage):
    for name in ("a", "b", "a"):
        await usage.open_socket("alice", name, 0)
    assert await usage.sockets_of_user("alice") == 2
    assert await usage.sockets_of_user("bob") == 0


async def test_closed_sockets_are_not_counted(usage):
    await usage.open_socket("alice", "a", 0)
    await usage.close_socket("alice", "a")
    await usage.close_socket("alice", "unknown")
    assert await usage.sockets_of_user("alice") == 0


async def test_a_socket_counts_no_longer_than_it_can_live(usage, clock):
    await usage.open_socket("alice", "a", 0)
    clock.advance(7_799_000)
    assert await usage.sockets_of_user("alice") == 1
    clock.advance(1_000)
    assert await usage.sockets_of_user("alice") == 0


async def test_a_socket_counts_no_longer_than_its_token(usage, clock):
    await usage.open_socket("alice", "a", START + 60_000)
    clock.advance(59_000)
    assert await usage.sockets_of_user("alice") == 1
    clock.advance(1_000)
    assert await usage.sockets_of_user("alice") == 0


async def test_the_sockets_of_a_conversation_are_those_that_are_listed(usage, store):
    for name in ("a", "b", "c"):
        await store.connect("alice/c", Connection(name))
    await store.disconnect("alice/c", "b")
    assert await usage.sockets_of_conversation("alice/c") == 2
    assert await usage.sockets_of_conversation("bob/c") == 0


async def test_who_is_forgotten_has_no_sockets_but_is_still_counted(usage):
    await take(usage)
    await usage.spend("alice", DAY, 7)
    for user, name in (("alice", "a"), ("alice", "b"), ("bob", "c")):
        await usage.open_socket(user, name, 0)
    assert set(await usage.forget("alice")) == {"a", "b"}
    assert (await usage.sockets_of_user("alice"), await usage.sockets_of_user("bob")) == (0, 1)
    assert await take(usage) == Tally({SLOT: 2}, 7)
