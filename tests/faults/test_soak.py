"""Two hundred sockets over fifty conversations for a minute, coming and going at random; then the history checker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.clients import Frame, Rest, bearer, new_conversation, remember
from tests.history import check
from tests.scripted_model import Reply, Request
from tests.stack import DeployedStack, wait_until

SOCKETS, CONVERSATIONS, SECONDS, SEED = 200, 50, 60, 7
THINK = (15.0, 50.0)
"""Seconds between two acts of a client: what two cores carry, with the stack, the model and all clients on them."""
ENTRANCES = 3
"""Clients that connect at the same time. A crowd at the door would have MiniStack start a process for each."""
PATIENCE = 180.0
"""Seconds in which everything has to come to rest."""

pytestmark = pytest.mark.alone


@dataclass
class User:
    """A client that speaks, goes away without a word, comes back, asks for what it missed, and repeats what was
    not acknowledged."""

    url: str
    token: str
    name: str
    entrance: asyncio.Semaphore
    chance: random.Random
    connection: ClientConnection | None = None
    listening: asyncio.Task[None] | None = None
    sockets: list[list[Frame]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    unacknowledged: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)
    resumed: int = 0
    acts: Counter[str] = field(default_factory=Counter)

    async def live(self, seconds: float) -> None:
        """Acts at random for so long."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        pause = self.chance.uniform(0, THINK[1])
        while clock() + pause < end:
            await asyncio.sleep(pause)
            pause = self.chance.uniform(*THINK)
            await self.chance.choices([self.speak, self.vanish, self.leave, self.resume], [60, 15, 15, 10])[0]()
            if self.connection is None:
                await asyncio.sleep(self.chance.uniform(0, 2))
                await self.come()

    async def come(self) -> None:
        self.acts["connects"] += 1
        async with self.entrance:
            self.connection = await self.enter()
        frames: list[Frame] = []
        self.sockets.append(frames)
        self.listening = asyncio.create_task(self.listen(self.connection, frames))
        await self.resume()
        for message_id, content in list(self.unacknowledged.items()):
            await self.send(type="chat", role="user", content=content, id=message_id)

    async def enter(self) -> ClientConnection:
        while True:
            try:
                return await connect(
                    self.url, additional_headers=bearer(self.token), proxy=None, open_timeout=60, ping_interval=None
                )
            except InvalidStatus:
                self.errors["not admitted"] += 1

    async def speak(self) -> None:
        self.acts["messages"] += 1
        message_id = f"{self.name}-{len(self.sent)}"
        self.sent.append(message_id)
        self.unacknowledged[message_id] = f"{message_id} says 🎉"
        await self.send(type="chat", role="user", content=self.unacknowledged[message_id], id=message_id)

    async def resume(self) -> None:
        self.acts["resumes"] += 1
        metadata = {"afterSeq": max(self.seen, default=0), "offset": 0}
        await self.send(type="system", content="resume", metadata=metadata)

    async def leave(self) -> None:
        self.acts["goodbyes"] += 1
        await self.end(self.connection.close())

    async def vanish(self) -> None:
        self.acts["cuts"] += 1
        self.connection.transport.abort()
        await self.end(asyncio.sleep(0))

    async def end(self, goodbye: Any) -> None:
        await goodbye
        await self.listening
        self.connection = None

    async def send(self, **frame: Any) -> None:
        remember(frame)
        with contextlib.suppress(ConnectionClosed):
            await self.connection.send(json.dumps(frame))

    async def listen(self, connection: ClientConnection, frames: list[Frame]) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in connection:
                frame = json.loads(data)
                if "type" in frame:
                    frames.append(frame)
                    self.take(frame)
                else:  # the gateway's own word for a function that broke down
                    self.errors[frame["message"]] += 1

    def take(self, frame: Frame) -> None:
        metadata = frame.get("metadata", {})
        if frame["type"] == "error":
            self.errors[frame["code"]] += 1
            if frame["code"] == "queue_full":
                self.refused.add(metadata["messageId"])
        if frame["type"] == "chat":
            self.seen.add(metadata["seq"])
        self.resumed += frame.get("content") == "resumed"
        if frame["type"] in ("chat", "status") or metadata.get("messageId") in self.refused:
            self.unacknowledged.pop(metadata.get("messageId"), None)

    async def be_acknowledged(self) -> None:
        """Until everything it ever said has been taken."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: not self.unacknowledged)

    async def catch_up(self) -> None:
        """Until it has been told all it had missed; then it goes."""
        before = self.resumed
        async with self.entrance:
            await self.resume()
            await until(lambda: self.resumed > before)
            await self.leave()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  frames change it, and no event would be simpler
            await asyncio.sleep(0.05)


async def test_two_hundred_sockets_over_fifty_conversations_leave_no_contradiction(stack: DeployedStack):
    started = time.time()
    stack.model.default = story
    conversations = [new_conversation("soak") for _ in range(CONVERSATIONS)]
    entrance = asyncio.Semaphore(ENTRANCES)
    users = {number: user(stack, conversations, number, entrance) for number in range(SOCKETS)}
    await asyncio.gather(*(each.come() for each in users.values()))
    for number in range(CONVERSATIONS):  # one after the other, so that a few workers get warm and not fifty at once
        await users[number].speak()
        await users[number].be_acknowledged()
    began = time.time()
    await asyncio.gather(*(each.live(SECONDS) for each in users.values()))
    await asyncio.gather(*(each.be_acknowledged() for each in users.values()))
    with stack.rest() as rest:
        await asyncio.to_thread(wait_until, lambda: is_quiet(rest, conversations), "rest", PATIENCE, 0.5)
        lasted = time.time() - began
        await asyncio.gather(*(each.catch_up() for each in users.values()))
        observed = [rest.observed(name, *told_by(users, number)) for number, name in enumerate(conversations)]
    report(users.values(), [len(each.log) for each in observed], lasted, len(stack.model.requests))
    assert {user.name: user.unacknowledged for user in users.values() if user.unacknowledged} == {}
    assert [violation for each in observed for violation in check(each)] == []
    assert [user.name for n, user in users.items() if missed(user, observed[n % CONVERSATIONS].log)] == []
    assert stack.troubles(started) == []
    assert sum((user.errors for user in users.values()), Counter()) == Counter()


def story(request: Request) -> Reply:
    """An answer that takes its time: about a second."""
    return Reply(f"You said: {request.last_user_message}, and so on", delay_between=0.12)


def user(stack: DeployedStack, conversations: list[str], number: int, entrance: asyncio.Semaphore) -> User:
    url = f"{stack.websocket_url}?conversationId={conversations[number % CONVERSATIONS]}"
    return User(url, stack.token(), f"u{number}", entrance, random.Random(f"{SEED} {number}"))


def is_quiet(rest: Rest, conversations: list[str]) -> bool:
    """Whether no turn runs, and so no message waits."""
    return not any(rest.history(name, "?limit=1")["turn"] for name in conversations)


def told_by(users: dict[int, User], conversation: int) -> tuple[dict[str, list[Frame]], dict[str, list[str]], set[str]]:
    """Frames, messages sent and messages refused, of those who were in the conversation."""
    present = [user for number, user in users.items() if number % CONVERSATIONS == conversation]
    sockets = {f"{user.name}/{n}": frames for user in present for n, frames in enumerate(user.sockets)}
    return sockets, {user.name: user.sent for user in present}, set().union(*(user.refused for user in present))


def missed(user: User, log: list[dict[str, Any]]) -> set[int]:
    """Messages that the client was never shown."""
    return {entry["seq"] for entry in log} - user.seen


def report(users: Iterable[User], logs: list[int], seconds: float, model_calls: int) -> None:
    acts = sum((user.acts for user in users), Counter())
    heard = sum(len(frames) for user in users for frames in user.sockets)
    print(f"\n{dict(acts)}, {heard} frames received, {sum(logs)} messages kept, {model_calls} model calls")
    print(f"All came to rest {seconds:.0f} s after the first act")
