"""Titles that a model gives."""

from __future__ import annotations

import asyncio

import pytest

from copilotedge.errors import ModelInterrupted, ModelOutOfCapacity, StoreUnavailable
from copilotedge.models import Connection, Listing, Marks, Message, Usage
from copilotedge.settings import Settings
from copilotedge.titles import EXCERPT_CHARACTERS, TITLE_CHARACTERS, cleaned, request_for
from copilotedge.transitions import Submission
from tests.fakes import START, World, until

KEY = "alice/c1"
DAY = START // 86_400_000


async def answered(world: World, content: str = "How do magnets work?", message_id: str = "m1") -> None:
    """A question of a conversation, and its answer."""
    submission = Submission(message_id, content, world.clock.now, user="alice")
    taken = await world.conversations.submit(KEY, submission)
    await world.waker.run_turn(KEY, taken.turn_id)
    await world.work()


async def listing(world: World) -> Listing:
    found = await world.store.listing(KEY)
    assert found is not None
    return found


async def titled(*reply: str | Exception, **settings: object) -> World:
    """A conversation with an answer, to which a model was asked to give a title."""
    world = World(automatic_titles=True, **settings)
    await answered(world)
    world.model.scripts.append(reply)
    await world.titles.entitle(KEY)
    return world


async def test_the_first_answer_has_a_title_found_and_no_later_one():
    world = World(automatic_titles=True)
    await answered(world)
    await answered(world, "And compasses?", "m2")
    assert world.waker.to_entitle == [KEY]


async def test_without_the_setting_no_title_is_found():
    world = World()
    await answered(world)
    assert world.waker.to_entitle == []


async def test_an_answer_that_broke_off_is_not_the_first_one():
    world = World(automatic_titles=True)
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    await answered(world)
    assert world.waker.to_entitle == []


async def test_history_that_was_brought_along_is_no_answer_of_ours():
    world = World(automatic_titles=True)
    await world.append(KEY, "user", "Hi", 0, "alice")
    await world.append(KEY, "assistant", "Hello", 0, "alice")
    await answered(world)
    assert world.waker.to_entitle == [KEY]


async def test_a_worker_that_cannot_be_woken_costs_nobody_the_answer():
    world = World(automatic_titles=True)

    async def out_of_reach(_: str) -> None:
        raise StoreUnavailable("The worker cannot be reached.", code="worker_unavailable")

    world.waker.entitle = out_of_reach
    await answered(world)
    assert (await world.log_of(KEY))[1][2] == "complete"
    assert ("wake_failed", "worker_unavailable") in [(event, fields.get("error")) for event, fields in world.log.lines]


async def test_a_title_is_kept_and_told():
    world = World(automatic_titles=True)
    await answered(world)
    await world.sockets.connect(KEY, Connection("s1", "alice"))
    world.model.scripts.append(["How magnets", " work"])
    await world.titles.entitle(KEY)
    assert ((await listing(world)).title, (await listing(world)).titled_by) == ("How magnets work", "model")
    assert world.gateway.frames["s1"] == [
        {"type": "system", "content": "titled", "metadata": {"title": "How magnets work"}}
    ]


async def test_the_model_reads_the_beginning_only():
    world = World()
    for number in range(9):
        await world.append(KEY, "user", f"{number} " * 2000, 0, "alice")
    await world.titles.entitle(KEY)
    (request,) = world.model.requests
    assert request.messages[-1].content.startswith("user: 0 0")
    assert len(request.messages[-1].content) < 4 * (EXCERPT_CHARACTERS + 20)
    assert "4 4" not in request.messages[-1].content


async def test_it_is_charged_to_the_owner():
    world = await titled("A title", tokens_per_day=1000)
    assert world.usage._tokens["alice", DAY] == 15 + 15


async def test_a_call_that_broke_off_is_charged_too():
    world = await titled("Half", ModelInterrupted("Cut."), tokens_per_day=1000)
    assert world.usage._tokens["alice", DAY] > 15
    assert (await listing(world)).titled_by == "words"


