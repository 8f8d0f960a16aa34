"""Simulated users: each has a socket, says things, loses its connection, comes back."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

from copilotedge import frames
from copilotedge.answering import Answering, Reply, Words
from copilotedge.models import Connection, PromptMessage
from copilotedge.questions import Question
from tests.simulation.lambdas import Cloud
from tests.simulation.points import Crash, Dice

CONVERSATION = "c1"


class Client:
    """One user. ``frames`` is all it was ever sent, over all of its connections, in order."""

    def __init__(self, name: str, cloud: Cloud, dice: Dice) -> None:
        self.name = name
        self.sent: list[str] = []
        self.doubtful: set[str] = set()
        self.repeated: set[str] = set()
        self.cleared = False
        self._cloud = cloud
        self._dice = dice
        self._connections = 0
        self.connection_id = ""
        self.sockets: list[str] = []
        self.misheard: list[str] = []

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
        if times > 1:
            self.repeated.add(message_id)
        for _ in range(times):
            await self._send(type="chat", role="user", content=message_id, id=message_id)

    async def say_over_rest(self) -> None:
        """The same message over REST; the caller's process may die, and then the message may or may not be kept."""
        await self._say_over_http("http")

    async def stream(self) -> None:
        """The same, heard piece by piece."""
        await self._say_over_http("stream")

    async def append(self) -> None:
        """Words that nobody answers, over REST; everybody hears them, if the caller's process lives so long."""
        core = self._cloud.core("http")
        with contextlib.suppress(Crash, Exception):
            appended = await core.conversations.append(CONVERSATION, "assistant", f"by the way, {self.name}", 0)
            await core.sockets.tell(appended.run, frames.chat(appended.message, appended.state.epoch))

    async def _say_over_http(self, kind: str) -> None:
        message_id = f"{self.name}{len(self.sent)}"
        self.sent.append(message_id)
        core, now = self._cloud.core(kind), self._cloud.clock()
        asked = (Question((PromptMessage("user", message_id),)), "", CONVERSATION, now, now + 25_000, message_id)
        try:
            if kind == "stream":
                await self._hear(await core.replies.open(*asked))
            else:
                await core.replies.reply(*asked)
        except (Crash, Exception):  # noqa: BLE001 - a broken request tells the caller nothing
            core.process.dead = True
            self.doubtful.add(message_id)

    async def follow(self) -> None:
        """One of the own messages, heard from another process."""
        if not self.sent:
            return
        replies, deadline = self._cloud.core("stream").replies, self._cloud.clock() + 25_000
        with contextlib.suppress(Crash, Exception):
            await self._hear(await replies.follow("", CONVERSATION, self._dice.random.choice(self.sent), deadline))

    async def _hear(self, answering: Answering) -> None:
        """The pieces of an attempt join, and are the answer in the end."""
        text, attempt = "", 0
        async for piece in answering:
            assert isinstance(piece, Words)
            text, attempt = text if piece.attempt == attempt else "", piece.attempt
            if piece.offset != len(text):
                self.misheard.append(f"{answering.message_id}: a hole or a repeat at {piece.offset} of {len(text)}")
            text += piece.text
        reply = await answering.end()
        if isinstance(reply, Reply) and reply.text != text:
            self.misheard.append(f"{answering.message_id}: heard {text!r}, the answer is {reply.text!r}")

    async def mend(self) -> None:
        """What a careful client does when the seqs that it has show a hole, or it cannot know: it resumes."""
        cleared = [n for n, f in enumerate(self.frames) if f.get("content") == "conversation_cleared"]
        since = self.frames[cleared[-1] :] if cleared else self.frames
        seqs = {f["metadata"]["seq"] for f in since if f["type"] == "chat"}
        last = next(n for n in itertools.count() if n + 1 not in seqs)
        await self._send(type="system", content="resume", metadata={"afterSeq": last, "epoch": self._epoch()})

    async def command(self, content: str) -> None:
        self.cleared = self.cleared or content == "clear_history"
        await self._send(type="system", content=content)

    async def _send(self, **frame: Any) -> None:
        if frame["content"] == "resume":
            known = {"afterSeq": frame["metadata"]["afterSeq"], "epoch": self._epoch()}
            noted = {"type": "sent", "content": "resume", "metadata": known}
            self._cloud.frames.setdefault(self.connection_id, []).append(noted)
        await self._cloud.receive(CONVERSATION, self.connection_id, frame)
        if self._refused():
            self.doubtful.add(frame.get("id", ""))

    def _epoch(self) -> str:
        """The newest that it has heard of."""
        return max((f["metadata"]["epoch"] for f in self.frames if "epoch" in f.get("metadata", {})), default="")

    def _refused(self) -> bool:
        frames = self._cloud.frames.get(self.connection_id, [])
        return bool(frames) and frames[-1]["type"] in ("error", "gateway_error")
