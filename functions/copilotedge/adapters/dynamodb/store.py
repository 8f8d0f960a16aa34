"""The conversation store on DynamoDB: one partition a conversation, every change a compare-and-swap of its ``STATE``.

Ambiguous writes (a time-out whose write may have happened) are safe to repeat: transactions carry the next state's
nonce as their idempotency token, single writes recognise their own nonce in the item that refuses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from copilotedge.adapters.dynamodb import items
from copilotedge.adapters.dynamodb.attributes import item_of, key, key_of, plain
from copilotedge.adapters.dynamodb.calls import call, pages, unavailable
from copilotedge.adapters.dynamodb.changes import writes_of
from copilotedge.adapters.dynamodb.listings import DynamoDBListings
from copilotedge.adapters.dynamodb.reading import is_dead, is_whole, last_write, live, open_connections, to_snapshot
from copilotedge.errors import ReceiptExists, StateChanged, StoreUnavailable
from copilotedge.models import (
    Audience,
    Change,
    Connection,
    Draft,
    Listing,
    Marks,
    Message,
    Receipt,
    Snapshot,
    State,
    Swept,
)
from copilotedge.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRANSACTION_TRIES = 5
SPARE = 8
"""Items that a snapshot reads in one request beside the messages it wants: sockets, and messages that wait."""
BATCH = 25
"""Deletes of one BatchWriteItem request (DynamoDB's limit)."""

_NEVER_AGAIN = (items.MESSAGE, items.CONNECTION, items.DRAFT)
"""Keys that no later life of a conversation can have."""

_TRANSIENT = {
    "TransactionConflict",
    "TransactionInProgressException",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
}


class DynamoDBStore:
    """Implements ``ports.ConversationStore``. ``max_stored`` bounds what a log may show, ``clock`` is in ms."""

    def __init__(self, client: DynamoDBClient, table: str, max_stored: int, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._max_stored = max_stored
        self._clock = clock
        self._listings = DynamoDBListings(client, table, clock)

    async def snapshot(self, conversation_id: str, messages: int) -> Snapshot:
        """One request, unless there is more than 1 MB to read, or more waits than usual."""
        found: list[dict[str, Any]] = []
        span = {":low": items.MESSAGE, ":high": items.STATE}
        partition, limit = items.partition(conversation_id), 2 + messages + SPARE
        async for page in self._pages(partition, "sk BETWEEN :low AND :high", span, limit, False):
            found += page
            if is_whole(found, messages):
                break
        return to_snapshot(found, messages, self._clock())

    async def state(self, conversation_id: str) -> State | None:
        place = plain(key(conversation_id, items.STATE))
        reply = await call(self._client.get_item, TableName=self._table, Key=place, ConsistentRead=True)
        return live(item_of(reply["Item"]), self._clock()) if "Item" in reply else None

    async def audience(self, conversation_id: str) -> Audience:
        found: list[dict[str, Any]] = []
        span = {":low": items.CONNECTION, ":high": items.STATE}
        partition = items.partition(conversation_id)
        async for page in self._pages(partition, "sk BETWEEN :low AND :high", span, 1000, False):
            found += page
        now = self._clock()
        state = live(found[0], now) if found and found[0]["sk"] == items.STATE else None
        return Audience(state, open_connections(found, now))

    async def messages(
        self, conversation_id: str, epoch: str, *, after: int, before: int, limit: int, newest: bool
    ) -> tuple[Message, ...]:
        span = {":low": items.message_key(epoch, after + 1), ":high": items.message_key(epoch, before - 1)}
        if before - 1 < after + 1:
            return ()
        found: list[dict[str, Any]] = []
        partition = items.partition(conversation_id)
        async for page in self._pages(partition, "sk BETWEEN :low AND :high", span, limit, not newest):
            found += page
            if len(found) >= limit:
                break
        kept = [items.to_message(item) for item in found[:limit]]
        return tuple(sorted(kept, key=lambda message: message.seq))

    async def receipt(self, conversation_id: str, message_id: str) -> Receipt | None:
        place = plain(key(conversation_id, f"{items.RECEIPT}{message_id}"))
        reply = await call(self._client.get_item, TableName=self._table, Key=place, ConsistentRead=True)
        return items.to_receipt(item_of(reply["Item"])) if "Item" in reply else None

    async def commit(self, conversation_id: str, change: Change) -> None:
        writes = writes_of(self._table, conversation_id, change, self._clock() // 1000)
        if len(writes) > 1:
            await self._transact(writes, change)
        else:
            await self._write(writes[0], change)

    async def sweep(self, conversation_id: str) -> Swept:
        """Reads upwards, so ``STATE`` comes last: what was listed before it, and it does not know, is dead for good."""
        found: list[dict[str, Any]] = []
        partition = items.partition(conversation_id)
        async for page in self._pages(partition, "", {}, 1000, True, "pk, sk, epoch, life, expires_at, seq"):
            found += page
        state = next((item for item in found if item["sk"] == items.STATE), None)
        if state is not None and int(state["expires_at"]) * 1000 <= self._clock():
            state = None
        dead = [item for item in found if is_dead(item, state, self._max_stored)]
        await self._delete(dead)
        return Swept(len(dead), last_write(dead))

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        ends = items.end_of_connection(self._clock() // 1000, connection.token_expires)
        item = items.from_connection(connection) | {"expires_at": ends}
        await call(
            self._client.update_item,
            TableName=self._table,
            Key=plain(key(conversation_id, f"{items.CONNECTION}{connection.connection_id}")),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in item),
            ExpressionAttributeNames={f"#{name}": name for name in item},
            ExpressionAttributeValues=plain({f":{name}": value for name, value in item.items()}),
        )

    async def disconnect(self, conversation_id: str, connection_id: str) -> None:
        place = plain(key(conversation_id, f"{items.CONNECTION}{connection_id}"))
        await call(self._client.delete_item, TableName=self._table, Key=place)

    async def connections(self, conversation_id: str) -> tuple[Connection, ...]:
        found: list[dict[str, Any]] = []
        partition = items.partition(conversation_id)
        async for page in self._pages(partition, "begins_with(sk, :low)", {":low": items.CONNECTION}, 1000, True):
            found += page
        return open_connections(found, self._clock())

    async def write_draft(self, conversation_id: str, epoch: str, draft: Draft) -> None:
        place = key(conversation_id, items.draft_key(draft.turn_id, draft.attempt, draft.offset))
        item = items.from_draft(draft, epoch, self._clock() // 1000)
        await call(self._client.put_item, TableName=self._table, Item=plain(place | item))

    async def drafts(self, conversation_id: str, turn_id: str, attempt: int, offset: int) -> tuple[Draft, ...]:
        span = {
            ":low": items.draft_key(turn_id, attempt, offset),
            ":high": items.draft_key(turn_id, attempt, items.MAX_OFFSET),
        }
        found: list[dict[str, Any]] = []
        async for page in self._pages(items.partition(conversation_id), "sk BETWEEN :low AND :high", span, 1000, True):
            found += page
        return tuple(items.to_draft(item) for item in found)

    async def listings(self, owner: str) -> tuple[Listing, ...]:
        return await self._listings.of_owner(owner)

    async def listing(self, conversation_id: str) -> Listing | None:
        return await self._listings.of_conversation(conversation_id)

    async def mark(self, conversation_id: str, life: str, marks: Marks) -> Listing | None:
        return await self._listings.mark(conversation_id, life, marks)

    async def entitle(self, conversation_id: str, epoch: str, title: str) -> Listing | None:
        return await self._listings.entitle(conversation_id, epoch, title)

    async def _transact(self, writes: list[dict[str, Any]], change: Change) -> None:
        for attempt in range(TRANSACTION_TRIES):
            try:
                await call(
                    self._client.transact_write_items,
                    TransactItems=writes,
                    ClientRequestToken=change.state.nonce,
                )
                return
            except ClientError as exc:
                reasons = _reasons(exc)
                if any(reason == "ConditionalCheckFailed" for reason in reasons):
                    raise _refusal(reasons, change) from exc
                if not _TRANSIENT & set(reasons):
                    raise unavailable(exc) from exc
            await asyncio.sleep(0.02 * 2**attempt)
        raise StateChanged("Too many changes at once.")

    async def _write(self, write: dict[str, Any], change: Change) -> None:
        ((kind, arguments),) = write.items()
        method = self._client.put_item if kind == "Put" else self._client.delete_item
        try:
            await call(method, **arguments)
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "TransactionConflictException":
                raise StateChanged("This conversation has changed.") from exc
            if exc.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise unavailable(exc) from exc
            refused: Any = exc.response.get("Item", {})
            if item_of(refused).get("nonce") != change.state.nonce:
                raise StateChanged("This conversation has changed.") from exc

    async def _delete(self, dead: Sequence[dict[str, Any]]) -> None:
        """Some keys are never used again; the others may be, by a new life, so their deletion is conditional."""
        for_good = [item for item in dead if item["sk"].startswith(_NEVER_AGAIN)]
        for start in range(0, len(for_good), BATCH):
            await self._delete_batch([plain(key_of(item)) for item in for_good[start : start + BATCH]])
        for item in dead:
            if not item["sk"].startswith(_NEVER_AGAIN):
                await self._delete_unchanged(item)

    async def _delete_batch(self, keys: list[dict[str, Any]]) -> None:
        requests: Any = {self._table: [{"DeleteRequest": {"Key": key}} for key in keys]}
        for attempt in range(TRANSACTION_TRIES):
            reply = await call(self._client.batch_write_item, RequestItems=requests)
            requests = reply.get("UnprocessedItems")
            if not requests:
                return
            await asyncio.sleep(0.05 * 2**attempt)
        raise StoreUnavailable("The store is throttled.", retry_after=5)

    async def _delete_unchanged(self, item: dict[str, Any]) -> None:
        mark = "life" if item["sk"] == items.SETTINGS else "epoch"
        try:
            await call(
                self._client.delete_item,
                TableName=self._table,
                Key=plain(key_of(item)),
                ConditionExpression="#mark = :mark",
                ExpressionAttributeNames={"#mark": mark},
                ExpressionAttributeValues=plain({":mark": item[mark]}),
            )
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise unavailable(exc) from exc

    async def _pages(
        self,
        partition: str,
        condition: str,
        values: dict[str, Any],
        limit: int,
        forward: bool,
        projection: str = "",
    ) -> AsyncIterator[list[dict[str, Any]]]:
        arguments: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": f"pk = :pk AND {condition}" if condition else "pk = :pk",
            "ExpressionAttributeValues": plain({":pk": partition} | values),
            "ScanIndexForward": forward,
            "ConsistentRead": True,
            "Limit": limit,
        }
        if projection:
            arguments["ProjectionExpression"] = projection
        async for reply in pages(self._client.query, **arguments):
            yield [item_of(item) for item in reply["Items"]]


def _reasons(exc: ClientError) -> list[str]:
    """Why a transaction was refused, position by position; the request's own error where it was not a transaction's."""
    reasons: Any = exc.response.get("CancellationReasons", [])
    return [reason.get("Code", "None") for reason in reasons] or [exc.response["Error"]["Code"]]


def _refusal(reasons: list[str], change: Change) -> StateChanged | ReceiptExists:
    if change.receipt is not None and reasons[0] != "ConditionalCheckFailed":
        return ReceiptExists("This message id was taken before.")
    return StateChanged("This conversation has changed.")
