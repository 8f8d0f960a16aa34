"""Stand-ins for the world around the core: clock, model, sockets, worker, log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from copilotedge import frames
from copilotedge.adapters.cloudwatch import METRICS
from copilotedge.caching import Caching
from copilotedge.charges import Charges
from copilotedge.conversations import Conversations
from copilotedge.door import Door
from copilotedge.errors import StoreUnavailable, Unauthenticated
from copilotedge.exports import Exports
from copilotedge.holding import Holding
from copilotedge.identity import Identity
from copilotedge.limits import Limits
from copilotedge.models import (
    Connection,
    Finished,
    ModelEvent,
    ModelRequest,
    PromptMessage,
    Role,
    Snapshot,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from copilotedge.outcomes import Appended
from copilotedge.ports import Amount, Clock, ConversationStore, UsageStore
from copilotedge.prices import Prices
from copilotedge.replies import Replies
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets
from copilotedge.stateless import StatelessChat
from copilotedge.titles import Titles
from copilotedge.transitions import Rules
from copilotedge.turns import TurnRunner
from copilotedge.users import Users
from tests.memory_answer_cache import MemoryAnswerCache
from tests.memory_store import MemoryStore
from tests.memory_usage import MemoryUsage

START = 1_800_000_000_000


@dataclass
class FakeClock:
    """Starts at a fixed moment and moves only when told."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> None:
        self.now += milliseconds


Step = str | Exception | asyncio.Event | ToolCallDelta


@dataclass
class FakeModel:
    """Plays one script a call: text is said, an event is awaited, an exception is raised. Echoes without a script."""

    scripts: list[Sequence[Step]] = field(default_factory=list)
    requests: list[ModelRequest] = field(default_factory=list)
    waiting: int = 0
    usage: Usage = field(default_factory=lambda: Usage(10, 5))
    closed: int = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        steps = self.scripts.pop(0) if self.scripts else ["You said: ", request.messages[-1].content]
        try:
            for step in steps:
                await asyncio.sleep(0)
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    self.waiting += 1
                    await step.wait()
                else:
                    yield TextDelta(step) if isinstance(step, str) else step
            yield Finished(self.usage, request.model)
        finally:
            self.closed += 1


@dataclass
class FakeGateway:
    """Keeps what each socket was sent; those in ``gone`` answer 410."""

    frames: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)

    async def post(self, connection_id: str, frame: bytes) -> bool:
        await asyncio.sleep(0)
        if connection_id in self.stuck:
            await asyncio.Event().wait()
        if connection_id in self.gone:
            return False
        self.frames.setdefault(connection_id, []).append(json.loads(frame))
        return True

    async def disconnect(self, connection_id: str) -> None:
        self.closed.append(connection_id)
        self.gone.add(connection_id)

    def kinds(self, connection_id: str) -> list[str]:
        """The frames of a socket in short: ``chat:user``, ``status:thinking``, ``delta``, ``error:<code>``."""
        return [_kind(frame) for frame in self.frames.get(connection_id, [])]

    def text(self, connection_id: str) -> str:
        """All deltas of a socket, joined."""
        return "".join(f["content"] for f in self.frames.get(connection_id, []) if f["type"] == "delta")


@dataclass
class FakeWaker:
    """Remembers who was woken; ``pending`` are the turns to run, ``begun`` what came along with each."""

    pending: list[tuple[str, str, str]] = field(default_factory=list)
    begun: dict[str, Snapshot | None] = field(default_factory=dict)
    standing_by: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    to_entitle: list[str] = field(default_factory=list)

    async def run_turn(
        self,
        conversation_id: str,
        turn_id: str,
        connection_id: str = "",
        token_expires: int = 0,
        begun: Snapshot | None = None,
    ) -> None:
        self.pending.append((conversation_id, turn_id, connection_id))
        self.begun[turn_id] = begun

    async def stand_by(self, conversation_id: str) -> None:
        self.standing_by.append(conversation_id)

    async def sweep(self, conversation_id: str) -> None:
        self.swept.append(conversation_id)

    async def entitle(self, conversation_id: str) -> None:
        self.to_entitle.append(conversation_id)

    async def forget_user(self, user: str) -> None:
        self.forgotten.append(user)


@dataclass
class FakeLog:
    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


class FakeTokens:
    """Takes ``good-<user>``, until ``expires_at`` (ms); keeps what it was asked."""

    def __init__(self, expires_at: int = START) -> None:
        self.asked: list[str] = []
        self.expires_at = expires_at

    async def verify(self, token: str) -> Identity:
        self.asked.append(token)
        kind, _, rest = token.partition("-")
        if kind == "good":
            return Identity(rest, self.expires_at)
        if kind == "lost":
            raise StoreUnavailable("Throttled.")
        raise Unauthenticated("No.", code=token)


@dataclass
class FakeMetrics:
    """Keeps each count: its amounts, with its dimensions beside them."""

    counts: list[dict[str, Amount | str]] = field(default_factory=list)

    def count(self, amounts: Mapping[str, Amount], **dimensions: str) -> None:
        unknown = amounts.keys() - METRICS.keys()
        assert not unknown, f"no metrics: {unknown}"
        self.counts.append({**amounts, **dimensions})

    def values(self, name: str) -> list[Any]:
        """In their order."""
        return [count[name] for count in self.counts if name in count]

    def sum(self, name: str) -> float:
        return sum(map(float, self.values(name)))


