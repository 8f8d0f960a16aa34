"""What is charged to whom, whatever comes of an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from copilotedge.errors import LimitExceeded, ModelInterrupted, ModelTimeout, StoreUnavailable
from copilotedge.models import Usage
from copilotedge.requests import ChatMessage, ChatRequest
from copilotedge.transitions import Submission
from tests.fakes import World, until

DAY = 86_400


def spent(world: World) -> int:
    return world.usage._tokens["alice", world.clock.now // 1000 // DAY]


async def ask(world: World, content: str, conversation_id: str = "", seconds: float = 20) -> None:
    request = ChatRequest(messages=[ChatMessage(role="user", content=content)])
    now = world.clock.now
    await world.replies.reply(request, "alice", conversation_id, now, now + int(seconds * 1000))


@pytest.mark.parametrize("conversation_id", ["", "alice/c1"])
async def test_an_answer_is_charged_as_the_model_accounts_for_it(conversation_id):
    world = World(tokens_per_day=1000)
    await ask(world, "Hi", conversation_id)
    assert spent(world) == 15


async def test_a_model_that_accounts_for_nothing_is_estimated():
    world = World(tokens_per_day=1000)
    world.model.usage = Usage()
    await ask(world, "x" * 394, "")
    assert spent(world) == (394 + len("You said: ") + 394) // 4


async def test_a_stateless_answer_that_never_came_is_charged():
    world = World(tokens_per_day=1000)
    world.model.scripts.append(["Once", asyncio.Event()])
    with pytest.raises(ModelTimeout):
        await ask(world, "x" * 396, seconds=0.05)
    assert spent(world) == 100


async def test_an_answer_that_broke_off_is_charged():
    world = World(tokens_per_day=1000)
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    await ask(world, "x" * 396, "alice/c1")
    assert spent(world) == 100


async def test_a_cancelled_answer_is_charged_with_its_stored_instructions():
    world = World(tokens_per_day=1000)
    prompt = {"systemPrompt": "x" * 400}
    await world.conversations.store_settings("alice/c1", lambda stored: replace(stored, context=prompt))
    world.model.scripts.append([asyncio.Event()])
    asked = asyncio.create_task(ask(world, "Hi", "alice/c1"))
    await until(lambda: world.model.waiting == 1)
    await world.conversations.cancel("alice/c1")
    await asyncio.gather(asked, return_exceptions=True)
    assert spent(world) == 100


async def test_a_charge_that_fails_costs_nobody_the_answer():
    world = World(tokens_per_day=1000)

    async def throttled(*_: object) -> None:
        raise StoreUnavailable("Throttled.")

    world.usage.spend = throttled
    await ask(world, "Hi")
    await ask(world, "Hi", "alice/c1")
    assert len(world.model.requests) == 2


async def test_who_asks_for_more_than_is_allowed_gets_what_is():
    world = World(longest_answer_tokens=100, max_answer_tokens=50)
    submission = Submission("m", "Hi", world.clock.now, user="alice", max_tokens=1_000_000)
    taken = await world.conversations.submit("alice/c1", submission)
    await world.conversations._waker.run_turn("alice/c1", taken.turn_id)
    await world.work()
    assert world.model.requests[0].max_tokens == 100


async def test_a_refused_message_says_so_before_anything_else():
    world = World(rate_limit_per_minute=1)
    world.model.scripts.append([asyncio.Event()])
    first = asyncio.create_task(ask(world, "Hi", "alice/c1"))
    await until(lambda: world.model.waiting == 1)
    with pytest.raises(LimitExceeded, match="within a minute"):
        await world.conversations.append("alice/c1", "user", "Hi", 0, "alice")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
