"""Domain values as items of the table, and back."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from copilotedge.adapters.dynamodb import items
from copilotedge.models import (
    Connection,
    ConversationSettings,
    Message,
    QueuedMessage,
    Receipt,
    Resume,
    Turn,
)
from copilotedge.transitions.steps import Rules, announcement, born
from tests.fakes import START

STATE = born(Rules(), START)
TURN = Turn("t1", "m1", 1, "me", 1, START, cancel=True, replaces=2, model="m", temperature=0.7, max_tokens=9)
QUEUED = QueuedMessage("p", "m1", "t1", "é🎉", START, "e1", "be brief", "m", 1.0, 9)


def stored(item: dict) -> dict:
    """The item as DynamoDB gives it back, with attributes of ours and of a later version around it."""
    there, back = TypeSerializer(), TypeDeserializer()
    full = item | {"pk": "CONV#c", "sk": "X", "expires_at": 7, "of_a_later_version": {"x": Decimal(1)}} | item
    return {name: back.deserialize(there.serialize(value)) for name, value in full.items()}


@pytest.mark.parametrize(
    "state",
    [
        STATE,
        replace(STATE, turn=TURN),
        replace(STATE, turn=Turn("t1", "m1", 1)),
        replace(STATE, turn=announcement("me", 1, Rules(), START)),
        replace(STATE, members={"bob": "read"}, listed_at=START, queued=3),
    ],
)
def test_a_state_comes_back_as_it_was(state):
    assert items.to_state(stored(items.from_state(state))) == state


@pytest.mark.parametrize(
    "message",
    [
        Message(1, "user", "", START, "m1"),
        Message(2, "assistant", "é🎉\0", START, "m2", "t1", 9, 4, "cancelled", "m", 1, "be brief"),
        Message(2, "assistant", "Hi", START, "m2", cost=6_955),
        Message(2, "assistant", "Hi", START, "m2", cost=0),
    ],
)
def test_a_message_comes_back_as_it_was(message):
    assert items.to_message(stored(items.from_message(message))) == message


@pytest.mark.parametrize(
    "queued", [QUEUED, replace(QUEUED, temperature=0.0), replace(QUEUED, temperature=None, model="")]
)
def test_a_queued_message_comes_back_as_it_was(queued):
    assert items.to_queued(stored(items.from_queued(queued))) == queued


def test_settings_come_back_as_they_were():
    settings = ConversationSettings("m", "u", {"é": ["🎉", 0.1, None, True, {"": 10**20}], "n": 1e-200})
    assert items.to_settings(stored(items.from_settings(settings, "life-1"))) == settings


def test_settings_that_say_nothing_come_back_as_they_were():
    assert items.to_settings(stored(items.from_settings(ConversationSettings(), "life-1"))) == ConversationSettings()


def test_a_receipt_comes_back_as_it_was():
    receipt = Receipt("m1", "t1", "print", "e1")
    assert items.to_receipt(stored(items.from_receipt(receipt))) == receipt


@pytest.mark.parametrize(
    "connection",
    [
        Connection("a"),
        Connection("a", "alice", START, Resume("n", "t1", 7)),
        Connection("a", resume=Resume("n", "", 0)),
    ],
)
def test_a_connection_comes_back_as_it_was(connection):
    item = items.from_connection(connection)
    if connection.resume and not connection.resume.turn_id:
        assert item["resume"]["turn_id"] == ""
    assert items.to_connection(stored(item)) == connection


def test_what_says_nothing_is_not_stored():
    assert set(items.from_message(Message(1, "user", "Hi", START, "m1"))) == {
        "seq",
        "role",
        "content",
        "timestamp",
        "message_id",
        "status",
    }


def test_a_state_is_small():
    item = items.from_state(replace(STATE, turn=TURN, members={"x" * 128: "read"}))
    assert sum(len(name) + len(str(value)) for name, value in item.items()) < 1_024


def test_keys_sort_from_state_down_to_messages():
    keys = [
        items.STATE,
        f"{items.CONNECTION}a",
        items.SETTINGS,
        items.queue_key(replace(QUEUED, place="2")),
        items.queue_key(replace(QUEUED, place="1")),
        items.message_key("2-b", 1),
        items.message_key("1-a", 10),
        items.message_key("1-a", 9),
    ]
    assert keys == sorted(keys, reverse=True)
    assert all(not items.MESSAGE <= key <= items.STATE for key in (items.DRAFT + "a", items.RECEIPT + "a"))


def test_each_conversation_has_a_partition():
    assert items.partition("a") != items.partition("b")
