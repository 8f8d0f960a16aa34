"""Backups of the table, and bringing back conversations that are gone.

DynamoDB restores only into a new table. What a stack has lost is copied from there into its own table, beside whatever
has come since.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from operations.errors import OperationError
from operations.stacks import DeployedStack

POLL_SECONDS = 2.0
RESTORE_SECONDS = 24 * 3600
STATE = "STATE"
CONVERSATION, USER, LISTED = "CONV#", "USER#", "CONV#"
LEFT = ("SOCKET#", "DRAFT#")
"""Kinds of items that mean nothing once their moment has passed."""

Item = dict[str, Any]


@dataclass
class Tally:
    """What a copy did, in items and conversations."""

    conversations: int = 0
    items: int = 0
    kept: int = 0
    """Conversations of the backup that the stack still has: they were left as they are."""
    expired: int = 0


class Backups:
    """Those of a stack's table. ``wait`` takes seconds."""

    def __init__(self, stack: DeployedStack, wait: Callable[[float], None] = time.sleep) -> None:
        self._stack = stack
        self._table = stack.output("TableName")
        self._client = stack.client("dynamodb")
        self._wait = wait

    def back_up(self) -> str:
        """A full backup that stays until it is deleted. Gives its ARN, once it can be restored."""
        made = self._client.create_backup(TableName=self._table, BackupName=f"{self._stack.name}-{stamp()}")
        arn: str = made["BackupDetails"]["BackupArn"]
        self._until(lambda: self._backup_status(arn) == "AVAILABLE", "the backup")
        return arn

    def restore(self, source: str) -> str:
        """Makes a new table out of a backup (its ARN) or of a moment (ISO 8601; ``latest``). Gives the table's name."""
        target = f"{self._stack.name}-restored-{stamp()}"
        if source.startswith("arn:"):
            self._client.restore_table_from_backup(TargetTableName=target, BackupArn=source)
        else:
            self._client.restore_table_to_point_in_time(
                SourceTableName=self._table, TargetTableName=target, **moment_of(source)
            )
        self._until(lambda: self._restored(target), "the new table")
        return target

    def copy_missing(self, source: str, user: str | None = None) -> Tally:
        """Copies conversations (of a user, or of all) that this stack's table does not have, and their owners' lists.

        Whatever was deleted since comes back with what was lost: a table does not tell the one from the other.
        A conversation's state is written last, on condition that there is still none: until then nobody sees the rest.
        What has expired is left behind, and so is what counts sockets and what a user has spent. A sweep deletes what
        has no state, so none may run on the same conversations meanwhile, nor dead letters be sent again.
        """
        tally, now = Tally(), int(time.time())
        for partition, items in self._partitions(source):
            if user is not None and not belongs(partition, user):
                continue
            alive = [item for item in items if not expired(item, now) and not item["sk"]["S"].startswith(LEFT)]
            if partition.startswith(CONVERSATION):
                self._copy_conversation(partition, alive, tally)
            elif partition.startswith(USER):
                tally.items += sum(self._put(item) for item in alive if item["sk"]["S"].startswith(LISTED))
        return tally

    def _copy_conversation(self, partition: str, items: list[Item], tally: Tally) -> None:
        states = [item for item in items if item["sk"]["S"] == STATE]
        if not states:
            tally.expired += 1
        elif self._has_state(partition):
            tally.kept += 1
        else:
            rest = [item for item in items if item["sk"]["S"] != STATE]
            tally.items += sum(self._put(item) for item in [*rest, *states])
            tally.conversations += 1

    def _has_state(self, partition: str) -> bool:
        key = {"pk": {"S": partition}, "sk": {"S": STATE}}
        return "Item" in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)

    def _put(self, item: Item) -> bool:
        """Whether it was missing."""
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _partitions(self, table: str) -> Iterator[tuple[str, list[Item]]]:
        """Each with its items: a scan gives the items of one partition one after the other."""
        partition = ""
        items: list[Item] = []
        for page in self._client.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                if items and item["pk"]["S"] != partition:
                    yield partition, items
                    items = []
                partition = item["pk"]["S"]
                items.append(item)
        if items:
            yield partition, items

    def _backup_status(self, arn: str) -> str:
        about = self._client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
        status: str = about["BackupStatus"]
        return status

    def _restored(self, table: str) -> bool:
        try:
            about = self._client.describe_table(TableName=table)["Table"]
        except self._client.exceptions.ResourceNotFoundException:  # DynamoDB tells of a new table a little later
            return False
        return bool(about["TableStatus"] == "ACTIVE")

    def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + RESTORE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise OperationError(f"After a day {what} is not ready.")
            self._wait(POLL_SECONDS)


def belongs(partition: str, user: str) -> bool:
    """Whether it is the user's own, or of a conversation that they own."""
    owner = partition.removeprefix(CONVERSATION).rpartition("/")[0]  # which may have a slash in it, ids have none
    return partition == USER + user or (partition.startswith(CONVERSATION) and owner == user)


def expired(item: Item, now: int) -> bool:
    """Whether DynamoDB may have deleted it by now (seconds since the epoch)."""
    return "expires_at" in item and int(item["expires_at"]["N"]) <= now


def moment_of(text: str) -> dict[str, Any]:
    """The moment to restore, as DynamoDB takes it. Raises OperationError for what is none."""
    if text == "latest":
        return {"UseLatestRestorableTime": True}
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperationError(f"{text} is neither a backup's ARN, nor latest, nor like 2026-11-22T20:00Z.") from error
    return {"RestoreDateTime": moment if moment.tzinfo else moment.replace(tzinfo=UTC)}


def stamp() -> str:
    """This second, fit for names."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
