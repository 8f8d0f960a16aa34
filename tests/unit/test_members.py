"""Members come and go: who is one no more hears nothing, however it happened."""

from __future__ import annotations

from typing import Any

from copilotedge.models import Connection
from copilotedge.transitions import Submission
from tests.fakes import World

KEY = "alice/c1"


async def world_of_two() -> World:
    """Alice and bob listen to alice's conversation."""
    world = World()
    await world.sockets.share(KEY, {"bob": "read"})
    for user in ("alice", "bob"):
        await world.sockets.connect(KEY, Connection(user, user))
    return world


async def say(world: World, content: str) -> None:
    taken = await world.conversations.submit(KEY, Submission(content, content, world.clock.now, user="alice"))
    await world.conversations.wake(KEY, taken, Connection("alice", "alice"))
    await world.work()


async def test_a_member_hears_what_is_said():
    world = await world_of_two()
    await say(world, "Hello")
    assert world.gateway.text("bob") == "You said: Hello"


async def test_a_former_member_hears_nothing_of_the_conversations_next_life():
    world = await world_of_two()
    await world.sockets.tell_cleared(KEY, await world.conversations.delete(KEY))
    await say(world, "A new secret")
    assert world.gateway.frames.get("bob", []) == []
    assert "bob" in world.gateway.closed


async def test_who_connects_while_being_removed_hears_nothing(monkeypatch):
    world = World()
    await world.sockets.share(KEY, {"bob": "read"})
    admit = world.limits.admit_socket

    async def slow(*arguments: Any) -> None:
        await admit(*arguments)
        await world.sockets.share(KEY, {})

    world.limits.admit_socket = slow
    await world.sockets.connect(KEY, Connection("bob", "bob"))
    await say(world, "A secret")
    assert world.gateway.frames.get("bob", []) == []
    assert world.gateway.closed == ["bob"]


async def test_an_announcement_reaches_no_stranger():
    world = await world_of_two()
    await world.conversations.share(KEY, {})
    await world.sockets.announce(KEY, {"type": "system", "content": "news"})
    assert world.gateway.kinds("alice") == ["system:news"]
    assert world.gateway.frames.get("bob", []) == []


async def test_the_socket_that_began_a_turn_hears_nothing_after_its_token_ended():
    world = World()
    await world.sockets.share(KEY, {})
    ends = Connection("alice", "alice", token_expires=world.clock.now + 1_000)
    await world.sockets.connect(KEY, ends)
    taken = await world.conversations.submit(KEY, Submission("m", "Hello", world.clock.now, user="alice"))
    world.clock.advance(60_000)
    run = await world.runner.claim(KEY, "worker")
    await world.runner.serve(run, world.deadline, "alice", ends.token_expires)
    assert taken.turn_id
    assert world.gateway.frames.get("alice", []) == []
    assert world.gateway.closed == ["alice"]
