"""The usage counters on DynamoDB where they differ from those in memory: what a message costs, and what may fail."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from copilotedge.adapters.dynamodb.usage import DynamoDBUsage
from copilotedge.errors import StoreUnavailable
from copilotedge.limits import Limits
from copilotedge.settings import Settings
from tests.fakes import START, FakeClock, FakeMetrics

SLOT, DAY = START // 5_000, START // 86_400_000


@pytest.fixture
def usage(dynamodb: Any, table: str) -> DynamoDBUsage:
    return DynamoDBUsage(dynamodb, table, FakeClock())


@pytest.fixture
def stubbed(stub: Stubber) -> DynamoDBUsage:
    return DynamoDBUsage(stub.client, "table", FakeClock())


async def take(usage: DynamoDBUsage, slot: int = SLOT) -> dict[int, int]:
    return dict((await usage.take("alice", slot, slot - 12, slot // 17_280)).messages)


def stored(dynamodb: Any) -> dict[str, Any]:
    key = {"pk": {"S": "USER#alice"}, "sk": {"S": "USAGE"}}
    return dynamodb.get_item(TableName="conversations", Key=key)["Item"]


# --- Requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens_per_day", [0, 1000])
async def test_a_message_costs_one_write(usage, requests, tokens_per_day):
    settings = Settings(tokens_per_day=tokens_per_day, rate_limit_per_minute=100)
    limits = Limits(usage, settings, FakeClock(), FakeMetrics())
    for _ in range(50):
        await limits.admit_message("alice")
    assert requests == {"UpdateItem": 50}


async def test_a_limit_of_all_tokens_costs_one_read(usage, requests):
    limits = Limits(usage, Settings(total_tokens_per_day=1000), FakeClock(), FakeMetrics())
    for _ in range(50):
        await limits.admit_message("alice")
    assert requests == {"UpdateItem": 50, "GetItem": 1}


async def test_an_answer_costs_a_write_a_limit(usage, requests):
    settings = Settings(tokens_per_day=1, total_tokens_per_day=1)
    await Limits(usage, settings, FakeClock(), FakeMetrics()).charge("alice", 5)
    assert requests == {"UpdateItem": 2}


async def test_a_socket_costs_a_write_and_two_counts(usage, requests):
    await Limits(usage, Settings(), FakeClock(), FakeMetrics()).admit_socket("alice", "alice/c", "a")
    assert requests == {"PutItem": 1, "Query": 2}


# --- The item ----------------------------------------------------------------------------------------------------


async def test_a_busy_user_s_item_has_no_old_counters(dynamodb, usage, requests):
    slots = range(SLOT - 60, SLOT + 1)
    for slot in slots:
        await take(usage, slot)
    assert len([name for name in stored(dynamodb) if name[0] == "s"]) < 20
    assert requests["UpdateItem"] == len(slots)


async def test_the_item_of_a_user_who_comes_now_and_then_stays_small(dynamodb, usage, requests):
    slots = range(SLOT - 4_000, SLOT + 1, 100)
    for slot in slots:
        await take(usage, slot)
        assert len(stored(dynamodb)) <= 22
    assert requests["UpdateItem"] <= len(slots) * 1.1


async def test_the_item_outlives_its_day_by_an_hour(dynamodb, usage):
    await usage.spend("alice", DAY, 1)
    assert int(stored(dynamodb)["expires_at"]["N"]) == (DAY + 1) * 86_400 + 3600


async def test_yesterday_s_tokens_are_forgotten(dynamodb, usage):
    await usage.spend("alice", DAY, 1)
    await usage.spend("alice", DAY + 1, 1)
    assert f"d{DAY}" not in stored(dynamodb)


async def test_a_user_s_socket_is_an_item_that_expires(dynamodb, usage):
    await usage.open_socket("alice", "a", 0)
    key = {"pk": {"S": "USER#alice"}, "sk": {"S": "SOCKET#a"}}
    assert dynamodb.get_item(TableName="conversations", Key=key)["Item"] == key | {"expires_at": {"N": "1800007800"}}


# --- Failures ----------------------------------------------------------------------------------------------------


async def test_a_place_that_was_given_back_already_is_not_given_back_again(stub, stubbed):
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    await stubbed.give_back("alice", SLOT, DAY)


async def test_a_repeated_request_gives_one_place_back(dynamodb, usage):
    for _ in range(3):
        await take(usage)

    def repeat(params: dict[str, Any], **_: Any) -> None:
        dynamodb.meta.events.unregister("provide-client-params.dynamodb.UpdateItem", repeat)
        dynamodb.update_item(**params)

    dynamodb.meta.events.register("provide-client-params.dynamodb.UpdateItem", repeat)
    await usage.give_back("alice", SLOT, DAY)
    assert await take(usage) == {SLOT: 3}


async def test_a_place_whose_giving_back_fails_otherwise_is_not_passed_over(stub, stubbed):
    stub.add_client_error("update_item", "TransactionConflictException")
    with pytest.raises(StoreUnavailable):
        await stubbed.give_back("alice", SLOT, DAY)


async def test_a_message_counts_when_what_is_old_cannot_be_removed(stub, stubbed):
    old = {f"s{SLOT - 1000 - n}": {"N": "1"} for n in range(40)}
    stub.add_response("update_item", {"Attributes": old | {f"s{SLOT}": {"N": "1"}}})
    stub.add_client_error("update_item", "InternalServerError")
    assert await take(stubbed) == {SLOT: 1}


async def test_a_refused_request_makes_the_store_unavailable(stub, stubbed):
    stub.add_client_error("update_item", "ProvisionedThroughputExceededException")
    with pytest.raises(StoreUnavailable):
        await take(stubbed)


async def test_a_store_that_is_not_there_is_unavailable(usage, monkeypatch):
    def fail(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="somewhere")

    monkeypatch.setattr(usage._client, "query", fail)
    with pytest.raises(StoreUnavailable):
        await usage.sockets_of_user("alice")


async def test_sockets_are_counted_over_all_pages(stub, stubbed):
    last = {"pk": {"S": "USER#alice"}, "sk": {"S": "SOCKET#a"}}
    stub.add_response("query", {"Count": 2, "LastEvaluatedKey": last})
    stub.add_response("query", {"Count": 1})
    assert await stubbed.sockets_of_user("alice") == 3
