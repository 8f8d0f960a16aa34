"""Waits are counted as a turn has them: one after the other, and once for what runs side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from bench.waits import Waits, WatchedModel, is_of_dynamodb
from copilotedge import runtime
from copilotedge.models import ModelEvent, ModelRequest, PromptMessage, TextDelta
from copilotedge.runtime import now

REQUEST = ModelRequest("m", (PromptMessage("user", "Hi"),), 100)


class Client:
    """Of any service of AWS; it answers at once."""

    def __init__(self, service: str) -> None:
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name=service))

    def ask(self) -> str:
        return "answer"


class SayingModel:
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        yield TextDelta("Hi")


@pytest.fixture
def waits() -> Waits:
    return Waits()


def turn(waits: Waits, act: Callable[[Any], Any]) -> int | None:
    """What the waits are when the model is asked by this turn, which is given a way to ask the table."""
    table = Client("dynamodb")
    with waits.installed():
        asyncio.run(act(lambda: asyncio.to_thread(table.ask)))
    return waits.before_model


async def ask(waits: Waits) -> list[ModelEvent]:
    return [event async for event in WatchedModel(SayingModel(), waits).stream(REQUEST)]


def test_one_after_the_other_is_waited_for_twice(waits):
    async def act(to_table):
        await to_table()
        await to_table()
        assert await ask(waits) == [TextDelta("Hi")]
        await to_table()

    assert turn(waits, act) == 2
    assert waits.count == 3


def test_side_by_side_is_waited_for_once(waits):
    async def act(to_table):
        await asyncio.gather(to_table(), to_table())
        await ask(waits)

    assert turn(waits, act) == 1


def test_what_is_still_under_way_is_not_waited_for(waits):
    async def act(to_table):
        await to_table()
        late = asyncio.create_task(to_table())
        await asyncio.sleep(0)
        await ask(waits)
        await late

    assert turn(waits, act) == 1


def test_only_the_table_counts(waits):
    async def act(_):
        assert await asyncio.to_thread(Client("secretsmanager").ask) == "answer"
        assert await asyncio.to_thread(lambda: "answer") == "answer"
        await ask(waits)

    assert turn(waits, act) == 0


def test_only_the_first_question_to_the_model_counts(waits):
    async def act(to_table):
        await ask(waits)
        await to_table()
        await ask(waits)

    assert turn(waits, act) == 0
    waits.reset()
    assert (waits.count, waits.before_model) == (0, None)


def test_no_time_passes_while_the_table_is_waited_for(waits):
    class SlowTable(Client):
        def ask(self) -> str:
            began = time.time_ns()
            seen.append(now())
            while time.time_ns() - began < 50_000_000:
                pass
            seen.append(now())
            return "answer"

    async def act(_):
        await asyncio.to_thread(SlowTable("dynamodb").ask)
        assert waits.time_ns() < time.time_ns() - 40_000_000

    seen: list[int] = []
    turn(waits, act)
    assert seen[0] == seen[1]


def test_afterwards_nobody_listens(waits):
    before = asyncio.to_thread
    with waits.installed():
        assert asyncio.to_thread is not before
        assert runtime.time is waits
    assert asyncio.to_thread is before
    assert runtime.time is time


def test_it_need_not_be_the_clock(waits):
    with waits.installed(as_clock=False):
        assert runtime.time is time


def test_a_real_client_is_known_by_its_service():
    assert is_of_dynamodb(boto3.client("dynamodb", region_name="us-east-1").query)
    assert not is_of_dynamodb(boto3.client("lambda", region_name="us-east-1").invoke)
