"""What the items of a conversation mean together."""

from __future__ import annotations

from typing import Any

from copilotedge.adapters.dynamodb import items
from copilotedge.models import Connection, ConversationSettings, Snapshot, State


def is_whole(found: list[dict[str, Any]], messages: int) -> bool:
    """Whether the pages so far hold the sockets, the queue, and as much of the log as is asked for, or all there is."""
    state = next((item for item in found if item["sk"] == items.STATE), None)
    if state is None:
        return True
    if found[-1]["sk"].startswith(items.CONNECTION):
        return False
    current = [item["sk"] for item in found if item.get("epoch") == state["epoch"]]
    queued = sum(sk.startswith(items.QUEUE) for sk in current)
    log = sum(sk.startswith(items.MESSAGE) for sk in current)
    return bool(queued >= state["queued"] and log >= min(messages, state["message_count"]))


def to_snapshot(found: list[dict[str, Any]], messages: int, now: int) -> Snapshot:
    by_key = {item["sk"]: item for item in found}
    state = live(by_key[items.STATE], now) if items.STATE in by_key else None
    if state is None:
        return Snapshot()
    stored = by_key.get(items.SETTINGS)
    current = [item for item in reversed(found) if item.get("epoch") == state.epoch]
    log = [items.to_message(item) for item in current if item["sk"].startswith(items.MESSAGE)]
    return Snapshot(
        state=state,
        settings=items.to_settings(stored) if stored and stored.get("life") == state.life else ConversationSettings(),
        queue=tuple(items.to_queued(item) for item in current if item["sk"].startswith(items.QUEUE)),
        messages=tuple(log[-messages:] if messages else ()),
        connections=open_connections(found, now),
    )


def open_connections(found: list[dict[str, Any]], now: int) -> tuple[Connection, ...]:
    """The sockets among these items that can still be open."""
    listed = [item for item in found if item["sk"].startswith(items.CONNECTION)]
    return tuple(items.to_connection(item) for item in listed if int(item["expires_at"]) * 1000 > now)


def live(item: dict[str, Any], now: int) -> State | None:
    state = items.to_state(item)
    return None if state.is_expired(now) else state


def is_dead(item: dict[str, Any], state: dict[str, Any] | None, max_stored: int) -> bool:
    if item["sk"] == items.STATE:
        return False
    if state is None:
        return True
    if item["sk"].startswith(items.CONNECTION):
        return False
    if item["sk"] == items.SETTINGS:
        return bool(item.get("life") != state["life"])
    if item.get("epoch") != state["epoch"]:
        return True
    return item["sk"].startswith(items.MESSAGE) and int(item["seq"]) <= int(state["seq"]) - max_stored


def last_write(found: list[dict[str, Any]]) -> int:
    """When the newest message among these items was written (ms, to the second): so long before its safety net ends."""
    messages = (item for item in found if item["sk"].startswith(items.MESSAGE))
    ends = [int(item["expires_at"]) for item in messages if "expires_at" in item]
    return (max(ends) - items.MESSAGE_DAYS * 86_400) * 1000 if ends else 0
