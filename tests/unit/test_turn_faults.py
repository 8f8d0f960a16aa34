"""Turns when something breaks in between: crashes in a row of turns, lost leases, answers without measure."""

from __future__ import annotations

import asyncio

import pytest

from copilotedge.errors import StoreUnavailable
from copilotedge.models import Connection
from tests.fakes import World, until


class Defect(Exception):
    """Something that nobody foresaw."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilotedge.watching.WATCH_SECONDS", 0.01)


async def row_of_two(world: World, second: object) -> asyncio.Task[None]:
    """The first turn of a row under way, with a message waiting behind it; the second plays ``second``."""
    gate = asyncio.Event()
    world.model.scripts += [["first", gate], [second]]
    await world.say("a", "1")
    worker = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    await world.say("a", "2")
    gate.set()
    return worker


async def test_a_worker_that_broke_in_its_second_turn_is_repeated_for_that_one():
    world = World(lease_seconds=5)
    worker = await row_of_two(world, Defect())
    await asyncio.gather(worker, return_exceptions=True)
    world.clock.advance(5_001)
    run = await world.runner.claim("c1", "the same event again")
    await world.runner.serve(run, world.deadline)
    assert (await world.log_of())[-1] == ("assistant", "You said: 2", "complete")


async def test_a_turn_whose_lease_ran_out_under_its_holder_is_looked_after():
    world = World(lease_seconds=5)
    world.model.scripts.append(["Once", asyncio.Event()])
    await world.say("a", "Hi")
    worker = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)

    async def out(_: str) -> None:
        raise StoreUnavailable("Throttled.")

    world.store.state = out
    world.clock.advance(5_001)
    (result,) = await asyncio.gather(worker, return_exceptions=True)
    assert isinstance(result, Exception) or world.waker.pending


async def test_a_turn_that_is_given_up_after_a_clear_announces_the_clear():
    world = World(lease_seconds=5)
    await world.connect("a")
    await world.say("a", "Hi")
    run = await world.runner.claim("c1", "first")
    await world.conversations.clear("c1")
    world.clock.advance(5_001)
    run = await world.runner.claim("c1", "second")
    await world.runner.give_up(run)
    assert world.gateway.kinds("a") == ["system:conversation_cleared"]
    assert (await world.store.state("c1")).turn is None


async def test_an_answer_is_never_longer_than_it_may_be():
    world = World(max_answer_characters=100)
    world.model.scripts.append(["x" * 90, "y" * 900_000])
    await world.say("a", "Hi")
    await world.work()
    _, content, _ = (await world.log_of())[-1]
    assert len(content) <= 100


async def test_a_store_that_stumbles_once_does_not_end_a_turn():
    world = World()
    await world.connect("a")
    connections, stumbles = world.store.connections, [StoreUnavailable("Throttled.")]

    async def stumbling(conversation_id: str) -> tuple[Connection, ...]:
        if stumbles:
            raise stumbles.pop()
        return await connections(conversation_id)

    world.store.connections = stumbling
    await world.say("a", "Hi")
    await asyncio.gather(world.work(), return_exceptions=True)
    assert (await world.log_of())[-1] == ("assistant", "You said: Hi", "complete")


async def test_a_socket_that_comes_back_after_a_takeover_gets_the_new_text_from_its_beginning():
    world = World(lease_seconds=5)
    world.model.scripts += [["Once upon a time ", asyncio.Event()]]
    await world.connect("a")
    await world.say("a", "Hi")
    turn_id = world.waker.pending[0][1]
    first = asyncio.create_task(world.work())
    await until(lambda: world.gateway.text("a") == "Once upon a time ")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.clock.advance(5_001)
    world.model.scripts += [["Something else ", asyncio.Event()]]
    second = asyncio.create_task(world.runner.serve(await world.runner.claim("c1", "w2"), world.deadline))
    await until(lambda: world.model.waiting == 2)
    await world.send("b", type="system", content="resume", metadata={"turnId": turn_id, "offset": 17, "attempt": 1})
    await until(lambda: "status:streaming" in world.gateway.kinds("b"))
    await world.conversations.cancel("c1")
    await second
    assert world.gateway.text("b") == "Something else "
