"""Domain values as items of the table, and back. Every item of a conversation lives in one partition.

==========================  ====================================================================
``STATE``                   head of the conversation; every change swaps it
``SOCKET#<connection id>``  sockets
``SETTINGS``                what clients stored: model, user, context
``QUEUE#<place>#<id>``      user messages that wait
``MSG#<epoch>#<seq>``       the log
``ID#<message id>``         receipts of messages whose id the client chose
``DRAFT#<turn>#...``        pieces of an answer that is being written, for readers over HTTP
==========================  ====================================================================

A user's partition, ``USER#<user>``, lists their conversations (``CONV#<id>``), beside what ``usage`` counts and answers
that may be given again (``CACHE#<key>``).

Read downwards from ``STATE``, the table gives the state, the sockets, the settings, the queue and the newest messages
in one query. That the state is read before the sockets makes it vouch for them: whoever it counts among its listeners
was listed before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from copilotedge.addresses import Address
from copilotedge.models import (
    CachedAnswer,
    Connection,
    ConversationSettings,
    Draft,
    Listing,
    Message,
    QueuedMessage,
    Receipt,
    Resume,
    State,
    ToolCall,
    Turn,
)
from copilotedge.transitions import LIST_EVERY_MS

Item = Mapping[str, Any]

STATE = "STATE"
SETTINGS = "SETTINGS"
QUEUE = "QUEUE#"
MESSAGE = "MSG#"
RECEIPT = "ID#"
CONNECTION = "SOCKET#"
DRAFT = "DRAFT#"
USER = "USER#"
USAGE = "USAGE"
LISTED = "CONV#"
CACHED = "CACHE#"

MESSAGE_DAYS = 30
"""Safety net behind the janitor: nothing outlives its conversation by more."""
MAX_OFFSET = 10**10 - 1
DRAFT_SECONDS = 3600
"""Longer than any turn."""
CONNECTION_SECONDS = 7800
"""A WebSocket connection lives two hours at most (API Gateway quotas); its row a little longer."""


def partition(conversation_id: str) -> str:
    return f"CONV#{conversation_id}"


def user_partition(user: str) -> str:
    return f"{USER}{user}"


def end_of_connection(now: int, token_expires: int) -> int:
    """When a socket's row ends (s): with its token (ms; 0: never), or when API Gateway ends every socket."""
    longest = now + CONNECTION_SECONDS
    return min(longest, token_expires // 1000) if token_expires else longest


def message_key(epoch: str, seq: int) -> str:
    return f"{MESSAGE}{epoch}#{seq:010d}"


def draft_key(turn_id: str, attempt: int, offset: int) -> str:
    return f"{DRAFT}{turn_id}#{attempt:04d}#{offset:010d}"


def queue_key(queued: QueuedMessage) -> str:
    return f"{QUEUE}{queued.place}#{queued.message_id}"


def from_state(state: State) -> dict[str, Any]:
    turn = _lean(asdict(state.turn)) | {"message_id": state.turn.message_id} if state.turn else None
    return _lean(asdict(state) | {"turn": turn, "members": dict(state.members) or None})


def to_state(item: Item) -> State:
    turn = item.get("turn")
    known = _known(State, item) | {"turn": Turn(**_known(Turn, turn)) if turn else None}
    return State(**known)


def listing_key(address: Address) -> dict[str, Any]:
    return {"pk": user_partition(address.owner), "sk": f"{LISTED}{address.name}"}


def from_listing(state: State) -> dict[str, Any]:
    """Outlives the state by as much as it may lag behind it."""
    return {
        "created_at": state.created_at,
        "last_activity": state.last_activity,
        "life": state.life,
        "epoch": state.epoch,
        "expires_at": state.expires_at + LIST_EVERY_MS // 1000,
    }


def to_listing(item: Item) -> Listing:
    return Listing(**_known(Listing, item) | {"name": item["sk"].removeprefix(LISTED)})


def from_cached(answer: CachedAnswer) -> dict[str, Any]:
    return asdict(answer)


def to_cached(item: Item) -> CachedAnswer:
    return CachedAnswer(**_known(CachedAnswer, item))


def from_settings(settings: ConversationSettings, life: str) -> dict[str, Any]:
    context = json.dumps(dict(settings.context), ensure_ascii=False)
    return _lean({"model": settings.model, "user_id": settings.user_id, "context": context, "life": life})


def to_settings(item: Item) -> ConversationSettings:
    return ConversationSettings(item.get("model", ""), item.get("user_id", ""), json.loads(item.get("context", "{}")))


def from_message(message: Message) -> dict[str, Any]:
    values = asdict(message)
    return _lean({key: value for key, value in values.items() if value or key == "cost"})


def to_message(item: Item) -> Message:
    calls = tuple(ToolCall(**_known(ToolCall, call)) for call in item.get("tool_calls", ()))
    return Message(**{"content": ""} | _known(Message, item) | {"tool_calls": calls})


def from_draft(draft: Draft, epoch: str, now: int) -> dict[str, Any]:
    """``now`` in seconds."""
    return asdict(draft) | {"epoch": epoch, "expires_at": now + DRAFT_SECONDS}


def to_draft(item: Item) -> Draft:
    return Draft(**_known(Draft, item))


def from_queued(queued: QueuedMessage) -> dict[str, Any]:
    return _lean(asdict(queued))


def to_queued(item: Item) -> QueuedMessage:
    return QueuedMessage(**_known(QueuedMessage, item))


def from_receipt(receipt: Receipt) -> dict[str, Any]:
    return asdict(receipt)


def to_receipt(item: Item) -> Receipt:
    return Receipt(**_known(Receipt, item))


def from_connection(connection: Connection) -> dict[str, Any]:
    return _lean(asdict(connection))


def to_connection(item: Item) -> Connection:
    resume = item.get("resume")
    known = _known(Connection, item) | {"resume": Resume(**_known(Resume, resume)) if resume else None}
    return Connection(**known)


def _known(cls: type, item: Item) -> dict[str, Any]:
    """The attributes that ``cls`` has fields for; not the table's own, nor those of later versions."""
    fields = cls.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: _number(value) for name, value in item.items() if name in fields}


def _lean(values: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: an item is billed by its size."""
    kept = {name: value for name, value in values.items() if value is not None and value != "" and value is not False}
    return {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in kept.items()}


def _number(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)
