"""The store's contract, in memory and on moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.ports import ConversationStore
from tests.fakes import FakeClock
from tests.memory_store import MemoryStore
from tests.mocked_aws import mocked_aws
from tests.store_contract import *  # noqa: F403 - the contract's tests
from tests.store_contract import MAX_STORED
from tests.tables import create_table


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[ConversationStore]:
    if request.param == "memory":
        yield MemoryStore(clock, MAX_STORED)
        return
    with mocked_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        yield DynamoDBStore(client, create_table(client), MAX_STORED, clock)
        client.close()
