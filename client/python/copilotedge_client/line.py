"""A WebSocket that stays: it reconnects with backoff and jitter, and asks for a sign of life when it has heard nothing.

API Gateway closes a socket that is idle for ten minutes, and any after two hours; a closed socket may not say so.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from copilotedge_client.errors import CopilotEdgeError, too_large
from copilotedge_client.messages import Frame

State = Literal["connecting", "connected", "reconnecting", "closed"]

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds
LARGEST_FRAME, LARGEST_MESSAGE = 32 * 1024, 128 * 1024  # API Gateway's, in bytes
PING: Frame = {"type": "system", "content": "ping"}

FORGIVING = 50
"""Sockets in a row that bring nothing forward and die young, before the next ones have to wait ever longer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds: how long a connection and an answer are waited for, when a silent socket is asked for a sign of life,
    and between which ages a socket is replaced as soon as no answer is being written. After one that lived for
    ``proving``, tries to connect begin anew."""

    connecting: float = 20
    answering: float = 10
    idle: float = 5 * 60
    life: float = 110 * 60
    longest_life: float = 117 * 60
    proving: float = 10


def backoff(attempt: int) -> float:
    """Seconds until the next try to connect."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1)


class Listener(Protocol):
    """Whom a line serves."""

    async def token(self, vain: int) -> str | None:
        """To open a socket with; people may be asked for it, so this may take its time. ``vain`` of them did not open
        since the last that did. Raises ``OSError`` where there is none now."""

    async def dial(self, token: str | None) -> ClientConnection:
        """Open a socket. Raises ``CopilotEdgeError`` where trying again makes no sense."""

    def opened(self) -> None: ...

    def received(self, frame: Frame) -> None: ...

    def lost(self, code: int | None) -> None:
        """The socket is gone, with that close code."""

    def changed(self, state: State) -> None: ...

    def refused(self, error: CopilotEdgeError) -> None:
        """It is over."""

    def busy(self) -> bool: ...


class Line:
    """Runs from ``open`` to ``close``, in a task of its own."""

    def __init__(self, listener: Listener, wait: Callable[[int], float] = backoff, pace: Pace | None = None) -> None:
        self.state: State = "connecting"
        self._listener = listener
        self._backoff = wait
        self._pace = pace or Pace()
        self._socket: ClientConnection | None = None
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._awaiting = False  # something was sent and nothing came since
        self._vain = 0
        self._attempt = 0  # tries since a socket was last good for something
        self._young = 0  # sockets in a row that died young and brought nothing forward
        self._opened_at = 0.0

    def open(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._become("closed")

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def drop(self) -> None:
        """End the socket, if there is one, as if it had not been let in."""
        if self._socket is not None:
            self._vain = 1
            self._socket.transport.abort()

    def prove(self) -> None:
        """The socket has been good for something: after it, tries to connect begin anew."""
        self._attempt = self._young = 0

    def send(self, frame: Frame) -> None:
        """Raises ``CopilotEdgeError`` where it is too large."""
        data = dump(frame)
        if self._socket is None:
            return
        self._outbox.put_nowait(data)
        if self._awaiting:
            return
        self._awaiting = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + self._pace.answering)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whoever waits for something must not wait for ever, whatever was wrong with us."""
        self._become("closed")
        if not task.cancelled() and (fault := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "The line broke.", "exception": fault, "task": task})
            self._listener.refused(CopilotEdgeError("The client failed.", "client_failed"))

    async def _run(self) -> None:
        while True:
            try:
                token = await self._listener.token(self._vain)
                async with asyncio.timeout(self._pace.connecting):
                    socket = await self._listener.dial(token)
            except CopilotEdgeError as exc:
                self._listener.refused(exc)
                return
            except (OSError, TimeoutError, WebSocketException):
                self._vain += 1
            else:
                self._vain = 0
                await self._serve(socket)
            self._become("reconnecting")
            await asyncio.sleep(self._backoff(self._attempt))
            self._attempt += 1

    async def _serve(self, socket: ClientConnection) -> None:
        """Until the socket is gone, silent or old."""
        self._socket, self._outbox, self._awaiting = socket, asyncio.Queue(), False
        self._opened_at = time.monotonic()
        writer = asyncio.create_task(self._write(socket, self._outbox))
        try:
            self._become("connected")
            self._listener.opened()
            with suppress(ConnectionClosed, OSError):
                await self._listen(socket)
        finally:
            self._socket = self._patience = None
            self._young += 1
            if time.monotonic() - self._opened_at > self._pace.proving:
                self.prove()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            with suppress(WebSocketException, OSError):
                await socket.close()
        self._listener.lost(socket.close_code)

    async def _write(self, socket: ClientConnection, outbox: asyncio.Queue[str]) -> None:
        with suppress(ConnectionClosed, OSError):
            while True:
                await socket.send(_fragments(await outbox.get()))

    async def _listen(self, socket: ClientConnection) -> None:
        asked = False
        while not self._is_due:
            try:
                patience = self._pace.answering if self._awaiting else self._pace.idle
                async with asyncio.timeout(patience) as self._patience:
                    data = await socket.recv()
            except TimeoutError:
                if asked:
                    return
                asked = self._awaiting = True
                self._outbox.put_nowait(json.dumps(PING))
                continue
            finally:
                self._patience = None
            asked = self._awaiting = False
            if self._young < FORGIVING:
                self._attempt = 0
            self._take(data)

    def _take(self, data: str | bytes) -> None:
        with suppress(ValueError):
            frame: Any = json.loads(data)
            if isinstance(frame, dict):
                self._listener.received(frame)

    @property
    def _is_due(self) -> bool:
        age = time.monotonic() - self._opened_at
        return age > self._pace.longest_life or (age > self._pace.life and not self._listener.busy())

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._listener.changed(state)


def dump(frame: Frame) -> str:
    """In ASCII: it may be cut anywhere, and is JSON even where it is not Unicode. Raises ``CopilotEdgeError``."""
    data = json.dumps(frame, separators=(",", ":"))
    if len(data) > LARGEST_MESSAGE:
        raise too_large()
    return data


def _fragments(data: str) -> str | Iterator[str]:
    if len(data) <= LARGEST_FRAME:
        return data
    return (data[start : start + LARGEST_FRAME] for start in range(0, len(data), LARGEST_FRAME))
