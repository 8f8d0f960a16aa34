"""A holder that no one retries dies, and a client comes while its lease still runs, once: the turn is answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from copilotedge.models import Connection
from copilotedge.openai.chat_requests import ChatMessage, ChatRequest
from copilotedge.settings import Settings
from copilotedge.transitions import Submission
from tests.simulation.lambdas import Cloud
from tests.simulation.loop import run_virtual
from tests.simulation.points import Dice, Faults

LEASE_SECONDS = 3.0
SILENCE_SECONDS = 40.0


async def write(cloud: Cloud) -> None:
    submission = Submission("m2", "And you?", cloud.clock(), client_id=True)
    await cloud.core("ws").conversations.submit("c1", submission)


async def come_back(cloud: Cloud) -> None:
    await cloud.core("ws").conversations.listen("c1", Connection("a"), offset=0)


async def cancel(cloud: Cloud) -> None:
    await cloud.core("ws").conversations.cancel("c1")


async def clear(cloud: Cloud) -> None:
    await cloud.core("http").conversations.clear("c1")


@pytest.mark.parametrize(
    ("come", "log"),
    [
        (write, [("user", "complete"), ("assistant", "complete")] * 2),
        (come_back, [("user", "complete"), ("assistant", "complete")]),
        (cancel, [("user", "cancelled")]),
        (clear, []),
    ],
)
def test_the_turn_of_a_dead_caller_is_ended_though_nobody_looks_again(
    come: Callable[[Cloud], Awaitable[None]], log: list[tuple[str, str]]
):
    assert run_virtual(_die_and_come(come)) == log


async def _die_and_come(come: Callable[[Cloud], Awaitable[None]]) -> list[tuple[str, str]]:
    cloud = Cloud(Dice(random.Random(1), Faults()), Settings(lease_seconds=LEASE_SECONDS))
    caller = cloud.core("http")
    request = ChatRequest.model_construct(
        messages=[ChatMessage.model_construct(role="user", content="Hi")], conversation_id="c1"
    )
    reply = asyncio.ensure_future(
        caller.replies.reply(request.question, "", "c1", cloud.clock(), cloud.clock() + 25_000, "m1")
    )
    await asyncio.sleep(0.3)
    assert len(cloud.model_calls) == 1
    caller.process.dead = True
    await asyncio.gather(reply, return_exceptions=True)
    await come(cloud)
    await asyncio.sleep(SILENCE_SECONDS)
    state = await cloud.store.state("c1")
    assert state is not None
    assert state.turn is None
    messages = await cloud.store.messages("c1", state.epoch, after=0, before=99, limit=99, newest=False)
    return [(message.role, message.status) for message in messages]
