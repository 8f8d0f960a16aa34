"""Simulated users: each has a socket, says things, loses its connection, comes back."""

from __future__ import annotations

import itertools
from typing import Any

from copilotedge.models import Connection
from copilotedge.requests import ChatMessage, ChatRequest
from tests.simulation.lambdas import Cloud
from tests.simulation.points import Crash, Dice

CONVERSATION = "c1"


class Client:
    """One user. ``frames`` is all it was ever sent, over all of its connections, in order."""

    def __init__(self, name: str, cloud: Cloud, dice: Dice) -> None:
        self.name = name
        self.sent: list[str] = []
        self.doubtful: set[str] = set()
        self.cleared = False
        self._cloud = cloud
        self._dice = dice
        self._connections = 0
        self.connection_id = ""
        self.sockets: list[str] = []

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [frame for socket in self.sockets for frame in self._cloud.frames.get(socket, [])]

    async def connect(self) -> None:
        self._connections += 1
        self.connection_id = f"{self.name}-{self._connections}"
        self.sockets.append(self.connection_id)
        await self._cloud.store.connect(CONVERSATION, Connection(self.connection_id))
        self._cloud.open.add(self.connection_id)

    async def reconnect(self) -> None:
        """The socket dies unnoticed; a new one asks for what was missed."""
        self._cloud.open.discard(self.connection_id)
        await self._dice.pause("gone;", 0.3)
        await self.connect()
        seqs = [f["metadata"]["seq"] for f in self.frames if f["type"] == "chat"]
        await self._send(type="system", content="resume", metadata={"afterSeq": max(seqs, default=0)})

    async def say(self, times: int = 1) -> None:
        """A message with an id of its own, sent so often."""
        message_id = f"{self.name}{len(self.sent)}"
        self.sent.append(message_id)
        for _ in range(times):
            await self._send(type="chat", role="user", content=message_id, id=message_id)

    async def say_over_rest(self) -> None:
        """The same message over REST; the caller's process may die, and then the message may or may not be kept."""
        message_id = f"{self.name}{len(self.sent)}"
        self.sent.append(message_id)
        core = self._cloud.core("http")
        request = ChatRequest.model_construct(
            messages=[ChatMessage.model_construct(role="user", content=message_id)],
            conversation_id=CONVERSATION,
        )
        try:
            await core.replies.reply(
                request, "", CONVERSATION, self._cloud.clock(), self._cloud.clock() + 25_000, message_id
            )
        except (Crash, Exception):  # noqa: BLE001 - a broken request tells the caller nothing
            core.process.dead = True
            self.doubtful.add(message_id)

    async def mend(self) -> None:
        """What a careful client does when the seqs that it has show a hole, or it cannot know: it resumes."""
        cleared = [n for n, f in enumerate(self.frames) if f.get("content") == "conversation_cleared"]
        since = self.frames[cleared[-1] :] if cleared else self.frames
        seqs = {f["metadata"]["seq"] for f in since if f["type"] == "chat"}
        last = next(n for n in itertools.count() if n + 1 not in seqs)
        epochs = [f["metadata"]["epoch"] for f in self.frames if "epoch" in f.get("metadata", {})]
        metadata = {"afterSeq": last, "epoch": max(epochs, default="")}
        await self._send(type="system", content="resume", metadata=metadata)

    async def command(self, content: str) -> None:
        self.cleared = self.cleared or content == "clear_history"
        await self._send(type="system", content=content)

    async def _send(self, **frame: Any) -> None:
        if frame["content"] == "resume":
            self._cloud.frames.setdefault(self.connection_id, []).append({"type": "sent", "content": "resume"})
        await self._cloud.receive(CONVERSATION, self.connection_id, frame)
        if self._refused():
            self.doubtful.add(frame.get("id", ""))

    def _refused(self) -> bool:
        frames = self._cloud.frames.get(self.connection_id, [])
        return bool(frames) and frames[-1]["type"] in ("error", "gateway_error")
