"""Dead letters: events that the functions gave up. They are listed, and sent once more to where they came from.

The queue holds records of two shapes (Lambda developer guide). An asynchronous event of the turn worker comes with its
``requestPayload``. Of a batch of the table's stream comes only where it was, ``DDBStreamBatchInfo``; the stream keeps
its records for a day.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.deployed import ALIAS
from operations.errors import OperationError
from operations.stacks import DeployedStack

HIDDEN_SECONDS = 300
"""How long a letter that we hold is hidden from others."""
BATCH = 100
"""Stream records that the janitor gets at once, as in the template."""
GONE = ("TrimmedDataAccessException", "ResourceNotFoundException", "ExpiredIteratorException")
EXPIRED = "its records are gone; what it would have deleted expires within 30 days"


@dataclass(frozen=True)
class Letter:
    """One message of the queue. ``sent`` is in seconds since the epoch; ``record`` None when it is none of Lambda's."""

    id: str
    receipt: str
    sent: float
    record: dict[str, Any] | None

    def __str__(self) -> str:
        """One line about it, without what users wrote and whose it is: conversations are hashed as in the logs."""
        when = datetime.fromtimestamp(self.sent, UTC).strftime("%Y-%m-%d %H:%M:%S")
        if self.record is None:
            return f"{when}  not a record of Lambda's"
        context, payload = self.record["requestContext"], self.record.get("requestPayload", {})
        parts = [when, function_of(self.record), str(payload.get("action", "stream batch")), context["condition"]]
        if error := (self.record.get("responsePayload") or {}).get("errorType"):
            parts.append(error)
        if conversation := payload.get("conversationId"):
            parts.append(f"conversation={hashlib.sha256(conversation.encode()).hexdigest()[:12]}")
        return "  ".join(parts)


@dataclass(frozen=True)
class Replay:
    """What became of a letter. ``done`` ones are deleted from the queue."""

    letter: Letter
    done: bool
    outcome: str


class DeadLetters:
    """Those of a stack."""

    def __init__(self, stack: DeployedStack) -> None:
        self._stack = stack
        self._queue = stack.client("sqs")
        self._functions = stack.client("lambda")
        self._url = stack.output("FailedEventsQueueUrl")

    def listed(self) -> list[Letter]:
        """All of them, oldest first. They stay."""
        letters = list(self._received())
        for letter in letters:
            self._let_go(letter)
        return sorted(letters, key=lambda letter: letter.sent)

    def replay(self) -> Iterator[Replay]:
        """Sends each to where it came from. One that fails again comes back, as a new letter that is left alone."""
        begun, kept = time.time(), []
        for letter in self._received():
            try:
                outcome, done = self._replayed(letter, begun), True
                self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
            except (OperationError, ClientError) as error:
                outcome, done = str(error), False
                kept.append(letter)
            yield Replay(letter, done, outcome)
        for letter in kept:
            self._let_go(letter)

    def _received(self) -> Iterator[Letter]:
        """Every letter once. The queue makes each call wait, so that nothing found means that nothing is there."""
        seen: set[str] = set()
        while True:
            found = self._queue.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=HIDDEN_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            new = [message for message in found if message["MessageId"] not in seen]
            if not new:
                return
            seen |= {message["MessageId"] for message in new}
            yield from map(letter_of, new)

    def _let_go(self, letter: Letter) -> None:
        self._queue.change_message_visibility(QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)

    def _replayed(self, letter: Letter, begun: float) -> str:
        """What was done with it. Raises OperationError when nothing was."""
        if letter.sent > begun:
            raise OperationError("left alone: it has come since this began")
        if letter.record is None:
            raise OperationError("left alone: not a record of Lambda's")
        function = function_of(letter.record)
        if not function.startswith(f"{self._stack.name}-"):
            raise OperationError(f"left alone: {function} is not of this stack")
        if batch := letter.record.get("DDBStreamBatchInfo"):
            return self._replay_batch(f"{function}:{ALIAS}", batch)
        payload = json.dumps(letter.record["requestPayload"])
        self._functions.invoke(FunctionName=f"{function}:{ALIAS}", InvocationType="Event", Payload=payload)
        return "sent again"

    def _replay_batch(self, function: str, batch: dict[str, Any]) -> str:
        try:
            records = [record for record in self._records(batch) if wakes_the_janitor(record)]
        except ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise
            return EXPIRED
        for start in range(0, len(records), BATCH):
            event = json.dumps({"Records": records[start : start + BATCH]})
            answer = self._functions.invoke(FunctionName=function, Payload=event)
            result = json.loads(answer["Payload"].read())
            if "FunctionError" in answer or result["batchItemFailures"]:
                raise OperationError("failed again: the function's log says why")
        return f"done again, {len(records)} records" if records else EXPIRED

    def _records(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Records of the batch, in the order of their shard."""
        streams, last = self._stack.client("dynamodbstreams"), int(batch["endSequenceNumber"])
        iterator = streams.get_shard_iterator(
            StreamArn=batch["streamArn"],
            ShardId=batch["shardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=batch["startSequenceNumber"],
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                if int(record["dynamodb"]["SequenceNumber"]) > last:
                    return
                yield event_record(record)
            if not page["Records"]:
                return
            iterator = page.get("NextShardIterator")


def letter_of(message: dict[str, Any]) -> Letter:
    """The queue's message as a letter."""
    try:
        record = json.loads(message["Body"])
        function_of(record)
    except (ValueError, TypeError, LookupError):
        record = None
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return Letter(message["MessageId"], message["ReceiptHandle"], sent, record)


def function_of(record: dict[str, Any]) -> str:
    """Name of the function that gave up. Raises LookupError or TypeError for what is no record of Lambda's."""
    name: str = record["requestContext"]["functionArn"].split(":")[6]
    return name


def event_record(record: dict[str, Any]) -> dict[str, Any]:
    """A stream's record as Lambda hands it to the janitor, as far as that reads it."""
    change = record["dynamodb"]
    return {
        "eventName": record["eventName"],
        "dynamodb": {"Keys": change["Keys"], "SequenceNumber": change["SequenceNumber"]},
    }


def wakes_the_janitor(record: dict[str, Any]) -> bool:
    """What the template's filter lets through: the end of a conversation's state."""
    return bool(record["eventName"] == "REMOVE" and record["dynamodb"]["Keys"]["sk"]["S"] == "STATE")
