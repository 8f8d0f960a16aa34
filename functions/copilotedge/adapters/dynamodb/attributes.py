"""DynamoDB's typed attributes, and plain Python values."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from copilotedge.adapters.dynamodb import items

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` as typed attributes."""
    return {name: _SERIALIZER.serialize(value) for name, value in values.items()}


def item_of(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: _DESERIALIZER.deserialize(value) for name, value in attributes.items()}


def key(conversation_id: str, sk: str) -> dict[str, Any]:
    return {"pk": items.partition(conversation_id), "sk": sk}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}
