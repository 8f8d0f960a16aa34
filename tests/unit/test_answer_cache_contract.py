"""The contract of what keeps answers, in memory and on moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from copilotedge.adapters.dynamodb.cache import DynamoDBAnswerCache
from copilotedge.ports import AnswerCache
from tests.answer_cache_contract import *  # noqa: F403 - the contract's tests
from tests.fakes import FakeClock
from tests.memory_answer_cache import MemoryAnswerCache
from tests.mocked_aws import mocked_aws
from tests.tables import create_table


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
def cache(request: pytest.FixtureRequest, client: Any, clock: FakeClock) -> Iterator[AnswerCache]:
    if request.param == "memory":
        yield MemoryAnswerCache(clock)
        return
    yield DynamoDBAnswerCache(client, create_table(client), clock)
    client.delete_table(TableName="conversations")
