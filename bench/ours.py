"""The real handlers over moto's DynamoDB and a scripted model, metered.

The gateway and the worker's queue are stand-ins that count; what they would cost is not DynamoDB's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import boto3
import httpx

import turn_worker
import websocket_api
from bench.meter import Count, Meter
from bench.waits import Waits, WatchedModel
from bench.workload import ANSWER, LOG, QUESTION
from copilotedge import watching
from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.adapters.lambdas import TurnWorker
from copilotedge.addresses import address_of
from copilotedge.entrance import Entrance
from copilotedge.identity import NEVER
from copilotedge.models import Change, Message
from copilotedge.runtime import now
from copilotedge.settings import Settings
from copilotedge.transitions import Rules
from copilotedge.transitions.steps import born
from copilotedge.wiring import Application
from streaming.shell import compose
from tests.fakes import FakeGateway, FakeTokens
from tests.mocked_aws import mocked_aws
from tests.scripted_model import Reply, ScriptedModel
from tests.tables import create_table
from tests.unit.invocations import Context, answer_of, event

USER = "alice"
TABLE = "conversations"
WATCH_SECONDS = watching.WATCH_SECONDS
UNLIMITED = {"rate_limit_per_minute": 0, "max_sockets_per_user": 0, "max_sockets_per_conversation": 0}
LIMITED = {"rate_limit_per_minute": 1_000_000, "max_sockets_per_user": 20, "max_sockets_per_conversation": 100}
"""With every limit counted, and none in the way."""
LONG_LEASE = 14_400
"""Seconds; so that nobody need renew one while moto takes its time."""
TRANSACTION, BATCH = 90, 25
"""Messages of one write of the fixture; DynamoDB takes 100 items in a transaction, 25 in a batch."""


class Patient(Context):
    """Lambda's context, with time for long answers."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


CONTEXT: Any = Patient()


class Events(list[dict[str, Any]]):
    """What the worker was invoked with; in place of a client of Lambda."""

    def invoke(self, **asked: Any) -> None:
        self.append(json.loads(asked["Payload"]))


