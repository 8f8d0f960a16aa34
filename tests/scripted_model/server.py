"""The client's side: an HTTP/1.1 server in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from tests.scripted_model import shapes
from tests.scripted_model.replies import Outcome, Reply, Request

POLL_SECONDS = 0.005
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Script(Protocol):
    """Where answers come from and where their progress is noted. Called in the server's thread."""

    def take(self, request: Request) -> Reply: ...

    def note_chunk(self, request: Request) -> None: ...

    def note_end(self, request: Request, outcome: Outcome) -> None: ...


class Server:
    """The event loop in its thread."""

    def __init__(self, model: Script) -> None:
        self._model = model
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event

    def start(self, port: int) -> int:
        """Port that it listens on."""
        listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(port, listening), name="scripted-model", daemon=True)
        self._thread.start()
        return listening.result()

    def stop(self) -> None:
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self, port: int, listening: Future[int]) -> None:
        try:
            asyncio.run(self._serve(port, listening))
        except OSError as exc:
            listening.set_exception(exc)

    async def _serve(self, port: int, listening: Future[int]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        listener = await self._loop.create_server(lambda: _Connection(self._model), "127.0.0.1", port)
        listening.set_result(listener.sockets[0].getsockname()[1])
        await self._stopping.wait()
        listener.close()
        await self._end_conversations()

    async def _end_conversations(self) -> None:
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


class _Connection(asyncio.StreamReaderProtocol):
    """One client's connection. ``gone`` is set as soon as the client closes its end, also while we wait."""

    def __init__(self, model: Script) -> None:
        super().__init__(asyncio.StreamReader(), self._serve)
        self._model = model
        self._gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self._gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        super().connection_lost(exc)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read_request(reader, writer.get_extra_info("peername")[1]):
                await self._answer_or_notice(request, _Answer(self._model, request, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the server is being stopped: nobody waits for this task's outcome
        finally:
            writer.close()

    async def _answer_or_notice(self, request: Request, answer: _Answer) -> None:
        answering, leaving = asyncio.ensure_future(answer.send()), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            self._model.note_end(request, "client_closed" if self._gone.is_set() else "complete")
        finally:
            self._model.note_end(request, "stopped")
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, peer: int) -> Request | None:
    """None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head[0].split(" ")[1], headers, json.loads(content or b"{}"), peer, time.time())


@dataclass
class _Answer:
    """One answer on its way out."""

    model: Script
    request: Request
    writer: asyncio.StreamWriter
    reply: Reply = field(init=False)

    async def send(self) -> None:
        self.reply = self._take()
        await asyncio.sleep(self.reply.delay_before)
        await self._wait_at(0)
        if self.reply.cut_after == -1:
            self._cut()
        elif not self.request.path.endswith("/chat/completions") and not self.request.is_run:
            await self._send_body(404, shapes.error(False, 7003, "Could not route to this path"))
        elif self.reply.raw is not None:
            await self._send_body(self.reply.status, self.reply.raw)
        elif self.reply.is_error:
            await self._send_body(self.reply.status if self.reply.status >= 400 else 500, self._error())
        elif self.request.streaming and not self.reply.plain:
            await self._stream()
        else:
            await self._send_body(200, shapes.whole(self.request, self.reply))

    def _take(self) -> Reply:
        try:
            return self.model.take(self.request)
        except Exception as exc:  # noqa: BLE001  a test's rule may raise anything; its request still gets an answer
            return Reply(status=500, message=f"the rule failed: {exc!r}")

    async def _stream(self) -> None:
        self._send_head(200, self.reply.content_type or "text/event-stream", "transfer-encoding: chunked")
        pieces = self.reply.pieces
        for frame in shapes.opening(self.request, self.reply):
            await self._send_frame(frame)
        for n, piece in enumerate(pieces):
            if await self._stops_at(n):
                return
            await asyncio.sleep(self.reply.delay_between if n else 0)
            await self._send_frame(shapes.text_frame(self.request, piece))
            self.model.note_chunk(self.request)
        if not await self._stops_at(len(pieces)):
            await self._end(shapes.closing(self.request, self.reply))

    async def _end(self, frames: Iterator[bytes]) -> None:
        for frame in frames:
            await self._send_frame(frame)
        self.model.note_end(self.request, "complete")
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _stops_at(self, n: int) -> bool:
        """After n chunks: waits as the reply says; True if nothing more is to be sent."""
        await self._wait_at(n)
        if self.reply.cut_after == n:
            self._cut()
        elif self.reply.error_after == n:
            await self._end(iter([shapes.event(self._error())]))
        else:
            return False
        return True

    async def _wait_at(self, n: int) -> None:
        if self.reply.stall_after == n:
            await asyncio.Event().wait()
        # A thread's event, polled: a thread that waits for it could be neither cancelled nor left behind.
        while n == self.reply.gate_after and self.reply.gate and not self.reply.gate.is_set():  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)

    def _cut(self) -> None:
        self.model.note_end(self.request, "cut")
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.transport.abort()

    async def _send_body(self, status: int, body: bytes) -> None:
        self._send_head(status, self.reply.content_type or "application/json", f"content-length: {len(body)}")
        self.writer.write(body)
        self.model.note_end(self.request, "complete")
        await self.writer.drain()

    def _send_head(self, status: int, content_type: str, framing: str) -> None:
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {content_type}", framing]
        if self.reply.retry_after is not None:
            head.append(f"retry-after: {self.reply.retry_after}")
        self.writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))

    async def _send_frame(self, frame: bytes) -> None:
        size = self.reply.split_bytes or len(frame)
        for piece in (frame[start : start + size] for start in range(0, len(frame), size)):
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self.writer.drain()
            await asyncio.sleep(0)

    def _error(self) -> bytes:
        openai = self.reply.error_shape == "openai" or (not self.reply.error_shape and not self.request.is_run)
        return shapes.error(openai, self.reply.code, self.reply.message)
