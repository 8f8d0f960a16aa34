"""Chats without a conversation: what they cost, and answers that are given again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from copilotedge.answering import Answering, Piece, Reply, Words
from copilotedge.errors import LimitExceeded, ModelInterrupted, ModelTimeout
from copilotedge.models import PromptMessage, ToolCallDelta, Usage
from copilotedge.questions import Question
from tests.fakes import World, until

COLD = Question((PromptMessage("user", "Hello"),), temperature=0.2)
COST = 10 * 282 + 5 * 827
"""Of ``FakeModel``'s usage, at the default model's price."""


def cached(**settings: Any) -> World:
    return World(**{"response_cache_seconds": 60, "rate_limit_per_minute": 0} | settings)


async def reply(world: World, question: Question = COLD, user: str = "alice", conversation_id: str = "") -> Reply:
    now = world.clock.now
    answer = await world.replies.reply(question, user, conversation_id, now, now + 20_000)
    assert isinstance(answer, Reply)
    return answer


async def open_(world: World, question: Question = COLD) -> Answering:
    return await world.replies.open(question, "alice", "", world.clock.now, world.clock.now + 20_000)


async def heard(answering: Answering) -> list[Piece]:
    return [piece async for piece in answering]


# --- Costs -------------------------------------------------------------------------------------------------------


async def test_an_answer_tells_what_it_cost():
    answer = await reply(World())
    assert (answer.usage, answer.cost, answer.cache) == (Usage(10, 5), COST, "")


async def test_a_model_without_a_price_costs_nobody_knows_what():
    assert (await reply(World(), replace(COLD, model="@cf/new"))).cost is None


async def test_an_answer_without_an_account_costs_what_is_estimated():
    world = World()
    world.model.usage = Usage()
    answer = await reply(world, replace(COLD, messages=(PromptMessage("user", "x" * 400),)))
    assert (answer.usage, answer.cost) == (Usage(100, 102), 100 * 282 + 102 * 827)


async def test_the_end_is_logged_with_its_tokens_and_cost():
    world = World()
    answer = await reply(world)
    fields = {"turn_id": answer.turn_id, "verdict": "answered", "tokens": 15, "cost_usd": COST / 10**9}
    assert world.log.lines == [("stateless_chat_ended", fields)]


async def test_each_answer_is_counted_once():
    world = World()
    await reply(world)
    model = world.settings.model
    assert world.metrics.counts == [
        {"ActiveUsers": 1},
        {"PromptTokens": 10, "CompletionTokens": 5, "CostUsd": COST / 10**9, "model": model},
        {"Turns": 1, "TurnDuration": 0, "TimeToModelCall": 0, "TimeToFirstToken": 0, "verdict": "answered"},
    ]


@pytest.mark.parametrize(
    ("script", "code"),
    [([ModelInterrupted("Cut.")], "model_interrupted"), (["Once", asyncio.Event()], "model_timeout")],
)
async def test_an_answer_that_never_came_is_counted_as_failed(script, code):
    world = World()
    world.model.scripts.append(script)
    with pytest.raises((ModelInterrupted, ModelTimeout)):
        await world.replies.reply(COLD, "alice", "", world.clock.now, world.clock.now + 50)
    counted = world.metrics.counts[-1]
    assert (counted["Turns"], counted["verdict"]) == (1, "failed")
    assert (counted["ModelFailures"], counted["code"]) == (1, code)


# --- Answers that are given again --------------------------------------------------------------------------------


async def test_the_same_question_is_answered_again_without_a_model():
    world = cached()
    first, second = await reply(world), await reply(world)
    assert (first.cache, second.cache) == ("MISS", "HIT")
    assert (second.text, second.model) == (first.text, first.model)
    assert len(world.model.requests) == 1


async def test_an_answer_that_is_given_again_takes_no_tokens():
    world = cached(tokens_per_day=1000)
    await reply(world)
    again = await reply(world)
    assert (again.usage, again.cost) == (Usage(), 0)
    assert world.metrics.sum("PromptTokens") == 10
    assert sum(world.usage._tokens.values()) == 15


async def test_each_answer_has_an_id_of_its_own():
    world = cached()
    assert (await reply(world)).turn_id != (await reply(world)).turn_id


async def test_an_answer_that_is_given_again_is_heard_whole():
    world = cached()
    await reply(world)
    answering = await open_(world)
    assert answering.cache == "HIT"
    assert await heard(answering) == [Words("You said: Hello", 0)]
    end = await answering.end()
    assert isinstance(end, Reply)
    assert (end.text, end.cache, end.turn_id) == ("You said: Hello", "HIT", answering.turn_id)


async def test_a_streamed_answer_can_be_given_again():
    world = cached()
    answering = await open_(world)
    assert answering.cache == "MISS"
    await answering.end()
    assert (await reply(world)).cache == "HIT"


async def test_an_answer_is_given_again_for_as_long_as_the_setting_says():
    world = cached()
    await reply(world)
    world.clock.advance(60_000)
    assert (await reply(world)).cache == "MISS"


async def test_another_users_answer_is_not_given():
    world = cached()
    await reply(world, user="alice")
    assert (await reply(world, user="bob")).cache == "MISS"


async def test_what_is_answered_again_counts_as_a_message():
    world = cached(rate_limit_per_minute=2)
    await reply(world)
    assert (await reply(world)).quota.remaining == 0
    with pytest.raises(LimitExceeded):
        await reply(world)


async def test_a_conversations_answer_is_never_given_again():
    world = cached()
    for conversation in ("alice/a", "alice/b"):
        assert (await reply(world, conversation_id=conversation)).cache == ""
    assert len(world.model.requests) == 2
    assert world.answers.requests == 0


@pytest.mark.parametrize(
    "question",
    [
        replace(COLD, temperature=0.9),
        replace(COLD, temperature=None),
        replace(COLD, options='{"tools":[{"type":"function","function":{"name":"f"}}]}'),
    ],
)
async def test_what_may_vary_is_answered_anew_and_no_cache_is_asked(question):
    world = cached()
    assert [(await reply(world, question)).cache for _ in range(2)] == ["", ""]
    assert world.answers.requests == 0


async def test_without_the_setting_no_cache_is_asked():
    world = World()
    assert (await reply(world)).cache == ""
    assert world.answers.requests == 0


async def test_an_answer_that_was_cut_off_is_not_given_again():
    world = cached(max_answer_characters=5)
    assert (await reply(world)).finish_reason == "length"
    assert (await reply(world)).cache == "MISS"


async def test_an_answer_that_broke_off_is_not_given_again():
    world = cached()
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    with pytest.raises(ModelInterrupted):
        await reply(world)
    assert (await reply(world)).cache == "MISS"


@pytest.mark.parametrize("script", [[], [ToolCallDelta(0, "{}", "call-1", "f")]])
async def test_an_answer_without_words_is_not_given_again(script):
    world = cached()
    world.model.scripts.append(script)
    await reply(world)
    assert (await reply(world)).cache == "MISS"


async def test_who_hangs_up_leaves_no_half_answer_behind():
    world = cached()
    world.model.scripts.append(["Once", asyncio.Event()])
    answering = await open_(world)
    await until(lambda: world.model.waiting == 1)
    await answering.close()
    assert (await reply(world)).cache == "MISS"
    assert [count["verdict"] for count in world.metrics.counts if "verdict" in count] == ["failed", "answered"]
    assert world.metrics.values("ModelFailures") == []
