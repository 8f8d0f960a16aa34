"""Dollars a million turns on AWS, from what was measured, what the code does, and list prices (``prices.json``).

``Workload`` is what is assumed: how people talk, and how fast the model does. Everything else is measured
(``measured``), computed with the functions' own code (``words``, ``Prices``), or a price. A bill has a line for each
thing that AWS charges for; free tiers are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import words
from bench.footprint import PLATFORM
from bench.measured import Measured, Units
from copilotedge import titles
from copilotedge.adapters.dynamodb.store import SPARE
from copilotedge.models import Message, Usage
from copilotedge.prices import Prices, dollars
from copilotedge.prompts import estimated_usage
from copilotedge.settings import Settings
from copilotedge.speech import COALESCE_SECONDS
from copilotedge.transitions import Rules
from copilotedge.watching import WATCH_SECONDS

PRICES = Path(__file__).with_name("prices.json")
MILLION = 1_000_000
GB = 10**9
FULL_CORE_MB = 1769
"""Memory at which a function has one whole processor; with less it has that share of one (Lambda quotas)."""
DYNAMODB_SECONDS = 0.009
"""The longest that "single-digit milliseconds" can mean (DynamoDB on-demand capacity mode)."""
PING_MINUTES = 5.0
"""How often our clients ask a quiet socket whether it lives."""
AUTHORIZER_MB = 512
DELETED_PER_TURN = 2
"""Items that a turn leaves behind: question and answer, each a write unit to delete. Expiry alone would be free."""
READ_ALONG = 2 + SPARE + Settings().snapshot_messages - Settings().history_window_messages
"""Items that the one query of a turn may read besides the window: state, settings, an exchange, what waits."""

Bill = dict[str, float]
"""USD a million turns, by what they are paid for."""

WAITING, WORKING, REQUESTS = "Lambda: waiting for the model", "Lambda: own work", "Lambda: requests"
GATEWAY, MINUTES, WRITES = "API Gateway: requests and messages", "API Gateway: connection minutes", "DynamoDB: writes"
READS, ENDING, LOGS, TRANSFER = (
    "DynamoDB: reads",
    "DynamoDB: deleting it later",
    "CloudWatch: logs",
    "Data transfer out",
)


@dataclass(frozen=True, slots=True)
class Workload:
    """What is assumed. The first lines are the conversation that `make bench` measures with, 1 KB a turn."""

    question_tokens: int = 128
    answer_tokens: int = 128
    window_messages: int = Settings().history_window_messages
    first_token_seconds: float = 0.5
    tokens_per_second: float = 40.0
    sockets: int = 1
    minutes_per_turn: float = 2.0
    turns_per_connection: int = 10
    turns_per_conversation: int = 10
    memory_mb: int = 1024
    coalesce_seconds: float = COALESCE_SECONDS
    model: str = Settings().model

    @property
    def model_seconds(self) -> float:
        return self.first_token_seconds + self.answer_tokens / self.tokens_per_second

    @property
    def prompt_tokens(self) -> int:
        """A full window, of messages or of characters, whichever ends first."""
        mean = (self.question_tokens + self.answer_tokens) / 2
        return int(min(self.window_messages * mean, Settings().history_window_characters / words.CHARACTERS_PER_TOKEN))


class PriceList:
    """USD of one unit of each thing: ``price("dynamodb", "write_unit")``."""

    def __init__(self, file: Path = PRICES) -> None:
        self.services: Mapping[str, Any] = json.loads(file.read_text())["services"]

    def __call__(self, service: str, thing: str) -> float:
        entry = self.services[service]["prices"][thing]
        return float(entry["usd"] / entry["per"])


class CostModel:
    """Bills of one workload."""

    def __init__(self, measured: Measured, workload: Workload | None = None, price: PriceList | None = None) -> None:
        self.measured = measured
        self.workload = workload or Workload()
        self.price = price or PriceList()

    def given(self, **changes: Any) -> CostModel:
        """The same with another workload."""
        return CostModel(self.measured, replace(self.workload, **changes), self.price)

    # --- Ours --------------------------------------------------------------------------------------------------------

    def rest(self) -> Bill:
        """An answer that takes longer than a REST caller waits is begun anew by the worker: that time is paid twice."""
        bill, budget = self._http(self.measured.rest, "http-api"), Settings().rest_time_budget_seconds
        if self.workload.model_seconds > budget:
            bill[WAITING] += self._lambda(budget)
            bill[REQUESTS] += self._per_million("lambda", "request")
        return bill

    def stream(self) -> Bill:
        """Over the function URL: no gateway, no authorizer, but a word an event to transfer.

        The first 6 MB that a request streams cost nothing (Lambda pricing), and no answer is longer.
        """
        bill = self._http(self.measured.rest, "stream-api")
        size = words.over_a_stream(self.workload.answer_tokens, self.workload.model).bytes
        bill[REQUESTS] = self._per_million("lambda", "request")
        return bill | {GATEWAY: 0.0, TRANSFER: self._transfer(size)}

    def websocket(self) -> Bill:
        """The function that takes the frame, and the worker; every open socket is sent every frame, and pings."""
        load, measured = self.workload, self.measured
        traffic = words.over_a_socket(
            load.question_tokens, load.answer_tokens, load.tokens_per_second, load.coalesce_seconds
        )
        pings = load.sockets * load.minutes_per_turn / PING_MINUTES
        comings = load.sockets / load.turns_per_connection
        calls = 2 + pings + 3 * comings  # the frame's and the worker's; connect, its authorizer, disconnect
        logged = (
            measured.log_bytes["turn_worker"]
            + (1 + pings + 3 * comings) * measured.log_bytes["websocket_api"]
            + calls * len(PLATFORM)
        )
        front = self._own_seconds("websocket-api", measured.websocket.requests // 2)  # half of them are this one's
        extra = _sum(_times(measured.ping, pings), _times(measured.connection, comings))
        return {
            WAITING: self._lambda(load.model_seconds),
            WORKING: self._lambda(self._own_seconds("turn-worker", measured.websocket.requests // 2))
            + self._lambda(front * (calls - 1)),
            REQUESTS: calls * self._per_million("lambda", "request"),
            GATEWAY: (1 + 2 * pings + load.sockets * traffic.messages)
            * self._per_million("api_gateway", "websocket_message"),
            MINUTES: load.sockets * load.minutes_per_turn * self._per_million("api_gateway", "connection_minute"),
            **self._dynamodb(_sum(measured.websocket, extra)),
            LOGS: self._logs(logged),
            TRANSFER: self._transfer(load.sockets * traffic.bytes),
        }

    def asides(self) -> Bill:
        """USD a million of what does not come with every turn. A cold start reads a secret."""
        measured, load = self.measured, self.workload
        write, read = (self._per_million("dynamodb", f"{unit}_unit") for unit in ("write", "read"))
        request, message = self._per_million("lambda", "request"), self._per_million("api_gateway", "websocket_message")
        front = self._lambda(self._own_seconds("websocket-api", 2))
        title = (
            load.first_token_seconds + titles.TITLE_CHARACTERS / 2 / words.CHARACTERS_PER_TOKEN / load.tokens_per_second
        )
        start = self._lambda(measured.start_seconds) + self._per_million("secrets_manager", "call")
        return {
            **({"a cold start": start} if measured.start_seconds else {}),
            "a socket that comes and goes": 3 * request
            + 3 * front
            + measured.connection.write * write
            + measured.connection.read * read,
            "a ping": request + front + 2 * message + measured.ping.write * write + measured.ping.read * read,
            "a title, without its tokens": request + self._lambda(title) + 4 * read + 2 * write,
        }

    # --- Beside them -------------------------------------------------------------------------------------------------

    def peer(self, units: Units) -> Bill:
        """A peer's store behind the same HTTP API and function. It deletes nothing."""
        bill = self._http(units, "http-api")
        reads = units.read * self._per_million("dynamodb", "read_unit")
        writes = units.write * self._per_million("dynamodb", "write_unit")
        return bill | {READS: reads, WRITES: writes, ENDING: 0.0}

    def original(self, stored: int, backend: str) -> Bill:
        """The original on Cloudflare: a Worker that asks the model, and three requests to the Durable Object.

        It reads and, for the question and for the answer, writes the whole conversation, under one key
        (``src/index.ts`` and ``src/durable-objects.ts`` of CopilotEdge 0.8). Waiting costs a Worker nothing. CPU time
        is 10 ms each, as in Cloudflare's own example; we have not measured it.
        """
        message = (self.workload.question_tokens + self.workload.answer_tokens) // 2 * words.CHARACTERS_PER_TOKEN
        entry = message + len('{"role":"assistant","content":"","timestamp":1795349630000},')
        if backend == "sqlite":
            reads = self._per_million("durable_objects", "row_read")
            writes = 2 * self._per_million("durable_objects", "row_written")
        else:
            before, asked, answered = (math.ceil(max(1, n) * entry / 4096) for n in (stored, stored + 1, stored + 2))
            reads = before * self._per_million("durable_objects", "kv_read_unit")
            writes = (asked + answered) * self._per_million("durable_objects", "kv_write_unit")
        return {
            "Worker: request and CPU": self._per_million("workers", "request")
            + 10 * self._per_million("workers", "cpu_millisecond"),
            "Durable Object: requests": 3 * self._per_million("durable_objects", "request"),
            "Durable Object: duration": self._object_seconds(3 * 0.010),
            "Durable Object: storage read": reads,
            "Durable Object: storage written": writes,
        }

    def durable_object(self) -> Bill:
        """Our turn, were it run inside a Durable Object: a frame comes in, the object waits for the model, and writes.

        As many rows as our turn has items: the state twice, the question, the answer, the count of the limit.
        """
        return {
            "Durable Object: requests": self._per_million("durable_objects", "request")
            * (1 / 20 + self.workload.sockets / self.workload.turns_per_connection),
            "Durable Object: duration": self._object_seconds(self.workload.model_seconds),
            "Durable Object: storage read": self.workload.window_messages
            * self._per_million("durable_objects", "row_read"),
            "Durable Object: storage written": (5 + DELETED_PER_TURN)
            * self._per_million("durable_objects", "row_written"),
        }

    def model_tokens(self) -> Bill:
        """What the model itself costs, whoever calls it: prompt, answer, and a title once a conversation."""
        load, prices = self.workload, Prices.published()
        title = self._title()
        asked = Usage(load.prompt_tokens, 0), Usage(0, load.answer_tokens)
        read, said = (dollars(prices.cost(load.model, usage) or 0) for usage in asked)
        named = dollars(prices.cost(load.model, title) or 0) / load.turns_per_conversation
        return {"Tokens read": read * MILLION, "Tokens said": said * MILLION, "Titles": named * MILLION}

    # --- Lines -------------------------------------------------------------------------------------------------------

    def _http(self, units: Units, function: str) -> Bill:
        load = self.workload
        logged = self.measured.log_bytes["http_api"] + 2 * len(PLATFORM) + self.measured.log_bytes["websocket_api"]
        answer = 900 + load.answer_tokens * words.CHARACTERS_PER_TOKEN  # headers and JSON around it
        return {
            WAITING: self._lambda(load.model_seconds),
            WORKING: self._lambda(self._own_seconds(function, units.requests)),
            REQUESTS: 2 * self._per_million("lambda", "request"),  # its own and, at worst, the authorizer's
            GATEWAY: self._per_million("api_gateway", "http_request"),
            MINUTES: 0.0,
            **self._dynamodb(units),
            LOGS: self._logs(logged),
            TRANSFER: self._transfer(answer),
        }

    def _dynamodb(self, units: Units) -> Bill:
        """With the looks at the state beside the model, and the renewals of the lease."""
        seconds = self.workload.model_seconds
        renewals = seconds // (Rules().lease_ms / 2000)
        write = self._per_million("dynamodb", "write_unit")
        swept = self._partition_bytes() / 4096 / self.workload.turns_per_conversation
        window = (self.workload.window_messages + READ_ALONG) / (Workload().window_messages + READ_ALONG)
        return {
            WRITES: (units.write + renewals) * write,
            READS: (units.read * window + seconds // WATCH_SECONDS) * self._per_million("dynamodb", "read_unit"),
            ENDING: DELETED_PER_TURN * write + swept * self._per_million("dynamodb", "read_unit"),
        }

    def _partition_bytes(self) -> float:
        """Of a conversation at its end."""
        return self.workload.turns_per_conversation * self.stored_bytes

    @property
    def stored_bytes(self) -> float:
        """Of a turn's two items: their text, and what a query of a full window shows to be around it, at most."""
        query = self.measured.rest.read * 4096 / (Workload().window_messages + READ_ALONG)
        around = query - Workload().answer_tokens * words.CHARACTERS_PER_TOKEN
        text = (self.workload.question_tokens + self.workload.answer_tokens) * words.CHARACTERS_PER_TOKEN
        return text + 2 * around

    def _own_seconds(self, function: str, requests: int) -> float:
        """Processor time at this memory, and the requests to the table, as if each were waited for."""
        share = min(1.0, self.workload.memory_mb / FULL_CORE_MB)
        return self.measured.cpu[function] / share + requests * DYNAMODB_SECONDS

    def _lambda(self, seconds: float) -> float:
        return seconds * self.workload.memory_mb / 1024 * self._per_million("lambda", "arm64")

    def _object_seconds(self, seconds: float) -> float:
        return seconds * 0.128 * self._per_million("durable_objects", "gb_second")

    def _logs(self, size: float) -> float:
        return size / GB * self._per_million("cloudwatch", "log_ingestion")

    def _transfer(self, size: float) -> float:
        return size / GB * self._per_million("data_transfer", "out")

    def _per_million(self, service: str, thing: str) -> float:
        return self.price(service, thing) * MILLION

    def _title(self) -> Usage:
        load = self.workload
        said = [
            Message(1, "user", "x" * load.question_tokens * words.CHARACTERS_PER_TOKEN, 0, ""),
            Message(2, "assistant", "x" * load.answer_tokens * words.CHARACTERS_PER_TOKEN, 0, ""),
        ]
        return estimated_usage(titles.request_for(said, Settings()), titles.TITLE_CHARACTERS // 2)


def total(bill: Bill) -> float:
    return math.fsum(bill.values())


def _times(units: Units, often: float) -> Units:
    return Units(units.write * often, units.read * often, 0)


def _sum(*units: Units) -> Units:
    return Units(sum(u.write for u in units), sum(u.read for u in units), sum(u.requests for u in units))
