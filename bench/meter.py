"""Counts what a process asks of AWS, and what DynamoDB would charge for it. Needs botocore only.

Whoever makes the clients: the meter listens in every session that is made after ``install``. It looks at the request as
it goes out, and asks the table itself (unmetered) how large the items are, for emulators do not tell units right.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore import handlers

from bench.units import Binary, Item, in_base64, item_size, read_units, stored, write_units

Key = tuple[str, str]
"""A table's name and the JSON of an item's key."""


@dataclass
class Count:
    """What was asked between two moments. ``requests`` by service and operation: ``dynamodb.Query``."""

    requests: Counter[str] = field(default_factory=Counter)
    write_units: int = 0
    write_units_in_base64: int = 0
    read_units: float = 0

    @property
    def dynamodb_requests(self) -> int:
        return sum(count for name, count in self.requests.items() if name.startswith("dynamodb."))

    def as_json(self) -> dict[str, Any]:
        """What reports keep of it."""
        return {
            "write_units": self.write_units,
            "write_units_in_base64": self.write_units_in_base64,
            "read_units": self.read_units,
            "requests": self.dynamodb_requests,
            "operations": {name.partition(".")[2]: n for name, n in self.requests.items() if name[:9] == "dynamodb."},
        }


class Meter:
    """Thread-safe. ``probe`` makes the client with which the meter asks for sizes; it is called once, when needed."""

    def __init__(self, probe: Callable[[], Any]) -> None:
        self._make_probe = probe
        self._client: Any = None
        self._lock = threading.RLock()
        self._own = threading.local()
        self._count = Count()
        self._is_paused = False
        self._keys: dict[str, list[str]] = {}

    def install(self) -> None:
        """Listen in all sessions to come, of botocore as of boto3."""
        handlers.BUILTIN_HANDLERS.append(("before-call", self._before))
        handlers.BUILTIN_HANDLERS.append(("after-call", self._after))

    @contextmanager
    def watching(self, client: Any) -> Iterator[None]:
        """Listen to this client for a while."""
        listeners = {"before-call": self._before, "after-call": self._after}
        for event, listener in listeners.items():
            client.meta.events.register(event, listener)
        yield
        for event, listener in listeners.items():
            client.meta.events.unregister(event, listener)

    def take(self) -> Count:
        """What was asked since the last ``take``."""
        with self._lock:
            taken, self._count = self._count, Count()
        return taken

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What any thread asks meanwhile is not counted: fixtures."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    # --- One request ---------------------------------------------------------------------------------------------

    def _before(self, model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if self._is_paused or getattr(self._own, "busy", False):
            return
        service = model.service_model.service_name
        with self._lock:
            self._count.requests[f"{service}.{model.name}"] += 1
        if service != "dynamodb":
            return
        asked = json.loads(params["body"])
        with self._probing():
            writes = self._writes(model.name, asked)
            context["bench_writes"] = [(write, self._item(*write)) for write in writes]
            context["bench_transactional"] = model.name.startswith("Transact")
            units = self._reads(model.name, asked)
        with self._lock:
            self._count.read_units += units

    def _after(self, context: dict[str, Any], **_: Any) -> None:
        """A write that was refused is charged by the item that refused it."""
        if "bench_writes" not in context:
            return
        transactional = context["bench_transactional"]
        with self._probing():
            pairs = [(before, self._item(*write)) for write, before in context.pop("bench_writes")]
        with self._lock:
            self._count.write_units += _units(pairs, stored, transactional)
            self._count.write_units_in_base64 += _units(pairs, in_base64, transactional)

    @contextmanager
    def _probing(self) -> Iterator[None]:
        """What this thread asks meanwhile is our own."""
        self._own.busy = True
        try:
            yield
        finally:
            self._own.busy = False

    # --- What it touches -----------------------------------------------------------------------------------------

    def _writes(self, operation: str, asked: dict[str, Any]) -> list[Key]:
        """Every item that the request writes. Raises ``ValueError`` for operations that nobody has needed yet."""
        if operation == "PutItem":
            return [self._place(asked["TableName"], asked["Item"])]
        if operation in ("UpdateItem", "DeleteItem"):
            return [self._place(asked["TableName"], asked["Key"])]
        if operation == "TransactWriteItems":
            return [self._write_of(write) for write in asked["TransactItems"]]
        if operation == "BatchWriteItem":
            return [
                self._place(table, one.get("PutRequest", {}).get("Item") or one["DeleteRequest"]["Key"])
                for table, requests in asked["RequestItems"].items()
                for one in requests
            ]
        if operation in ("GetItem", "Query", "CreateTable", "DescribeTable", "DeleteTable"):
            return []
        raise ValueError(f"The meter does not know {operation}")

    def _write_of(self, write: dict[str, Any]) -> Key:
        """One of a transaction's: Put, Update, Delete, or a check, which costs as much as a write."""
        ((kind, about),) = write.items()
        return self._place(about["TableName"], about["Item"] if kind == "Put" else about["Key"])

    def _reads(self, operation: str, asked: dict[str, Any]) -> float:
        consistent = bool(asked.get("ConsistentRead"))
        if operation == "GetItem":
            return read_units(
                item_size(self._item(*self._place(asked["TableName"], asked["Key"]))), consistent=consistent
            )
        if operation == "Query":
            return read_units(sum(map(item_size, self._read_by(asked))), consistent=consistent)
        return 0

    def _read_by(self, asked: dict[str, Any]) -> list[Item]:
        """The items that a query reads, whether or not it shows them: those without its filter and projection."""
        left = (
            "FilterExpression",
            "ProjectionExpression",
            "Select",
            "ExpressionAttributeNames",
            "ReturnConsumedCapacity",
        )
        bare = {name: value for name, value in asked.items() if name not in left}
        condition = asked["KeyConditionExpression"]
        names = {name: to for name, to in asked.get("ExpressionAttributeNames", {}).items() if name in condition}
        values = {name: to for name, to in asked["ExpressionAttributeValues"].items() if name in condition}
        bare["ExpressionAttributeValues"] = values
        if names:
            bare["ExpressionAttributeNames"] = names
        found: list[Item] = self._probe.query(**bare)["Items"]
        return found

    def _place(self, table: str, attributes: Item) -> Key:
        if table not in self._keys:
            schema = self._probe.describe_table(TableName=table)["Table"]["KeySchema"]
            self._keys[table] = [part["AttributeName"] for part in schema]
        return table, json.dumps({name: attributes[name] for name in self._keys[table]})

    def _item(self, table: str, key: str) -> Item:
        """As it is now; empty where there is none."""
        reply = self._probe.get_item(TableName=table, Key=json.loads(key), ConsistentRead=True)
        item: Item = reply.get("Item", {})
        return item

    @property
    def _probe(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make_probe()
            return self._client


def _units(pairs: list[tuple[Item, Item]], binary: Binary, transactional: bool) -> int:
    """Of writes, by the items before and after them."""
    sizes = [(item_size(before, binary), item_size(after, binary)) for before, after in pairs]
    return sum(write_units(before, after, transactional=transactional) for before, after in sizes)
