"""A socket that stays: what it does when nothing is heard, and before the gateway ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.line import Line, Pace, State
from copilotedge_client.messages import Frame

PATIENCE = 30


class Server:
    """Counts sockets and frames, and answers a ping unless it is `silent`."""

    def __init__(self) -> None:
        self.silent = False
        self.sockets = 0
        self.frames: list[Frame] = []
        self.address = ""
        self.news = asyncio.Event()

    async def talk(self, socket: ServerConnection) -> None:
        self.sockets += 1
        self.news.set()
        async for text in socket:
            self.frames.append(json.loads(text))
            self.news.set()
            if not self.silent:
                await socket.send('{"type": "system", "content": "pong"}')


class Listener:
    """What a chat does for its line, and no more."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.states: list[State] = []
        self.is_busy = False
        self.answers_back = False
        self.line: Line

    async def dial(self, _vain: int) -> ClientConnection:
        return await connect(self.server.address, ping_interval=None, proxy=None)

    def opened(self) -> None: ...

    def received(self, frame: Frame) -> None:
        if self.answers_back:
            self.answers_back = False
            self.line.send({"type": "system", "content": "resume"})

    def changed(self, state: State) -> None:
        self.states.append(state)
        self.server.news.set()

    def refused(self, error: CopilotEdgeError) -> None: ...

    def busy(self) -> bool:
        return self.is_busy


@asynccontextmanager
async def line_with(pace: Pace) -> AsyncIterator[tuple[Server, Listener, Line]]:
    server = Server()
    async with serve(server.talk, "127.0.0.1", 0) as serving:
        server.address = f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
        listener = Listener(server)
        line = listener.line = Line(listener, lambda _: 0.01, pace)
        line.open()
        yield server, listener, line
        await line.close()


async def until(server: Server, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            server.news.clear()
            await server.news.wait()


async def test_an_idle_socket_is_kept_by_pings():
    async with line_with(Pace(idle=0.05)) as (server, _, _):
        await until(server, lambda: len(server.frames) > 3)
        assert server.sockets == 1
        assert server.frames[0] == {"type": "system", "content": "ping"}


async def test_a_socket_that_gives_no_sign_of_life_is_replaced():
    async with line_with(Pace(idle=0.05, answering=0.05)) as (server, listener, _):
        server.silent = True
        await until(server, lambda: len(listener.states) > 2)
        assert listener.states[:3] == ["connected", "reconnecting", "connected"]


async def test_a_frame_that_gets_no_answer_is_reason_to_ask():
    async with line_with(Pace(answering=0.05)) as (server, _, line):
        server.silent = True
        await until(server, lambda: line.connected)
        line.send({"type": "system", "content": "resume"})
        await until(server, lambda: server.sockets > 1)
        assert [frame["content"] for frame in server.frames[:2]] == ["resume", "ping"]


async def test_a_frame_may_be_sent_at_once_when_one_comes():
    async with line_with(Pace(idle=0.05)) as (server, listener, _):
        listener.answers_back = True
        await until(server, lambda: len(server.frames) > 3)
        assert server.frames[1] == {"type": "system", "content": "resume"}
        assert server.sockets == 1


async def test_an_old_socket_is_replaced_when_nobody_waits_for_anything():
    async with line_with(Pace(idle=0.02, life=0.1)) as (server, listener, _):
        listener.is_busy = True
        await until(server, lambda: len(server.frames) > 10)
        assert server.sockets == 1
        listener.is_busy = False
        await until(server, lambda: server.sockets == 2)


async def test_a_socket_is_replaced_in_time_whoever_waits():
    async with line_with(Pace(idle=0.02, life=0.05, longest_life=0.1)) as (server, listener, _):
        listener.is_busy = True
        await until(server, lambda: server.sockets == 2)
