"""The store's contract on the local stack's DynamoDB, an implementation of its own (moto's is the other)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.ports import ConversationStore
from tests.fakes import FakeClock
from tests.store_contract import *  # noqa: F403 - the contract's tests
from tests.store_contract import MAX_STORED
from tests.tables import create_table


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(dynamodb: Any, clock: FakeClock) -> Iterator[ConversationStore]:
    table = create_table(dynamodb, f"contract-{uuid.uuid4().hex[:8]}")
    yield DynamoDBStore(dynamodb, table, MAX_STORED, clock)
    dynamodb.delete_table(TableName=table)
