"""Answers that may be given again: an item each in their user's partition, ``CACHE#<key>``, until ``expires_at``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from copilotedge.adapters.dynamodb import items
from copilotedge.adapters.dynamodb.attributes import item_of, key_of, plain
from copilotedge.adapters.dynamodb.calls import call, pages
from copilotedge.models import CachedAnswer
from copilotedge.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT_ONCE = 25
"""Answers of a forgotten user that are deleted at once."""


class DynamoDBAnswerCache:
    """Implements ``ports.AnswerCache``. ``clock`` is in ms."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def find(self, user: str, key: str) -> CachedAnswer | None:
        """DynamoDB may leave an item for days after its time, so the time is looked at."""
        reply = await call(self._client.get_item, TableName=self._table, Key=_place(user, key), ConsistentRead=True)
        item = item_of(reply.get("Item", {}))
        return items.to_cached(item) if item and item["expires_at"] > self._clock() // 1000 else None

    async def keep(self, user: str, key: str, answer: CachedAnswer, seconds: int) -> None:
        item = items.from_cached(answer) | {"expires_at": self._clock() // 1000 + seconds}
        await call(self._client.put_item, TableName=self._table, Item=_place(user, key) | plain(item))

    async def forget(self, user: str) -> None:
        keys = await self._keys(user)
        for start in range(0, len(keys), AT_ONCE):
            batch = keys[start : start + AT_ONCE]
            await asyncio.gather(
                *(call(self._client.delete_item, TableName=self._table, Key=plain(key)) for key in batch)
            )

    async def _keys(self, user: str) -> list[dict[str, Any]]:
        replies = pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :low)",
            ExpressionAttributeValues=plain({":pk": items.user_partition(user), ":low": items.CACHED}),
            ProjectionExpression="pk, sk",
        )
        return [key_of(item_of(item)) async for reply in replies for item in reply["Items"]]


def _place(user: str, key: str) -> dict[str, Any]:
    return plain({"pk": items.user_partition(user), "sk": f"{items.CACHED}{key}"})
