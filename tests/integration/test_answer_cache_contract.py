"""The contract of what keeps answers on the local stack's DynamoDB."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from copilotedge.adapters.dynamodb.cache import DynamoDBAnswerCache
from copilotedge.ports import AnswerCache
from tests.answer_cache_contract import *  # noqa: F403 - the contract's tests
from tests.fakes import FakeClock
from tests.tables import create_table


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(dynamodb: Any, clock: FakeClock) -> Iterator[AnswerCache]:
    table = create_table(dynamodb, f"answers-{uuid.uuid4().hex[:8]}")
    yield DynamoDBAnswerCache(dynamodb, table, clock)
    dynamodb.delete_table(TableName=table)
