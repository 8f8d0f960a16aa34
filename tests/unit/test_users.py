"""What belongs to a user."""

from __future__ import annotations

from typing import Any

import pytest

from copilotedge.errors import InvalidRequest, NotFound
from copilotedge.models import CachedAnswer, Connection, Marks
from copilotedge.transitions import LIST_EVERY_MS, Submission
from tests.fakes import World


async def world_of(*keys: str) -> World:
    """Conversations that were used in this order, a second apart."""
    world = World()
    for key in keys:
        await world.append(key, "user", "Hello", 0)
        world.clock.advance(1000)
    return world


async def names(world: World, user: str, limit: int = 20, cursor: str = "", **wanted: Any) -> list[str]:
    return [entry.name for entry in (await world.users.conversations(user, limit, cursor, **wanted)).entries]


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
    await world.append("alice/a", "user", "Again", 0)
    assert await names(world, "alice") == ["a", "b"]


async def test_what_is_deleted_or_expired_is_not_listed():
    world = await world_of("alice/a", "alice/b")
    await world.conversations.delete("alice/a")
    assert await names(world, "alice") == ["b"]
    world.clock.advance(world.settings.inactivity_ms)
    assert await names(world, "alice") == []


async def test_pinned_ones_come_first_on_whatever_page():
    world = await world_of(*(f"alice/{n}" for n in range(5)))
    for name in ("1", "0"):
        await world.users.change(f"alice/{name}", Marks(pinned=True))
    first = await world.users.conversations("alice", 1)
    assert [entry.name for entry in first.entries] == ["1"]
    assert await names(world, "alice", cursor=first.cursor) == ["0", "4", "3", "2"]


async def test_an_archived_one_is_listed_apart_until_it_is_fetched_back():
    world = await world_of("alice/a", "alice/b")
    await world.users.change("alice/a", Marks(archived=True))
    assert (await names(world, "alice"), await names(world, "alice", archived=True)) == (["b"], ["a"])
    await world.append("alice/a", "user", "Still here", 0)
    assert await names(world, "alice", archived=True) == ["a"]
    await world.users.change("alice/a", Marks(archived=False))
    assert await names(world, "alice") == ["a", "b"]


@pytest.mark.parametrize(
    ("search", "found"),
    [("magnet", ["b"]), ("ÉCOLE", ["c"]), ("CONV-A", ["conv-a"]), ("%", []), ("", ["c", "b", "conv-a"])],
)
async def test_a_search_finds_titles_and_ids_in_whatever_case(search, found):
    world = World()
    for key, text in (("alice/conv-a", "Hello"), ("alice/b", "How do Magnets work?"), ("alice/c", "Une école")):
        await world.append(key, "user", text, 0)
        world.clock.advance(1000)
    assert await names(world, "alice", search=search) == found


async def test_a_search_is_read_page_by_page():
    world = await world_of(*(f"alice/{n}" for n in range(5)))
    first = await world.users.conversations("alice", 2, search="hello")
    assert await names(world, "alice", cursor=first.cursor, search="hello") == ["2", "1", "0"]


async def test_a_renamed_one_is_found_by_its_name_and_told_to_its_sockets():
    world = await world_of("alice/a")
    await world.sockets.connect("alice/a", Connection("s1", "alice"))
    entry = await world.users.change("alice/a", Marks(title="Magnets"))
    assert (entry.name, entry.listing.title) == ("a", "Magnets")
    assert await names(world, "alice", search="magnets") == ["a"]
    assert world.gateway.frames["s1"] == [{"type": "system", "content": "titled", "metadata": {"title": "Magnets"}}]


async def test_a_name_is_one_line_of_bounded_length_whoever_brings_it():
    world = await world_of("alice/a")
    entry = await world.users.change("alice/a", Marks(title="two\nlines " + "x" * 1_000_000))
    assert entry.listing.title == "two lines"
    assert (await world.users.change("alice/a", Marks(title="\n"))).listing.title == "Hello"


async def test_a_name_that_is_taken_back_gives_way_to_the_automatic_one():
    world = await world_of("alice/a")
    await world.users.change("alice/a", Marks(title="Magnets"))
    assert (await world.users.change("alice/a", Marks(title=""))).listing.title == "Hello"


async def test_what_is_pinned_is_told_to_nobody():
    world = await world_of("alice/a")
    await world.sockets.connect("alice/a", Connection("s1", "alice"))
    await world.users.change("alice/a", Marks(pinned=True))
    assert world.gateway.frames == {}


async def test_what_does_not_exist_cannot_be_changed():
    world = await world_of("alice/a")
    await world.conversations.delete("alice/a")
    for key in ("alice/a", "alice/never"):
        with pytest.raises(NotFound):
            await world.users.change(key, Marks(title="x"))
    assert await names(world, "alice") == []


async def test_what_is_being_deleted_is_gone_already():
    world = await world_of("alice/a")
    await world.users.change("alice/a", Marks(title="Secret"))
    await world.conversations.submit("alice/a", Submission("m", "Hi", world.clock.now, holder="somebody"))
    await world.conversations.delete("alice/a")
    state = await world.store.state("alice/a")
    assert state is not None and await world.users.title("alice/a", state) == ""
    assert await names(world, "alice") == []
    with pytest.raises(NotFound):
        await world.users.change("alice/a", Marks(title="x"))


async def test_a_title_is_that_of_a_life():
    world = await world_of("alice/a")
    await world.users.change("alice/a", Marks(title="Secret", pinned=True))
    await world.conversations.delete("alice/a")
    assert await world.users.title("alice/a", await world.store.state("alice/a")) == ""
    await world.append("alice/a", "user", "A new life", 0)
    (entry,) = (await world.users.conversations("alice", 20)).entries
    assert (entry.listing.title, entry.listing.pinned) == ("A new life", False)


async def test_an_expired_one_has_no_title_although_it_is_still_listed():
    world = await world_of("alice/a")
    world.clock.advance(world.settings.inactivity_ms)
    assert await world.store.listing("alice/a") is not None
    assert await world.users.title("alice/a", await world.store.state("alice/a")) == ""


@pytest.mark.parametrize(
    "cursor", ["x", "e30=", "W10=", "WyJhIiwgMV0=", "WzFlOTk5LCAiIl0=", "W2ZhbHNlLDFlOTk5LCIiXQ==", "W" * 8000]
)
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


async def test_who_listens_over_http_is_no_socket_to_be_closed():
    world = World()
    async with world.limits.reading("alice", world.deadline):
        await world.users.forget("alice")
    assert world.gateway.closed == []


async def test_a_user_who_is_forgotten_leaves_no_answers_that_could_be_given_again():
    world, answer = World(), CachedAnswer("Hi.", "@cf/m", 0)
    await world.answers.keep("alice", "k", answer, 60)
    await world.answers.keep("bob", "k", answer, 60)
    await world.users.forget("alice")
    assert await world.answers.find("alice", "k") is None
    assert await world.answers.find("bob", "k") == answer


async def test_forgetting_twice_is_harmless():
    world = await world_of("alice/a")
    await world.users.forget("alice")
    assert await world.users.forget("alice") == 0
