"""Frames to every socket of a conversation: in order on each, and none waiting for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container

from copilotedge import frames
from copilotedge.addresses import may_hear
from copilotedge.errors import CopilotEdgeError
from copilotedge.frames import Frame
from copilotedge.models import Connection, Resume
from copilotedge.ports import Clock, ConversationStore, Gateway, Log

LONGEST_FLUSH_SECONDS = 60.0
CONNECTING_MS = 5_000
"""So long after it was listed a socket that the gateway does not know may be one that is still being let in: that waits
for the function that listed it."""
CONNECTING_PAUSE_SECONDS = 0.1
MAX_BACKLOG = 1000
"""Frames that may wait for one socket; a socket further behind is left alone (it sees the hole and resumes)."""


class Channel:
    """The sockets of one conversation, as the holder of its turn speaks to them.

    Frames sent before the sockets are known wait for them. Each socket has an outbox and a task of its own. What has
    not been posted when ``may_speak`` turns false is dropped: another process has the word then. ``posted`` counts
    frames, ``failures`` how often a socket that is there took no more.
    """

    def __init__(
        self,
        conversation_id: str,
        store: ConversationStore,
        gateway: Gateway,
        clock: Clock,
        log: Log,
        also: str = "",
        also_ends: int = 0,
    ) -> None:
        self._conversation_id = conversation_id
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._log = log
        self._also = also
        self._connections = {also: Connection(also, token_expires=also_ends)}
        self._outboxes: dict[str, _Outbox] = {}
        self._early: list[bytes] | None = []
        self._granted: set[str] = set()
        self._let_in: set[str] = set()
        self.posted = 0
        self.failures = 0
        self.may_speak: Callable[[], bool] = lambda: True

    def send(self, frame: Frame) -> None:
        """To every socket, those that are found a moment later included."""
        for data in frames.encode(frame):
            if self._early is not None:
                self._early.append(data)
            for outbox in self._outboxes.values():
                outbox.put(data)

    def send_to(self, connection_id: str, frame: Frame) -> None:
        """To one socket; one that was given up for its troubles is heard again."""
        outbox = self._outboxes.get(connection_id)
        if outbox is not None:
            outbox.listen()
            for data in frames.encode(frame):
                outbox.put(data)

    async def meet(self, connections: Collection[Connection], members: Container[str]) -> None:
        """``update`` with those who may listen, and show the others out: they were members once."""
        invited = [one for one in connections if may_hear(one.user, self._conversation_id, members)]
        strangers = {one.connection_id for one in connections} - {one.connection_id for one in invited}
        if self._also in strangers:
            self._also = ""
        self.update(invited)
        for connection_id in strangers:
            await self._show_out(connection_id)

    def update(self, connections: Collection[Connection]) -> None:
        """Take note of who is connected now. The first call also delivers what was sent before it.

        Whoever is there from the beginning hears everything, so wishes made by then are granted.
        """
        if self._early is not None:
            self._granted |= {connection.resume.nonce for connection in connections if connection.resume}
        listed = {connection.connection_id: connection for connection in connections}
        self._connections |= listed
        present = listed.keys() | ({self._also} - {""})
        for connection_id in sorted(present - self._outboxes.keys()):
            self._outboxes[connection_id] = outbox = _Outbox(connection_id, self)
            for data in self._early or ():
                outbox.put(data)
        for connection_id in sorted(self._outboxes.keys() - present):
            self._outboxes.pop(connection_id).stop()
        self._early = None

    def is_new(self, wish: Resume) -> bool:
        """Whether this wish has not been granted yet; it counts as granted from now on."""
        new = wish.nonce not in self._granted
        self._granted.add(wish.nonce)
        return new

    @property
    def is_heard(self) -> bool:
        """Whether there are sockets to hear it, as far as is known."""
        return self._early is not None or bool(self._outboxes)

    @property
    def is_open(self) -> bool:
        """Whether the sockets are known."""
        return self._early is None

    async def flush(self, seconds: float, at_most: float = LONGEST_FLUSH_SECONDS) -> bool:
        """Wait until everything sent so far is posted; false once no frame got through for ``seconds``."""
        waits = {asyncio.create_task(outbox.drained()) for outbox in self._outboxes.values()}
        end = asyncio.get_running_loop().time() + at_most
        while waits and asyncio.get_running_loop().time() < end:
            before = self.posted
            _, waits = await asyncio.wait(waits, timeout=seconds)
            if self.posted == before:
                break
        for late in waits:
            late.cancel()
        return not waits

    async def close(self) -> None:
        """Drop what was not posted and end every task."""
        tasks = [outbox.stop() for outbox in self._outboxes.values()]
        self._outboxes.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def post(self, connection_id: str, data: bytes) -> bool:
        """Post one frame, as long as we have the word; False when the socket did not take it."""
        while self.may_speak():
            try:
                if self._has_ended(connection_id):
                    await self._gateway.disconnect(connection_id)
                elif await self._gateway.post(connection_id, data):
                    self.posted += 1
                    self._let_in.add(connection_id)
                    return True
                elif self._is_connecting(connection_id):
                    await asyncio.sleep(CONNECTING_PAUSE_SECONDS)
                    continue
                await self._store.disconnect(self._conversation_id, connection_id)
            except (OSError, CopilotEdgeError) as exc:  # one socket's trouble is not the turn's
                self.failures += 1
                self._log.error("post_failed", connection_id=connection_id, error=type(exc).__name__)
            return False
        return True

    async def _show_out(self, connection_id: str) -> None:
        try:
            await self._gateway.disconnect(connection_id)
            await self._store.disconnect(self._conversation_id, connection_id)
        except (OSError, CopilotEdgeError) as exc:
            self._log.error("disconnect_failed", connection_id=connection_id, error=type(exc).__name__)

    def _has_ended(self, connection_id: str) -> bool:
        """Whether the token that opened this socket has expired."""
        return 0 < self._connections[connection_id].token_expires <= self._clock()

    def _is_connecting(self, connection_id: str) -> bool:
        listed_at = self._connections[connection_id].connected_at
        return connection_id not in self._let_in and self._clock() < listed_at + CONNECTING_MS


class _Outbox:
    def __init__(self, connection_id: str, channel: Channel) -> None:
        self._connection_id = connection_id
        self._channel = channel
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._deaf = False
        self._task = asyncio.create_task(self._run())

    def put(self, data: bytes) -> None:
        if self._frames.qsize() >= MAX_BACKLOG:
            self._deaf = True
        if not self._deaf:
            self._frames.put_nowait(data)

    def listen(self) -> None:
        self._deaf = False

    async def drained(self) -> None:
        await self._frames.join()

    def stop(self) -> asyncio.Task[None]:
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        while True:
            data = await self._frames.get()
            if not self._deaf and not await self._channel.post(self._connection_id, data):
                self._deaf = True
            self._frames.task_done()
