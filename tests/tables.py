"""The table of ``template.yaml``, for DynamoDB emulators."""

from __future__ import annotations

from typing import Any


def create_table(client: Any, name: str = "conversations") -> str:
    """Create the table and give its name."""
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return name
