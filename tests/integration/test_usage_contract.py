"""The contract of what counts usage on the local stack's DynamoDB, and a crowd of one user's messages there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.adapters.dynamodb.usage import DynamoDBUsage
from copilotedge.errors import LimitExceeded
from copilotedge.limits import Limits, Quota
from copilotedge.ports import ConversationStore, UsageStore
from copilotedge.settings import Settings
from tests.fakes import FakeClock, FakeMetrics
from tests.tables import create_table
from tests.usage_contract import *  # noqa: F403 - the contract's tests


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table(dynamodb: Any) -> Iterator[str]:
    name = create_table(dynamodb, f"usage-{uuid.uuid4().hex[:8]}")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def store(dynamodb: Any, table: str, clock: FakeClock) -> ConversationStore:
    return DynamoDBStore(dynamodb, table, 10, clock)


@pytest.fixture
def usage(dynamodb: Any, table: str, clock: FakeClock) -> UsageStore:
    return DynamoDBUsage(dynamodb, table, clock)


async def admit(limits: Limits, user: str) -> Quota | LimitExceeded:
    try:
        return await limits.admit_message(user)
    except LimitExceeded as exc:
        return exc


async def test_of_a_hundred_messages_at_once_sixty_are_accepted_and_nobody_else_notices(usage, clock):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(40))
    lambdas = [Limits(usage, Settings(), clock, FakeMetrics()) for _ in range(10)]
    crowd = [admit(lambdas[n % 10], "alice") for n in range(100)]
    others = [admit(lambdas[n], "bob") for n in range(10)]
    answers = await asyncio.gather(*crowd, *others)
    accepted = [answer.remaining for answer in answers[:100] if isinstance(answer, Quota)]
    refused = [
        (answer.code, answer.limit, answer.retry_after) for answer in answers[:100] if isinstance(answer, LimitExceeded)
    ]
    assert sorted(accepted) == list(range(60))
    assert refused == [("rate_limited", 60, 65)] * 40
    assert sorted(answer.remaining for answer in answers[100:]) == list(range(50, 60))


async def test_a_crowd_that_was_refused_leaves_no_trace(usage, clock):
    limits = Limits(usage, Settings(rate_limit_per_minute=5), clock, FakeMetrics())
    await asyncio.gather(*(admit(limits, "alice") for _ in range(20)))
    clock.advance(4_000)
    await asyncio.gather(*(admit(limits, "alice") for _ in range(20)))
    clock.advance(61_000)
    assert (await limits.admit_message("alice")).remaining == 4