class Bench:
    """The application, and what its calls cost."""

    def __init__(self, meter: Meter, model: ScriptedModel, **settings: Any) -> None:
        self._meter = meter
        self._client = boto3.client("dynamodb")
        secret = boto3.client("secretsmanager").create_secret(Name=str(time.time_ns()), SecretString="t0ken")
        self.app: Any = Application(
            Settings(
                table_name=TABLE,
                api_token_secret_arn=secret["ARN"],
                workers_ai_base_url=model.base_url,
                websocket_endpoint="https://w1x2y3z4.execute-api.us-east-1.amazonaws.com/live",
                **{"max_stored_messages": LOG, "lease_seconds": LONG_LEASE, **settings},
            )
        )
        self.gateway = FakeGateway()
        self.events = Events()
        self.app.gateway, self.app.waker = self.gateway, TurnWorker(cast("Any", self.events), "turn-worker")
        self.waits = Waits()
        self.app.model = WatchedModel(self.app.model, self.waits)
        self.answer = Reply(chunks=[ANSWER])
        model.reset()
        model.when(self._answer)
        self.rest("warm", "the token of the model is read once")

    def cost(self, act: Callable[[], object], *, in_real_time: bool = False) -> Count:
        """Of all that the act does. ``waits`` then knows how often it waited for the table before the model was asked.

        No time passes for it while it waits for the table, unless ``in_real_time``.
        """
        self.waits.reset()
        self._meter.take()
        with self.waits.installed(as_clock=not in_real_time):
            act()
        return self._meter.take()

    def rest(self, conversation: str, content: str = QUESTION, **headers: str) -> None:
        """A turn over REST. Raises ``RuntimeError`` unless it is answered."""
        body = {"conversationId": conversation, "messages": [{"role": "user", "content": content}]}
        answer = answer_of(self.app, "POST", "/api/copilotedge", body, USER, **headers)
        check(answer)

    def stream(self, conversation: str) -> None:
        """A turn over the stream API. Raises ``HTTPStatusError`` unless it is answered."""
        self.app.run(self._stream(conversation))

    async def _stream(self, conversation: str) -> None:
        entrance: Any = Entrance(self.app.settings)
        entrance.tokens = FakeTokens(NEVER)
        body = {
            "model": self.app.settings.model,
            "messages": [{"role": "user", "content": QUESTION}],
            "metadata": {"conversationId": conversation},
            "stream": True,
        }
        transport = httpx.ASGITransport(compose(self.app, entrance))
        headers = {"authorization": f"Bearer good-{USER}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://stream", headers=headers) as client:
            (await client.post("/v1/chat/completions", json=body)).raise_for_status()

    def rest_and_sweep(self, conversation: str) -> None:
        """A turn, and what the worker does where the log has become too long."""
        self.rest(conversation)
        self.worker()

    def socket(self, kind: str, conversation: str, **frame: Any) -> None:
        """An event of a socket. Raises ``RuntimeError`` unless it is taken."""
        payload = event(f"websocket-{kind}")
        payload["requestContext"]["authorizer"]["conversationId"] = conversation
        payload["requestContext"]["requestTimeEpoch"] = now()
        payload["body"] = json.dumps(frame)
        answer = websocket_api.handle(self.app, payload)
        check(answer)

    def worker(self) -> None:
        """The worker, as often as it was woken."""
        while self.events:
            turn_worker.handle(self.app, self.events.pop(0), CONTEXT)

    def over_websocket(self, conversation: str, message_id: str) -> None:
        """A turn over WebSocket, to its end: the function that takes the frame, then the worker."""
        self.socket("message", conversation, type="chat", role="user", content=QUESTION, id=message_id)
        self.worker()

    def fill(self, conversation: str, messages: int, **state: Any) -> None:
        """Give a conversation a log of so many messages, as if they had just been said; the table has no other."""
        with self._meter.paused():
            self._client.delete_table(TableName=TABLE)
            create_table(self._client, TABLE)
            self._fill(address_of(USER, conversation).key, messages, state)

    def _fill(self, key: str, messages: int, state: dict[str, Any]) -> None:
        """Written batch by batch to tables of their own: moto copies a whole table for each transaction."""
        at = now()
        head = replace(born(Rules(), at), **{"seq": messages, "message_count": messages, "listed_at": at} | state)
        log = [message(n, at) for n in range(1, messages + 1)]
        for start in range(0, messages, TRANSACTION):
            scratch = create_table(self._client, f"scratch-{start}")
            store = DynamoDBStore(self._client, scratch, LOG, now)
            asyncio.run(store.commit(key, Change(None, head, messages=tuple(log[start : start + TRANSACTION]))))
            self._copy(self._client.scan(TableName=scratch)["Items"])
            self._client.delete_table(TableName=scratch)

    def _copy(self, items: list[dict[str, Any]]) -> None:
        for start in range(0, len(items), BATCH):
            puts: list[Any] = [{"PutRequest": {"Item": item}} for item in items[start : start + BATCH]]
            self._client.batch_write_item(RequestItems={TABLE: puts})

    def _answer(self, _: object) -> Reply:
        return self.answer


def check(answer: dict[str, Any]) -> None:
    if answer["statusCode"] != 200:
        raise RuntimeError(answer)


def message(number: int, at: int) -> Message:
    """One of a log, as a turn would have left it."""
    turn, name = f"{number // 2:032d}", f"{number:032d}"
    if number % 2:
        return Message(number, "user", QUESTION, at, name, turn)
    model = Settings().model
    return Message(
        number, "assistant", ANSWER, at, name, turn, tokens=270, prompt_tokens=140, model=model, cost=1_000_000
    )


@contextmanager
def without_watch(*, on: bool = True) -> Iterator[None]:
    """Puts the holder's look at the state off, which comes about once a second: moto takes seconds for a turn.

    What the looks cost, ``lasting`` measures.
    """
    before = watching.WATCH_SECONDS
    watching.WATCH_SECONDS = 3600.0 if on else WATCH_SECONDS
    yield
    watching.WATCH_SECONDS = before


@contextmanager
def measured() -> Iterator[tuple[Meter, ScriptedModel]]:
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    logging.disable()
    meter = Meter(lambda: boto3.client("dynamodb"))
    meter.install()
    aws: Any = mocked_aws()
    with aws, ScriptedModel() as model, without_watch():
        create_table(boto3.client("dynamodb"), TABLE)
        yield meter, model
