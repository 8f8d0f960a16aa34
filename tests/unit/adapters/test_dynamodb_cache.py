"""Cached answers on DynamoDB where they differ from those in memory: what they cost, how they look, what may fail."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from copilotedge.adapters.dynamodb.cache import DynamoDBAnswerCache
from copilotedge.errors import StoreUnavailable
from copilotedge.models import CachedAnswer
from tests.fakes import START, FakeClock

ANSWER = CachedAnswer("Hi.", "@cf/m", START)


@pytest.fixture
def cache(dynamodb: Any, table: str) -> DynamoDBAnswerCache:
    return DynamoDBAnswerCache(dynamodb, table, FakeClock())


@pytest.fixture
def stubbed(stub: Stubber) -> DynamoDBAnswerCache:
    return DynamoDBAnswerCache(stub.client, "table", FakeClock())


async def test_a_look_costs_a_read_and_an_answer_a_write(cache, requests):
    await cache.find("alice", "k")
    await cache.keep("alice", "k", ANSWER, 60)
    assert requests == {"GetItem": 1, "PutItem": 1}


async def test_forgetting_costs_a_query_and_a_deletion_an_answer(cache, requests):
    for key in ("a", "b"):
        await cache.keep("alice", key, ANSWER, 60)
    await cache.forget("alice")
    assert requests == {"PutItem": 2, "Query": 1, "DeleteItem": 2}


async def test_an_answer_lies_in_its_users_partition_and_has_dynamodbs_ttl(cache, dynamodb):
    await cache.keep("alice", "k", ANSWER, 60)
    key = {"pk": {"S": "USER#alice"}, "sk": {"S": "CACHE#k"}}
    item = dynamodb.get_item(TableName="conversations", Key=key)["Item"]
    assert item["expires_at"] == {"N": str(START // 1000 + 60)}
    assert set(item) == {"pk", "sk", "text", "model", "created_at", "expires_at"}


@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("get_item", lambda cache: cache.find("alice", "k")),
        ("put_item", lambda cache: cache.keep("alice", "k", ANSWER, 60)),
        ("query", lambda cache: cache.forget("alice")),
    ],
)
async def test_a_refusal_is_told_as_an_unavailable_store(stubbed, stub, method, act):
    stub.add_client_error(method, "ProvisionedThroughputExceededException")
    with pytest.raises(StoreUnavailable, match="ProvisionedThroughputExceeded"):
        await act(stubbed)


async def test_no_answer_is_told_as_an_unavailable_store(stubbed, monkeypatch):
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(stubbed._client, "get_item", unreachable)
    with pytest.raises(StoreUnavailable):
        await stubbed.find("alice", "k")
