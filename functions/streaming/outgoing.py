"""What a request is answered: JSON, a refusal, or a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from copilotedge import frames
from copilotedge.errors import CopilotEdgeError
from copilotedge.http_errors import body_of, headers_of, status_of
from copilotedge.runtime import now

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients skip (server-sent events, section 9.2.6); it keeps proxies from hanging up."""
END = b""
GRACE_SECONDS = 5.0
"""For what is said at a stream's deadline to reach the client."""


def answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """JSON. Lambda freezes the process behind it: await what must still be done before."""
    return Response(frames.dump(body), status, headers, "application/json")


def refusal(exc: CopilotEdgeError) -> Response:
    """What an error says to the caller; routes just raise it."""
    return answer(status_of(exc), body_of(exc), headers_of(exc))


class EventStream(Response):
    """``text/event-stream``. Each chunk of ``events``, whole events, is sent at once; who reads slowly delays nobody.

    ``finished`` is awaited behind the last event, before the response is over. When the client hangs up, ``events`` are
    read to their end all the same, so a conversation's turn is not lost; with ``close_on_disconnect`` they are closed.
    So is it with a client that has not taken everything soon after the ``deadline`` (ms; None: it has all the time).
    An error among them cuts the response short: say what can be foreseen in an event.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        finished: Callable[[], Awaitable[None]] | None = None,
        close_on_disconnect: bool = False,
        deadline: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"x-accel-buffering": "no", **(headers or {})})
        self._events = events
        self._finished = finished
        self._close_on_disconnect = close_on_disconnect
        self._deadline = deadline

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        chunks: asyncio.Queue[bytes] = asyncio.Queue()
        reading = asyncio.create_task(self._read(chunks))
        telling = asyncio.create_task(_tell(chunks, send))
        leaving = asyncio.create_task(_hang_up(receive))
        try:
            done, _ = await asyncio.wait(
                {telling, leaving}, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            if telling not in done and self._close_on_disconnect:
                reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            if self._finished:
                await self._finished()
        finally:
            for task in (reading, telling, leaving):
                task.cancel()
            await asyncio.gather(reading, telling, leaving, return_exceptions=True)
        if done:  # who takes nothing would not take the end either
            await send({"type": "http.response.body", "body": END})

    def _patience(self) -> float | None:
        """Seconds for the client to take everything."""
        return None if self._deadline is None else max((self._deadline - now()) / 1000, 0.0) + GRACE_SECONDS

    async def _read(self, chunks: asyncio.Queue[bytes]) -> None:
        """Ends with an empty chunk, whatever happens."""
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    chunks.put_nowait(event)
        finally:
            chunks.put_nowait(END)


async def _tell(chunks: asyncio.Queue[bytes], send: Send) -> None:
    """Send what there is until the end, and a comment where there is nothing for long."""
    while chunk := await _next(chunks):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _next(chunks: asyncio.Queue[bytes]) -> bytes:
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            return await chunks.get()
    except TimeoutError:
        return KEEP_ALIVE


async def _hang_up(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
