"""What belongs to a user."""

from __future__ import annotations

import pytest

from copilotedge.errors import InvalidRequest
from copilotedge.models import Connection
from copilotedge.transitions import LIST_EVERY_MS
from tests.fakes import World


async def world_of(*keys: str) -> World:
    """Conversations that were used in this order, a second apart."""
    world = World()
    for key in keys:
        await world.conversations.append(key, "user", "Hello", 0)
        world.clock.advance(1000)
    return world


async def names(world: World, user: str, limit: int = 20, cursor: str = "") -> list[str]:
    return [entry.name for entry in (await world.users.conversations(user, limit, cursor)).entries]


async def test_a_list_shows_ones_own_newest_first():
    world = await world_of("alice/a", "bob/b", "alice/c")
    assert await names(world, "alice") == ["c", "a"]
    assert await names(world, "bob") == ["b"]
    assert await names(world, "carol") == []


async def test_a_list_is_read_page_by_page():
    world = await world_of(*(f"alice/{n}" for n in range(5)))
    first = await world.users.conversations("alice", 2)
    second = await world.users.conversations("alice", 2, first.cursor)
    third = await world.users.conversations("alice", 2, second.cursor)
    pages = [[entry.name for entry in page.entries] for page in (first, second, third)]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    assert third.cursor == ""


async def test_use_moves_a_conversation_to_the_top():
    world = await world_of("alice/a", "alice/b")
    world.clock.advance(LIST_EVERY_MS)
    await world.conversations.append("alice/a", "user", "Again", 0)
    assert await names(world, "alice") == ["a", "b"]


async def test_what_is_deleted_or_expired_is_not_listed():
    world = await world_of("alice/a", "alice/b")
    await world.conversations.delete("alice/a")
    assert await names(world, "alice") == ["b"]
    world.clock.advance(world.settings.inactivity_ms)
    assert await names(world, "alice") == []


@pytest.mark.parametrize("cursor", ["x", "e30=", "W10=", "WyJhIiwgMV0=", "WzFlOTk5LCAiIl0=", "W" * 8000])
async def test_a_cursor_that_is_not_ours_is_refused(cursor):
    with pytest.raises(InvalidRequest):
        await World().users.conversations("alice", 20, cursor)


async def test_a_user_who_is_forgotten_leaves_nothing_behind():
    world = await world_of("alice/a", "alice/b", "bob/a")
    await world.sockets.connect("alice/a", Connection("s1", "alice"))
    assert await world.users.forget("alice") == 2
    assert await names(world, "alice") == []
    assert "s1" in world.gateway.closed
    assert (await world.conversations.page("alice/a", 10)).messages == ()
    assert len((await world.conversations.page("bob/a", 10)).messages) == 1


async def test_forgetting_twice_is_harmless():
    world = await world_of("alice/a")
    await world.users.forget("alice")
    assert await world.users.forget("alice") == 0