class World:
    """The whole core over the fakes, put together as ``wiring`` does with the real ones.

    ``store`` makes another store than the one in memory, from the world's clock; ``usage`` likewise.
    """

    def __init__(
        self,
        store: Callable[[Clock], ConversationStore] | None = None,
        usage: Callable[[Clock], UsageStore] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.settings = Settings(**settings)
        self.rules = Rules(
            inactivity_ms=self.settings.inactivity_ms,
            lease_ms=self.settings.lease_ms,
            max_queued=self.settings.max_queued_messages,
            max_stored=self.settings.max_stored_messages,
            max_attempts=self.settings.max_attempts,
        )
        self.store: Any = store(self.clock) if store else MemoryStore(self.clock, self.settings.max_stored_messages)
        self.model, self.gateway, self.waker, self.log = FakeModel(), FakeGateway(), FakeWaker(), FakeLog()
        self.usage: Any = usage(self.clock) if usage else MemoryUsage(self.clock, self.store)
        self.metrics, self.answers = FakeMetrics(), MemoryAnswerCache(self.clock)
        self.limits = Limits(self.usage, self.settings, self.clock, self.metrics)
        self.caching = Caching(self.answers, self.settings, self.metrics, self.log)
        self.charges = Charges(self.limits, Prices.published(self.settings.price_table), self.metrics, self.log)
        window = self.settings.snapshot_messages
        self.conversations = Conversations(
            self.store, self.waker, self.limits, self.rules, window, self.clock, self.log
        )
        self.holding = Holding(self.store, self.gateway, self.waker, self.settings, self.rules, self.clock, self.log)
        self.runner = TurnRunner(
            self.store,
            self.model,
            self.holding,
            self.waker,
            self.charges,
            self.settings,
            self.rules,
            self.clock,
            self.log,
        )
        stateless = StatelessChat(
            self.model, self.limits, self.charges, self.caching, self.settings, self.clock, self.log
        )
        self.replies = Replies(self.conversations, self.runner, stateless, self.limits, self.settings, self.clock)
        self.sockets = Sockets(
            self.conversations,
            self.store,
            self.gateway,
            self.holding,
            Door(self.store),
            self.limits,
            self.settings,
            self.clock,
            self.log,
        )
        self.users = Users(
            self.store,
            self.usage,
            self.answers,
            self.conversations,
            self.sockets,
            self.gateway,
            self.waker,
            self.log,
        )

        self.titles = Titles(self.store, self.model, self.limits, self.charges, self.sockets, self.settings, self.log)
        self.exports = Exports(self.conversations, self.users)

    @property
    def deadline(self) -> int:
        return self.clock.now + 800_000

    async def connect(self, *names: str, to: str = "c1") -> None:
        for name in names:
            await self.sockets.connect(to, Connection(name))

    async def send(self, name: str, to: str = "c1", **frame: Any) -> str:
        return await self.sockets.receive(to, Connection(name), json.dumps(frame), self.clock.now)

    async def say(self, name: str, content: str, to: str = "c1", **extra: Any) -> str:
        return await self.send(name, to, type="chat", role="user", content=content, **extra)

    async def append(self, key: str, role: Role, content: str, tokens: int = 0, user: str = "") -> Appended:
        """Store a message, and tell the sockets."""
        appended = await self.conversations.append(key, role, content, tokens, user)
        await self.sockets.tell(appended.run, frames.chat(appended.message, appended.state.epoch))
        return appended

    async def append_all(self, key: str, messages: Sequence[PromptMessage], user: str = "") -> Appended:
        """Store messages, and tell the sockets."""
        appended = await self.conversations.append_all(key, messages, user)
        await self.sockets.tell(appended.run, *(frames.chat(one, appended.state.epoch) for one in appended.messages))
        return appended

    async def work(self) -> None:
        """Run every turn that a worker was woken for, one after the other."""
        while self.waker.pending:
            conversation_id, turn_id, connection_id = self.waker.pending.pop(0)
            begun = self.waker.begun.pop(turn_id, None)
            run = await self.runner.claim(conversation_id, f"worker-{turn_id[:4]}", begun)
            await self.runner.serve(run, self.deadline, connection_id)

    async def log_of(self, conversation_id: str = "c1") -> list[tuple[str, str, str]]:
        """Role, content and status of the whole log."""
        page = await self.conversations.page(conversation_id, 1000)
        return [(message.role, message.content, message.status) for message in page.messages]


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Let other tasks run until ``condition`` holds. Raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions are plain functions of the fakes' state
            await asyncio.sleep(0.001)


def _kind(frame: dict[str, Any]) -> str:
    detail = {"chat": "role", "status": "status", "system": "content", "error": "code"}.get(frame["type"])
    return f"{frame['type']}:{frame[detail]}" if detail else str(frame["type"])
