"""How long turns take, as their metrics tell it."""

from __future__ import annotations

import asyncio
from typing import Any

from copilotedge.errors import ModelRequestRejected
from copilotedge.times import Times
from tests.fakes import World, until


def figures(world: World, *names: str) -> list[tuple[Any, ...]]:
    """Of each turn that has ended."""
    return [tuple(count.get(name) for name in names) for count in world.metrics.counts if "Turns" in count]


async def slow_turn(world: World, content: str = "Hi") -> None:
    """A worker that begins after 300 ms, a model whose first word comes after 500 ms more, and its last after 200."""
    first, last = asyncio.Event(), asyncio.Event()
    world.model.scripts.append([first, "Well,", last, " yes."])
    await world.say("a", content)
    world.clock.advance(300)
    working = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    world.clock.advance(500)
    first.set()
    await until(lambda: world.model.waiting == 2)
    world.clock.advance(200)
    last.set()
    await working


def test_what_did_not_happen_is_not_measured():
    assert Times().amounts(5) == {}
    assert Times(began_at=10).amounts(15) == {"TurnDuration": 5}


def test_a_clock_that_is_behind_measures_nothing_less_than_nothing():
    assert Times(began_at=10, asked_at=8).amounts(15) == {"TurnDuration": 5, "TimeToModelCall": 0}


async def test_a_turn_is_measured_from_its_message_on():
    world = World()
    await slow_turn(world)
    assert figures(world, "TimeToModelCall", "TimeToFirstToken", "TurnDuration") == [(300, 800, 1000)]


async def test_a_message_that_waited_tells_how_long():
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append([gate, "One."])
    await world.say("a", "One")
    working = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    await world.say("a", "Two")
    world.clock.advance(700)
    gate.set()
    await working
    assert figures(world, "QueueWait", "TurnDuration") == [(None, 700), (700, 0)]


async def test_another_answer_is_measured_from_when_it_was_asked_for():
    world = World()
    await slow_turn(world)
    world.clock.advance(60_000)
    await world.send("a", type="system", content="regenerate")
    await world.work()
    assert figures(world, "TurnDuration", "NewConversations") == [(1000, 1), (0, None)]


async def test_only_the_first_answer_is_a_new_conversations():
    world = World()
    for content in ("One", "Two"):
        await world.say("a", content)
        await world.work()
    assert world.metrics.sum("NewConversations") == 1


async def test_a_socket_that_takes_nothing_is_counted_once():
    world = World()
    await world.connect("a", "b")
    post = world.gateway.post

    async def broken(connection_id: str, frame: bytes) -> bool:
        if connection_id == "b":
            raise OSError("the gateway does not answer")
        return await post(connection_id, frame)

    world.gateway.post = broken
    await slow_turn(world)
    assert world.metrics.values("PostFailures") == [1]


async def test_where_every_socket_takes_everything_no_line_says_so():
    world = World()
    await world.connect("a")
    await slow_turn(world)
    assert world.metrics.values("PostFailures") == []


async def test_a_request_that_no_model_could_take_is_no_failure_of_the_models():
    world = World()
    world.model.scripts.append([ModelRequestRejected("No such model.", code="unknown_model")])
    await world.say("a", "Hi")
    await world.work()
    assert (world.metrics.sum("ModelFailures"), world.metrics.sum("ModelRejections")) == (0, 1)
    assert world.metrics.counts[-1]["code"] == "unknown_model"


async def test_a_turn_that_a_dead_holder_left_behind_is_a_takeover():
    world = World()
    await world.say("a", "Hi")
    (conversation, _, _) = world.waker.pending[0]
    dead = await world.runner.claim(conversation, "dead")
    assert dead is not None and world.metrics.values("LeaseTakeovers") == []
    world.clock.advance(world.settings.lease_ms + 1)
    await world.work()
    assert world.metrics.values("LeaseTakeovers") == [1]
    assert figures(world, "TurnDuration") == [(world.settings.lease_ms + 1,)]


async def test_a_turn_that_is_handed_over_is_none():
    world = World()
    await world.say("a", "Hi")
    (conversation, _, _) = world.waker.pending[0]
    run = await world.runner.claim(conversation, "leaving")
    await world.holding.hand_over(run, world.holding.open(run))
    world.clock.advance(1)
    await world.work()
    assert world.metrics.values("LeaseTakeovers") == []
