"""What users use, counted in their partitions: ``USAGE`` and a ``SOCKET#`` item a socket.

The partition ``USER#`` is everybody's.

``USAGE`` has an attribute a slot (``s<slot>``: messages) and two a day (``d<day>``: tokens; ``m<day>``: messages, the
first of which tells that the user is there that day). All are added to without conditions, so nobody is in another
one's way. Each message also removes the 13 slots that have left the window last; what somebody who was away longer has
left behind is removed when there is much of it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from copilotedge.adapters.dynamodb import items
from copilotedge.adapters.dynamodb.attributes import item_of, plain
from copilotedge.adapters.dynamodb.calls import call, pages, unavailable
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Tally
from copilotedge.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SLOT = "s"
DAY = "d"
DAILY = "m"
CLEARED = 13
CROWDED = 15
"""Old counters that an item may have before they are removed by a request of their own."""


class DynamoDBUsage:
    """Implements ``ports.UsageStore``. ``clock`` is in ms."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def take(self, user: str, slot: int, oldest: int, day: int) -> Tally:
        """One request, seldom two. The slot before ``oldest`` stays, for Lambdas whose clocks are behind."""
        past = [f"{SLOT}{gone}" for gone in range(oldest - 1 - CLEARED, oldest - 1)]
        yesterday = [f"{DAY}{day - 1}", f"{DAILY}{day - 1}"]
        item = await self._add(user, f"{SLOT}{slot}", 1, day, also=f"{DAILY}{day}", remove=[*past, *yesterday])
        slots, days = _numbered(item, SLOT), _numbered(item, DAY)
        daily = _numbered(item, DAILY)
        old = [f"{SLOT}{n}" for n in slots if n < oldest - 1] + [f"{DAY}{n}" for n in days if n < day]
        old += [f"{DAILY}{n}" for n in daily if n < day]
        if len(old) > CROWDED:
            await self._clear(user, old)
        messages = {number: count for number, count in slots.items() if number >= oldest and count > 0}
        return Tally(messages, days.get(day, 0), is_first_today=daily.get(day) == 1)

    async def give_back(self, user: str, slot: int, day: int) -> None:
        """A repetition of the same request, because its answer was lost, is recognised by the mark that it leaves."""
        mark = uuid.uuid4().hex[:8]
        try:
            await self._add(user, f"{SLOT}{slot}", -1, day, mark=mark)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise unavailable(exc) from exc

    async def spend(self, user: str, day: int, tokens: int) -> None:
        await self._add(user, f"{DAY}{day}", tokens, day, remove=[f"{DAY}{day - 1}"])

    async def tokens(self, user: str, day: int) -> int:
        reply = await call(
            self._client.get_item,
            TableName=self._table,
            Key=_place(user, items.USAGE),
            ProjectionExpression=f"{DAY}{day}",
            ConsistentRead=True,
        )
        return _numbered(item_of(reply.get("Item", {})), DAY).get(day, 0)

    async def open_socket(self, user: str, connection_id: str, token_expires: int) -> None:
        ends = items.end_of_connection(self._clock() // 1000, token_expires)
        item = _place(user, f"{items.CONNECTION}{connection_id}") | plain({"expires_at": ends})
        await call(self._client.put_item, TableName=self._table, Item=item)

    async def close_socket(self, user: str, connection_id: str) -> None:
        place = _place(user, f"{items.CONNECTION}{connection_id}")
        await call(self._client.delete_item, TableName=self._table, Key=place)

    async def sockets_of_user(self, user: str) -> int:
        return await self._count(items.user_partition(user))

    async def sockets_of_conversation(self, conversation_id: str) -> int:
        return await self._count(items.partition(conversation_id))

    async def forget(self, user: str) -> tuple[str, ...]:
        replies = self._sockets(items.user_partition(user), ProjectionExpression="sk")
        found = [item_of(item)["sk"] async for reply in replies for item in reply["Items"]]
        names = tuple(sk.removeprefix(items.CONNECTION) for sk in found)
        for name in names:
            await self.close_socket(user, name)
        return names

    async def _count(self, partition: str) -> int:
        return sum([reply["Count"] async for reply in self._sockets(partition, Select="COUNT")])

    def _sockets(self, partition: str, **what: str) -> AsyncIterator[Any]:
        values = {":pk": partition, ":low": items.CONNECTION, ":now": self._clock() // 1000}
        return pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :low)",
            FilterExpression="expires_at > :now",
            ExpressionAttributeValues=plain(values),
            ConsistentRead=True,
            **what,
        )

    async def _add(
        self,
        user: str,
        counter: str,
        amount: int,
        day: int,
        *,
        also: str = "",
        remove: list[str] | None = None,
        mark: str = "",
    ) -> dict[str, Any]:
        """The item afterwards, which lives till an hour after ``day``. A ``mark`` that is there already is refused.

        The ``amount`` goes to the counter ``also``, too.
        """
        values: dict[str, Any] = {":amount": amount, ":expires": (day + 1) * 86_400 + 3600}
        changes = "SET expires_at = :expires"
        arguments: dict[str, Any] = {}
        if mark:
            values[":mark"], changes = mark, f"{changes}, given_back = :mark"
            arguments["ConditionExpression"] = "attribute_not_exists(given_back) OR given_back <> :mark"
        if remove:
            changes += f" REMOVE {', '.join(remove)}"
        reply = await call(
            self._client.update_item,
            TableName=self._table,
            Key=_place(user, items.USAGE),
            UpdateExpression=f"ADD {counter} :amount{f', {also} :amount' if also else ''} {changes}",
            ExpressionAttributeValues=plain(values),
            ReturnValues="ALL_NEW",
            **arguments,
        )
        return item_of(reply["Attributes"])

    async def _clear(self, user: str, counters: list[str]) -> None:
        """The next message tries again."""
        with suppress(StoreUnavailable):
            await call(
                self._client.update_item,
                TableName=self._table,
                Key=_place(user, items.USAGE),
                UpdateExpression=f"REMOVE {', '.join(counters)}",
            )


def _place(user: str, sk: str) -> dict[str, Any]:
    return plain({"pk": items.user_partition(user), "sk": sk})


def _numbered(item: dict[str, Any], kind: str) -> dict[int, int]:
    """The counters of this kind, by their numbers."""
    counters = {name[1:]: int(count) for name, count in item.items() if name[0] == kind and name[1:].isdigit()}
    return {int(number): count for number, count in counters.items()}
