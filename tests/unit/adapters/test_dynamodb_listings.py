"""Owners' lists on DynamoDB, where the table is in the way or out of reach, and what they cost."""

from __future__ import annotations

from collections import Counter

import pytest
from botocore.stub import Stubber

from copilotedge.adapters.dynamodb import listings
from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Change, Listing, Marks, Message, Snapshot
from copilotedge.transitions import Rules, clear
from copilotedge.transitions.steps import born, next_state, touch
from tests.fakes import START, FakeClock

RULES = Rules()
STATE = touch(born(RULES, START), RULES, START)
ENTRY = {"pk": {"S": "USER#alice"}, "sk": {"S": "CONV#c"}, "created_at": {"N": "1"}, "last_activity": {"N": "2"}}


@pytest.fixture(autouse=True)
def two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "TRIES", 2)


@pytest.fixture
def stubbed(stub: Stubber) -> DynamoDBStore:
    return DynamoDBStore(stub.client, "table", 10, FakeClock())


@pytest.fixture
def store(dynamodb, table) -> DynamoDBStore:
    return DynamoDBStore(dynamodb, table, 10, FakeClock())


async def test_a_mark_waits_for_a_change_of_the_conversation_in_its_way(stub, stubbed):
    stub.add_client_error("update_item", "TransactionConflictException")
    stub.add_response("update_item", {"Attributes": ENTRY})
    assert await stubbed.mark("alice/c", "life", Marks(pinned=True)) == Listing("c", 1, 2)


async def test_a_conversation_that_changes_all_the_time_is_busy(stub, stubbed):
    for _ in range(2):
        stub.add_client_error("update_item", "TransactionConflictException")
    with pytest.raises(StoreUnavailable) as caught:
        await stubbed.mark("alice/c", "life", Marks(pinned=True))
    assert caught.value.code == "conversation_busy"


async def test_a_table_that_refuses_is_unavailable(stub, stubbed):
    stub.add_client_error("update_item", "ProvisionedThroughputExceededException")
    with pytest.raises(StoreUnavailable):
        await stubbed.entitle("alice/c", "epoch", "A title")


async def test_a_condition_that_does_not_hold_is_told_and_not_tried_again(stub, stubbed):
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    assert await stubbed.mark("alice/c", "life", Marks(pinned=True)) is None


async def test_each_change_of_an_entry_is_one_request(store, requests: Counter[str]):
    await store.commit("alice/c", Change(None, STATE, messages=(Message(1, "user", "Hi", START, "m1"),)))
    assert requests.pop("TransactWriteItems") == 1
    await store.mark("alice/c", STATE.life, Marks(title="x", pinned=True, archived=False))
    await store.entitle("alice/c", STATE.epoch, "y")
    assert requests.pop("UpdateItem") == 2
    await store.commit("alice/c", clear(Snapshot(STATE), "me", RULES, START))
    assert requests == {"TransactWriteItems": 1}


async def test_what_leaves_the_list_alone_writes_the_state_alone(store, requests: Counter[str]):
    await store.commit("alice/c", Change(None, STATE))
    requests.clear()
    await store.commit("alice/c", Change(STATE, next_state(STATE)))
    assert requests == {"PutItem": 1}
