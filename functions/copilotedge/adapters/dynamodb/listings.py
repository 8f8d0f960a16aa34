"""Owners' lists of conversations, where they are read, and where their owners or a model change them.

What a conversation itself has to say of its entry is written along with its changes (``changes``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from copilotedge.adapters.dynamodb import items
from copilotedge.adapters.dynamodb.attributes import item_of, plain
from copilotedge.adapters.dynamodb.calls import call, pages, unavailable
from copilotedge.addresses import address_of_key
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Listing, Marks
from copilotedge.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRIES = 5


class DynamoDBListings:
    """``clock`` is in ms."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def of_owner(self, owner: str) -> tuple[Listing, ...]:
        found: list[dict[str, Any]] = []
        async for reply in pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :low)",
            ExpressionAttributeValues=plain({":pk": items.user_partition(owner), ":low": items.LISTED}),
            ConsistentRead=True,
        ):
            found += [item_of(item) for item in reply["Items"]]
        return tuple(items.to_listing(item) for item in found if self._lives(item))

    async def of_conversation(self, conversation_id: str) -> Listing | None:
        place = plain(_place(conversation_id))
        reply = await call(self._client.get_item, TableName=self._table, Key=place, ConsistentRead=True)
        item = item_of(reply.get("Item", {}))
        return items.to_listing(item) if item and self._lives(item) else None

    async def mark(self, conversation_id: str, life: str, marks: Marks) -> Listing | None:
        given = {"user_title": marks.title, "pinned": marks.pinned, "archived": marks.archived}
        kept = {name: value for name, value in given.items() if value} | {"life": life}
        gone = [name for name, value in given.items() if value is not None and not value]
        return await self._update(conversation_id, "life = :life", kept, gone)

    async def entitle(self, conversation_id: str, epoch: str, title: str) -> Listing | None:
        """A repetition of the same request, because its answer was lost, gives the same answer."""
        condition = "epoch = :epoch AND (attribute_not_exists(model_title) OR model_title = :model_title)"
        return await self._update(conversation_id, condition, {"epoch": epoch, "model_title": title})

    async def _update(
        self, conversation_id: str, condition: str, kept: dict[str, Any], gone: list[str] | None = None
    ) -> Listing | None:
        """The entry afterwards; None where the condition does not hold. The conversation's changes may interfere."""
        changes = "SET " + ", ".join(f"{name} = :{name}" for name in kept)
        changes += f" REMOVE {', '.join(gone)}" if gone else ""
        for attempt in range(TRIES):
            try:
                reply = await call(
                    self._client.update_item,
                    TableName=self._table,
                    Key=plain(_place(conversation_id)),
                    UpdateExpression=changes,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=plain({f":{name}": value for name, value in kept.items()}),
                    ReturnValues="ALL_NEW",
                )
                return items.to_listing(item_of(reply["Attributes"]))
            except ClientError as exc:
                if exc.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return None
                if exc.response["Error"]["Code"] != "TransactionConflictException":
                    raise unavailable(exc) from exc
            await asyncio.sleep(0.02 * 2**attempt)
        raise StoreUnavailable("This conversation is too busy.", code="conversation_busy", retry_after=1)

    def _lives(self, item: dict[str, Any]) -> bool:
        return int(item["expires_at"]) * 1000 > self._clock()


def _place(conversation_id: str) -> dict[str, Any]:
    return items.listing_key(address_of_key(conversation_id))