async def test_who_has_spent_the_days_tokens_gets_no_title():
    world = await titled("A title", tokens_per_day=15)
    assert len(world.model.requests) == 1
    assert ("title_failed", {"conversation_id": KEY, "error": "token_budget_spent"}) in world.log.lines


async def test_a_model_that_fails_leaves_the_first_words():
    world = await titled(ModelOutOfCapacity("Busy."))
    assert ((await listing(world)).title, (await listing(world)).titled_by) == ("How do magnets work?", "words")
    assert ("title_failed", {"conversation_id": KEY, "error": "model_out_of_capacity"}) in world.log.lines


async def test_a_model_that_says_nothing_leaves_the_first_words():
    world = await titled(' "" \n')
    assert (await listing(world)).titled_by == "words"


async def test_a_model_that_does_not_stop_is_not_listened_to():
    world = await titled(*["title " * 100] * 100)
    assert world.model.closed == 2
    assert len((await listing(world)).title) <= TITLE_CHARACTERS


async def test_it_is_asked_once_however_often_the_worker_is_woken():
    world = await titled("A title")
    await world.titles.entitle(KEY)
    assert len(world.model.requests) == 2


async def test_a_name_that_the_owner_gave_is_not_looked_for():
    world = World()
    await answered(world)
    await world.users.change(KEY, Marks(title="Mine"))
    await world.titles.entitle(KEY)
    assert len(world.model.requests) == 1


@pytest.mark.parametrize("renamed", [Marks(title="Mine"), Marks(title="Mine", pinned=True)])
async def test_a_rename_meanwhile_wins_and_nobody_is_told_otherwise(renamed):
    world, gate = World(), asyncio.Event()
    await answered(world)
    await world.sockets.connect(KEY, Connection("s1", "alice"))
    world.model.scripts.append([gate, "A model's"])
    finding = asyncio.create_task(world.titles.entitle(KEY))
    await until(lambda: world.model.waiting == 1)
    await world.users.change(KEY, renamed)
    gate.set()
    await finding
    assert (await listing(world)).title == "Mine"
    assert [frame["metadata"]["title"] for frame in world.gateway.frames["s1"]] == ["Mine"]


async def test_a_clear_meanwhile_leaves_no_title_of_what_was_cleared():
    world, gate = World(), asyncio.Event()
    await answered(world)
    world.model.scripts.append([gate, "A secret"])
    finding = asyncio.create_task(world.titles.entitle(KEY))
    await until(lambda: world.model.waiting == 1)
    await world.conversations.clear(KEY)
    gate.set()
    await finding
    assert (await listing(world)).title == ""


async def test_a_conversation_that_is_gone_gets_no_title():
    world = World()
    await world.titles.entitle(KEY)
    assert world.model.requests == []


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("How magnets work", "How magnets work"),
        ('  "How magnets work."  ', "How magnets work"),
        ("**Title: How magnets work**\n\nI chose it because ...", "How magnets work"),
        ("# „Magnete“\r\nund mehr", "Magnete"),
        ("<think>Hm.\nWhat?</think>\nMagnets", "Magnets"),
        ("<think>Hm, I need more tok", ""),
        ("«»", ""),
        ("", ""),
        ("word " * 40, "word " * 15 + "word"),
        ("x" * 200, "x" * 80),
        ("磁石\u202eの\0仕組み", "磁石 の 仕組み"),
    ],
)
def test_a_reply_becomes_a_title_of_one_plain_line(reply, title):
    assert cleaned(reply) == title


def test_tools_and_silence_are_left_out_of_the_excerpt():
    messages = [
        Message(1, "system", "Be brief", START, "m1"),
        Message(2, "user", "Hi", START, "m2"),
        Message(3, "assistant", "", START, "m3"),
        Message(4, "tool", "{}", START, "m4"),
    ]
    request = request_for(messages, Settings(model="house"))
    assert (request.model, request.messages[-1].content) == ("house", "user: Hi")


async def test_what_the_model_does_not_account_for_is_estimated():
    world = World(tokens_per_day=100_000)
    await answered(world)
    world.model.usage = Usage()
    await world.titles.entitle(KEY)
    assert world.usage._tokens["alice", DAY] > 15 + 30
