"""Functions as Lambda runs them: a process each, asynchronous events at least once, two retries, dead letters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from copilotedge import parcels
from copilotedge.caching import Caching
from copilotedge.charges import Charges
from copilotedge.conversations import Conversations
from copilotedge.door import Door
from copilotedge.holding import Holding
from copilotedge.limits import Limits
from copilotedge.models import Connection, Snapshot
from copilotedge.ports import ConversationStore
from copilotedge.prices import Prices
from copilotedge.replies import Replies
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets
from copilotedge.stateless import StatelessChat
from copilotedge.transitions import Rules
from copilotedge.turns import TurnRunner
from tests.fakes import START, FakeLog, FakeMetrics
from tests.memory_answer_cache import MemoryAnswerCache
from tests.memory_store import MemoryStore
from tests.memory_usage import MemoryUsage
from tests.simulation.points import Crash, Dice, Process, SimulatedModel, SimulatedStore

PRICES = Prices.published()
RETRY_SECONDS = (1.0, 2.0)
WORKER_SECONDS = 300.0


class Core:
    """The core inside one process, put together as ``wiring`` does."""

    def __init__(self, cloud: Cloud, process: Process) -> None:
        settings, rules, clock, log = cloud.settings, cloud.rules, cloud.clock, cloud.log
        self.process = process
        self.store: ConversationStore = SimulatedStore(cloud.store, process)
        self.gateway = ProcessGateway(cloud, process)
        self.waker = ProcessWaker(cloud, process)
        self.model = SimulatedModel(process, cloud.model_calls, cloud.word_seconds)
        window = settings.snapshot_messages
        metrics = FakeMetrics()
        limits = Limits(cloud.usage, settings, clock, metrics)
        self.conversations = Conversations(self.store, self.waker, limits, rules, window, clock, log)
        charges = Charges(limits, PRICES, metrics, log)
        caching = Caching(MemoryAnswerCache(clock), settings, metrics, log)
        stateless = StatelessChat(self.model, limits, charges, caching, settings, clock, log)
        holding = Holding(self.store, self.gateway, self.waker, settings, rules, clock, log)
        self.runner = TurnRunner(self.store, self.model, holding, self.waker, charges, settings, rules, clock, log)
        self.replies = Replies(self.conversations, self.runner, stateless, limits, settings, clock)
        self.sockets = Sockets(
            self.conversations, self.store, self.gateway, holding, Door(self.store), limits, settings, clock, log
        )


class Cloud:
    """All processes of a deployment, the store that they share, and the sockets that are connected."""

    def __init__(self, dice: Dice, settings: Settings, word_seconds: float = 0.15) -> None:
        self.dice = dice
        self.word_seconds = word_seconds
        self.settings = settings
        self.rules = Rules(
            inactivity_ms=settings.inactivity_ms,
            lease_ms=settings.lease_ms,
            max_queued=settings.max_queued_messages,
            max_attempts=settings.max_attempts,
        )
        self.log = FakeLog()
        self.store: ConversationStore = MemoryStore(self.clock)
        self.usage = MemoryUsage(self.clock, self.store)
        self.frames: dict[str, list[dict[str, Any]]] = {}
        self.open: set[str] = set()
        self.model_calls: list[str] = []
        self.dead_letters = 0
        self.crashes = 0
        self._events: set[asyncio.Task[None]] = set()
        self._processes = 0

    def clock(self) -> int:
        return START + int(asyncio.get_running_loop().time() * 1000)

    def core(self, kind: str, *, mortal: bool = True) -> Core:
        self._processes += 1
        return Core(self, Process(f"{kind}{self._processes}", self.dice, mortal))

    def invoke_worker(self, conversation_id: str, turn_id: str, connection_id: str, begun: str) -> None:
        """Lambda took the event: it will be run, perhaps more than once."""
        self._invoke(lambda core: self._work(core, conversation_id, turn_id, connection_id, begun))

    def invoke_standby(self, conversation_id: str) -> None:
        self._invoke(lambda core: core.runner.stand_by(conversation_id, self._worker_deadline()))

    async def receive(self, conversation_id: str, connection_id: str, body: dict[str, Any]) -> None:
        """One frame through the WebSocket function; when that breaks, the gateway tells the client."""
        arrival = self.clock()
        core = self.core("ws")
        try:
            await core.sockets.receive(conversation_id, Connection(connection_id), json.dumps(body), arrival)
        except (Crash, OSError):
            self.crashes += 1
            await self.deliver(connection_id, b'{"type": "gateway_error"}')

    async def deliver(self, connection_id: str, frame: bytes) -> bool:
        if connection_id not in self.open:
            return False
        self.frames.setdefault(connection_id, []).append(json.loads(frame))
        return True

    async def settle(self) -> None:
        """Until no event is under way."""
        while self._events:
            await asyncio.wait(set(self._events))

    def _invoke(self, work: Callable[[Core], Awaitable[None]]) -> None:
        for _ in range(2 if self.dice.strikes(self.dice.faults.duplicates) else 1):
            task = asyncio.ensure_future(self._run_event(work))
            self._events.add(task)
            task.add_done_callback(self._events.discard)

    async def _run_event(self, work: Callable[[Core], Awaitable[None]]) -> None:
        await self.dice.pause("event;", 0.03)
        for pause in (*RETRY_SECONDS, None):
            core = self.core("worker")
            try:
                await work(core)
                return
            except (Crash, Exception):  # noqa: BLE001 - whatever ends a function, Lambda tries again
                core.process.dead = True
                self.crashes += 1
            if pause is not None:
                await asyncio.sleep(pause)
        self.dead_letters += 1

    def _worker_deadline(self) -> int:
        return self.clock() + int(WORKER_SECONDS * 1000)

    async def _work(self, core: Core, conversation_id: str, turn_id: str, connection_id: str, begun: str) -> None:
        known = parcels.unpack(json.loads(begun)) if begun else None
        run = await core.runner.claim(conversation_id, core.process.name, known)
        await core.runner.serve(run, self._worker_deadline(), connection_id)


class ProcessGateway:
    """A process's way to the sockets."""

    def __init__(self, cloud: Cloud, process: Process) -> None:
        self._cloud = cloud
        self._process = process

    async def disconnect(self, connection_id: str) -> None:
        self._cloud.open.discard(connection_id)

    async def post(self, connection_id: str, frame: bytes) -> bool:
        await self._process.point("post", 0.01)
        delivered = await self._cloud.deliver(connection_id, frame)
        await self._process.thaw()
        return delivered


class ProcessWaker:
    """A process's way to asynchronous invocation."""

    def __init__(self, cloud: Cloud, process: Process) -> None:
        self._cloud = cloud
        self._process = process

    async def forget_user(self, user: str) -> None:
        raise NotImplementedError

    async def run_turn(
        self,
        conversation_id: str,
        turn_id: str,
        connection_id: str = "",
        token_expires: int = 0,
        begun: Snapshot | None = None,
    ) -> None:
        await self._process.point("wake", 0.01)
        parcel = json.dumps(parcels.pack(begun)) if begun else ""
        self._cloud.invoke_worker(conversation_id, turn_id, connection_id, parcel)

    async def stand_by(self, conversation_id: str) -> None:
        await self._process.point("wake", 0.01)
        self._cloud.invoke_standby(conversation_id)

    async def sweep(self, conversation_id: str) -> None:
        await self._process.point("wake", 0.01)
        await self._cloud.store.sweep(conversation_id)
