"""A change as the writes of one transaction."""

from __future__ import annotations

from typing import Any

from copilotedge.adapters.dynamodb import items
from copilotedge.adapters.dynamodb.attributes import key, plain
from copilotedge.addresses import address_of_key
from copilotedge.listings import Relisting, relisting
from copilotedge.models import Change, Receipt


def writes_of(table: str, conversation_id: str, change: Change, now: int) -> list[dict[str, Any]]:
    """The change as transaction items: ``STATE`` first, the receipt (if any) second. ``now`` is in seconds."""
    writes = [_swap(table, conversation_id, change, now)]
    epoch = change.state.epoch
    if change.receipt is not None:
        writes.append(_put_receipt(table, conversation_id, change.receipt, now))
    expires = {"expires_at": now + items.MESSAGE_DAYS * 86_400}
    for message in change.messages:
        entry = items.from_message(message) | {"epoch": epoch} | expires
        writes.append(_put(table, key(conversation_id, items.message_key(epoch, message.seq)), entry))
    for queued in change.queued:
        entry = items.from_queued(queued) | expires
        writes.append(_put(table, key(conversation_id, items.queue_key(queued)), entry))
    gone = [items.queue_key(queued) for queued in change.dequeued]
    gone += [items.message_key(epoch, seq) for seq in change.removed_messages]
    writes += [_remove(table, key(conversation_id, sk)) for sk in gone]
    if change.settings is not None:
        stored = items.from_settings(change.settings, change.state.life)
        writes.append(_put(table, key(conversation_id, items.SETTINGS), stored))
    writes += _listing(table, conversation_id, change)
    return writes


def _listing(table: str, conversation_id: str, change: Change) -> list[dict[str, Any]]:
    """The conversation's entry in its owner's list, if there is something new or it is to go."""
    place = items.listing_key(address_of_key(conversation_id))
    if change.removes_state:
        return [_remove(table, place)]
    news = relisting(change)
    if news is None:
        return []
    entry = items.from_listing(change.state)
    if news.is_born:
        return [_put(table, place, entry | ({"first_words": news.first_words} if news.first_words else {}))]
    return [_update_listing(table, place, entry, news)]


def _update_listing(table: str, place: dict[str, Any], entry: dict[str, Any], news: Relisting) -> dict[str, Any]:
    """What the owner has set stays."""
    changes = "SET " + ", ".join(f"{name} = :{name}" for name in entry)
    values = {f":{name}": value for name, value in entry.items()}
    if news.first_words:
        changes += ", first_words = if_not_exists(first_words, :first_words)"
        values[":first_words"] = news.first_words
    if news.is_emptied:
        changes += " REMOVE first_words, model_title"
    return {
        "Update": {
            "TableName": table,
            "Key": plain(place),
            "UpdateExpression": changes,
            "ExpressionAttributeValues": plain(values),
        }
    }


def _swap(table: str, conversation_id: str, change: Change, now: int) -> dict[str, Any]:
    if change.expected is None:
        condition, values = "attribute_not_exists(pk) OR expires_at <= :now", dict[str, Any]({":now": now})
    else:
        condition, values = "nonce = :nonce AND expires_at > :now", {":nonce": change.expected.nonce, ":now": now}
    head = key(conversation_id, items.STATE)
    write = _remove(table, head) if change.removes_state else _put(table, head, items.from_state(change.state))
    (inner,) = write.values()
    inner |= {
        "ConditionExpression": condition,
        "ExpressionAttributeValues": plain(values),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return write


def _put_receipt(table: str, conversation_id: str, receipt: Receipt, now: int) -> dict[str, Any]:
    expires = {"expires_at": now + items.MESSAGE_DAYS * 86_400}
    place = key(conversation_id, f"{items.RECEIPT}{receipt.message_id}")
    write = _put(table, place, items.from_receipt(receipt) | expires)
    write["Put"] |= {
        "ConditionExpression": "attribute_not_exists(pk) OR epoch <> :epoch",
        "ExpressionAttributeValues": plain({":epoch": receipt.epoch}),
    }
    return write


def _put(table: str, key: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": plain(key | item)}}


def _remove(table: str, key: dict[str, Any]) -> dict[str, Any]:
    return {"Delete": {"TableName": table, "Key": plain(key)}}
