"""How often a turn waits for the table before its model is asked: what runs side by side is waited for once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.adapters.dynamodb.usage import DynamoDBUsage
from copilotedge.models import Connection, ModelEvent, ModelRequest, PromptMessage
from copilotedge.questions import Question
from tests.fakes import FakeModel, World

A_WHILE = 50
"""Turns of the event loop in which whatever is going to run side by side has begun."""


class Waits:
    """Counts the times that a request began while none was under way."""

    def __init__(self, send: Callable[..., Any]) -> None:
        self.count = 0
        self.under_way = 0
        self._send = send

    async def to_thread(self, request: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.count += not self.under_way
        self.under_way += 1
        try:
            for _ in range(A_WHILE):
                await asyncio.sleep(0)
            return await self._send(request, *arguments, **named)
        finally:
            self.under_way -= 1


class WatchedModel(FakeModel):
    """Notes how many waits were over when it was asked."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.asked_after: list[int] = []
        self._waits = waits

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.asked_after.append(self._waits.count - bool(self._waits.under_way))
        async for event in super().stream(request):
            yield event


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    counted = Waits(asyncio.to_thread)
    monkeypatch.setattr(asyncio, "to_thread", counted.to_thread)
    return counted


@pytest.fixture
async def world(dynamodb: Any, table: str, waits: Waits) -> World:
    """One exchange is over; the second one is counted."""
    it = World(
        store=lambda clock: DynamoDBStore(dynamodb, table, 1000, clock),
        usage=lambda clock: DynamoDBUsage(dynamodb, table, clock),
    )
    await ask(it)
    it.runner._model = it.model = WatchedModel(waits)
    waits.count = 0
    return it


async def ask(world: World) -> None:
    question = Question((PromptMessage("user", "Hi"),))
    await world.replies.reply(question, "alice", "alice/c1", world.clock.now, world.deadline)


async def test_over_rest_it_waits_twice(world: World):
    await ask(world)
    assert world.model.asked_after == [2]


async def test_over_a_stream_it_waits_twice(world: World):
    question = Question((PromptMessage("user", "Hi"),))
    answering = await world.replies.open(question, "alice", "alice/c1", world.clock.now, world.deadline)
    await answering.end()
    assert world.model.asked_after == [2]


async def test_over_a_socket_it_waits_twice_in_both_functions_together(world: World, waits: Waits):
    socket = Connection("a", "alice")
    await world.store.connect("alice/c1", socket)
    waits.count = 0
    await world.sockets.receive(
        "alice/c1", socket, '{"type": "chat", "role": "user", "content": "Hi"}', world.clock.now
    )
    await world.work()
    assert world.model.asked_after == [2]
