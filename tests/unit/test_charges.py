"""What is charged to whom, whatever comes of an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from copilotedge.errors import LimitExceeded, ModelInterrupted, ModelTimeout, ModelUnavailable, StoreUnavailable
from copilotedge.models import ModelRequest, PromptMessage, Usage
from copilotedge.openai.chat_requests import ChatMessage, ChatRequest
from copilotedge.questions import Question
from copilotedge.transitions import Submission
from tests.fakes import World, until

DAY = 86_400


def spent(world: World) -> int:
    return world.usage._tokens["alice", world.clock.now // 1000 // DAY]


async def ask(world: World, content: str, conversation_id: str = "", seconds: float = 20) -> None:
    request = ChatRequest(messages=[ChatMessage(role="user", content=content)])
    now = world.clock.now
    await world.replies.reply(request.question, "alice", conversation_id, now, now + int(seconds * 1000))


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
        await ask(world, "x" * 396, seconds=0.3)
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
        await world.append("alice/c1", "user", "Hi", 0, "alice")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


# --- What it costs -----------------------------------------------------------------------------------------------

COST = 10 * 282 + 5 * 827
"""Of ``FakeModel``'s usage, at the default model's price."""


def ended(world: World) -> list[dict[str, Any]]:
    """The fields of each turn's last line in the log."""
    return [fields for event, fields in world.log.lines if event == "turn_ended"]


async def test_an_answer_keeps_its_cost_and_the_conversation_their_sum():
    world = World()
    await ask(world, "One", "alice/c1")
    await ask(world, "Two", "alice/c1")
    page = await world.conversations.page("alice/c1", 10)
    assert [message.cost for message in page.messages] == [None, COST, None, COST]
    assert page.state.total_cost == 2 * COST


async def test_the_reply_of_a_conversation_tells_its_cost():
    world = World()
    question = Question((PromptMessage("user", "Hi"),))
    now = world.clock.now
    answer = await world.replies.reply(question, "alice", "alice/c1", now, now + 20_000, "m-1")
    again = await world.replies.reply(question, "alice", "alice/c1", now, now + 20_000, "m-1")
    assert (answer.cost, again.cost) == (COST, COST)


async def test_a_model_without_a_price_leaves_the_cost_open():
    world = World(model="@cf/new")
    await ask(world, "Hi", "alice/c1")
    page = await world.conversations.page("alice/c1", 10)
    assert (page.messages[1].cost, page.state.total_cost) == (None, 0)
    assert ended(world)[0]["cost_usd"] is None


async def test_prices_of_ones_own_count():
    world = World(model="mine", price_table='{"mine": {"input": 1, "output": 0}}')
    await ask(world, "Hi", "alice/c1")
    assert (await world.conversations.page("alice/c1", 10)).state.total_cost == 10_000


async def test_an_answer_that_broke_off_costs_what_is_estimated():
    world = World()
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    await ask(world, "x" * 396, "alice/c1")
    page = await world.conversations.page("alice/c1", 10)
    assert (page.messages[1].status, page.messages[1].cost) == ("incomplete", 99 * 282 + 1 * 827)


async def test_the_end_of_a_turn_is_logged_with_its_tokens_and_cost():
    world = World()
    await ask(world, "Hi", "alice/c1")
    (fields,) = ended(world)
    assert (fields["verdict"], fields["tokens"], fields["cost_usd"]) == ("answered", 15, COST / 10**9)


async def test_each_turn_is_counted_once_and_names_nobody():
    world = World()
    await ask(world, "Hi", "alice/c1")
    times = {"TurnDuration": 0, "TimeToModelCall": 0, "TimeToFirstToken": 0}
    assert world.metrics.counts == [
        {"ActiveUsers": 1},
        {"PromptTokens": 10, "CompletionTokens": 5, "CostUsd": COST / 10**9, "model": world.settings.model},
        {"Turns": 1, **times, "NewConversations": 1, "verdict": "answered"},
    ]


async def test_models_that_clients_make_up_are_counted_together():
    world = World()
    for name in ("@cf/new", "x" * 100):
        request = ModelRequest(name, (PromptMessage("user", "Hi"),), 10)
        await world.charges.charge("alice", request, 0, Usage(1, 1))
    assert [count["model"] for count in world.metrics.counts] == ["other", "other"]
    assert world.metrics.sum("CostUsd") == 0
    assert world.metrics.sum("PromptTokens") == 2


async def test_the_model_that_answered_has_the_price_and_not_the_one_that_was_asked():
    request = ModelRequest("@cf/new", (PromptMessage("user", "Hi"),), 10)
    charge = await World().charges.charge("alice", request, 0, Usage(1, 0), "@cf/openai/gpt-oss-20b")
    assert charge.cost == 200


async def test_what_was_asked_in_vain_is_counted_without_an_answer():
    world = World()
    world.model.scripts.append([ModelUnavailable("Down.")])
    with pytest.raises(ModelUnavailable):
        await ask(world, "x" * 396, "alice/c1")
    assert world.metrics.sum("PromptTokens") == 99
    counted = world.metrics.counts[-1]
    assert (counted["Turns"], counted["verdict"]) == (1, "failed")
    assert (counted["ModelFailures"], counted["code"]) == (1, "model_unavailable")
