"""Dead letters: events that the functions gave up. They are listed, and sent once more to where they came from.

The queue holds records of two shapes (Lambda developer guide). An asynchronous event of the turn worker comes with its
``requestPayload``. Of a batch of the table's stream comes only where it was, ``DDBStreamBatchInfo``; the stream keeps
its records for a day.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed import ALIAS
from operations.errors import OperationError
from operations.stacks import DeployedStack

HIDDEN_SECONDS = 900
"""How long a letter that we hold is hidden from others: longer than it takes to read a batch and to have it done."""
JANITOR_SECONDS = 310
"""How long we wait for the janitor: a little longer than it may run."""
EMPTY_PAGES, PAUSE_SECONDS = 200, 0.25
"""A shard may give pages without records before the next record: how many we go through, and the pause after each."""
BATCH = 100
"""Stream records that the janitor gets at once, as in the template."""
GONE = ("TrimmedDataAccessException", "ResourceNotFoundException")
PATIENT = Config(read_timeout=JANITOR_SECONDS, retries={"total_max_attempts": 1}, tcp_keepalive=True)
LEFT_TO_FORGET = "left alone: it deletes a user, and what they have written since would go too; FORGET=1 sends it"
UNREAD = "its records could not be read to the end; try again"
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
    """Those of a stack. ``wait`` takes seconds."""

    def __init__(self, stack: DeployedStack, wait: Callable[[float], None] = time.sleep) -> None:
        self._stack = stack
        self._wait = wait
        self._queue = stack.client("sqs")
        self._functions = stack.client("lambda", config=PATIENT)
        self._url = stack.output("FailedEventsQueueUrl")

    def listed(self) -> list[Letter]:
        """All of them, oldest first. They stay."""
        letters = list(self._received())
        for letter in letters:
            self._let_go(letter)
        return sorted(letters, key=lambda letter: letter.sent)

    def replay(self, *, forget: bool = False) -> Iterator[Replay]:
        """Sends each to where it came from. One that fails again comes back, as a new letter that is left alone.

        Deletions of users are sent only with ``forget``: they delete all that is the user's, also what came since.
        """
        begun, kept = time.time(), []
        for letter in self._received(at_once=1):
            try:
                outcome, done = self._replayed(letter, begun, forget), True
                self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
            except (OperationError, ClientError, BotoCoreError) as error:
                outcome, done = str(error), False
                kept.append(letter)
            yield Replay(letter, done, outcome)
        for letter in kept:
            self._let_go(letter)

    def _received(self, at_once: int = 10) -> Iterator[Letter]:
        """Every letter once. The queue makes each call wait, so that nothing found means that nothing is there.

        A letter is hidden from when it is received: who works long on each takes them one by one (``at_once``).
        """
        seen: set[str] = set()
        while True:
            found = self._queue.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=at_once,
                VisibilityTimeout=HIDDEN_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            if not found:
                return
            new = [message for message in found if message["MessageId"] not in seen]
            seen |= {message["MessageId"] for message in new}
            yield from map(letter_of, new)

    def _let_go(self, letter: Letter) -> None:
        """Shows it to others again. One that we have held for too long is shown already."""
        with contextlib.suppress(ClientError):
            self._queue.change_message_visibility(QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)

    def _replayed(self, letter: Letter, begun: float, forget: bool) -> str:
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
        payload = letter.record["requestPayload"]
        if payload.get("action") == "forget_user" and not forget:
            raise OperationError(LEFT_TO_FORGET)
        event = json.dumps({name: value for name, value in payload.items() if name != "begun"})  # of then, and long
        self._functions.invoke(FunctionName=f"{function}:{ALIAS}", InvocationType="Event", Payload=event)
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
        """Records of the batch, in the order of their shard. Raises OperationError unless they were read to the end."""
        streams, last = self._stack.client("dynamodbstreams"), int(batch["endSequenceNumber"])
        start = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": batch["startSequenceNumber"]}
        shard = {"StreamArn": batch["streamArn"], "ShardId": batch["shardId"]}
        for page in self._pages(streams, streams.get_shard_iterator(**shard, **start)["ShardIterator"]):
            for record in page:
                number = int(record["dynamodb"]["SequenceNumber"])
                if number <= last:
                    yield event_record(record)
                if number >= last:
                    return
        raise OperationError(UNREAD)

    def _pages(self, streams: Any, iterator: str | None) -> Iterator[list[dict[str, Any]]]:
        """Records of a shard, page after page, until it ends or too many pages were empty."""
        empty = 0
        while iterator and empty < EMPTY_PAGES:
            try:
                page = streams.get_records(ShardIterator=iterator)
            except ClientError as error:  # an iterator is good for a quarter of an hour; the next attempt has a new one
                if error.response["Error"]["Code"] != "ExpiredIteratorException":
                    raise
                raise OperationError(UNREAD) from error
            yield page["Records"]
            if not page["Records"]:
                empty += 1
                self._wait(PAUSE_SECONDS)
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
