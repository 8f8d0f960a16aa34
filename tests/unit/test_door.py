"""Who may enter which conversation."""

from __future__ import annotations

from typing import Any

import pytest

from copilotedge.door import Door
from copilotedge.errors import Forbidden, NotFound
from tests.fakes import World


async def shared(**members: Any) -> World:
    world = World()
    await world.conversations.share("alice/x", members)
    return world


@pytest.mark.parametrize("need", ["read", "write", "own"])
async def test_an_owner_may_do_everything_and_costs_no_request(need):
    world = await shared()
    before = world.store.requests
    assert await Door(world.store).open("alice", "x", need) == "alice/x"
    assert world.store.requests == before


@pytest.mark.parametrize(("role", "need"), [("read", "read"), ("write", "read"), ("write", "write")])
async def test_a_member_may_do_what_it_was_allowed(role, need):
    world = await shared(bob=role)
    assert await Door(world.store).open("bob", "alice~x", need) == "alice/x"


@pytest.mark.parametrize(
    ("role", "need", "code"),
    [("read", "write", "read_only"), ("read", "own", "not_owner"), ("write", "own", "not_owner")],
)
async def test_a_member_may_do_no_more(role, need, code):
    world = await shared(bob=role)
    with pytest.raises(Forbidden) as caught:
        await Door(world.store).open("bob", "alice~x", need)
    assert caught.value.code == code


@pytest.mark.parametrize("conversation_id", ["alice~x", "alice~nothing"])
@pytest.mark.parametrize("need", ["read", "write", "own"])
async def test_a_stranger_cannot_tell_what_is_there(conversation_id, need):
    world = await shared(bob="read")
    with pytest.raises(NotFound) as caught:
        await Door(world.store).open("carol", conversation_id, need)
    assert (caught.value.message, caught.value.code) == ("There is no such conversation.", "not_found")


async def test_a_member_that_was_removed_is_a_stranger():
    world = await shared(bob="write")
    await world.conversations.share("alice/x", {})
    with pytest.raises(NotFound):
        await Door(world.store).open("bob", "alice~x", "read")


async def test_members_end_with_the_conversations_life():
    world = await shared(bob="write")
    await world.conversations.delete("alice/x")
    await world.append("alice/x", "user", "A new life", 0)
    with pytest.raises(NotFound):
        await Door(world.store).open("bob", "alice~x", "read")
