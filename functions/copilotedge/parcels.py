"""A snapshot on its way from the function that began a turn to the worker that goes on with it, as JSON.

Both may be of different versions for a moment, while a deployment goes on: unknown fields are passed over, and what
cannot be understood is None, for the worker can read the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from copilotedge.models import Connection, ConversationSettings, Message, Resume, Snapshot, State, ToolCall, Turn

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Value = TypeVar("_Value", bound="DataclassInstance")


def pack(snapshot: Snapshot) -> dict[str, Any]:
    """Without the queue: a turn that has just begun has none behind it."""
    return {
        "state": asdict(snapshot.state) if snapshot.state else None,
        "settings": asdict(snapshot.settings),
        "messages": [_lean(asdict(message)) for message in snapshot.messages],
        "connections": [_lean(asdict(connection)) for connection in snapshot.connections or ()],
        "connectionsKnown": snapshot.connections is not None,
    }


def unpack(parcel: Mapping[str, Any]) -> Snapshot | None:
    try:
        return Snapshot(
            state=_state(parcel["state"]),
            settings=_of(ConversationSettings, parcel["settings"]),
            messages=tuple(_message(message) for message in parcel["messages"]),
            connections=_connections(parcel["connections"]) if parcel["connectionsKnown"] else None,
        )
    except (AttributeError, KeyError, TypeError):
        return None


def _state(values: Mapping[str, Any]) -> State:
    return _of(State, values, turn=_of(Turn, values["turn"]))


def _message(values: Mapping[str, Any]) -> Message:
    calls = tuple(_of(ToolCall, call) for call in values.get("tool_calls", ()))
    return _of(Message, {"content": ""} | dict(values), tool_calls=calls)


def _connections(listed: Sequence[Mapping[str, Any]]) -> tuple[Connection, ...]:
    wishes = [_of(Resume, values["resume"]) if values.get("resume") else None for values in listed]
    return tuple(_of(Connection, values, resume=wish) for values, wish in zip(listed, wishes, strict=True))


def _of(cls: type[_Value], values: Mapping[str, Any], **given: Any) -> _Value:
    known = {field.name for field in fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in known} | given)


def _lean(values: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing; a cost of 0 is known to be 0."""
    return {name: value for name, value in values.items() if value or name == "cost"}
