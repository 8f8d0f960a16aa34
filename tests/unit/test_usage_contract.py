"""The contract of what counts usage, in memory and on moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.adapters.dynamodb.usage import DynamoDBUsage
from copilotedge.ports import ConversationStore, UsageStore
from tests.fakes import FakeClock
from tests.memory_store import MemoryStore
from tests.memory_usage import MemoryUsage
from tests.mocked_aws import mocked_aws
from tests.tables import create_table
from tests.usage_contract import *  # noqa: F403 - the contract's tests


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with mocked_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        yield client
        client.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, client: Any, clock: FakeClock) -> Iterator[ConversationStore]:
    if request.param == "memory":
        yield MemoryStore(clock)
        return
    yield DynamoDBStore(client, create_table(client), 10, clock)
    client.delete_table(TableName="conversations")


@pytest.fixture
def usage(store: ConversationStore, client: Any, clock: FakeClock) -> UsageStore:
    if isinstance(store, MemoryStore):
        return MemoryUsage(clock, store)
    return DynamoDBUsage(client, "conversations", clock)
