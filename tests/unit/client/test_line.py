"""A socket that stays: what it does when nothing is heard, and before the gateway ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
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
        self.fragments: list[int] = []  # their sizes, of the last message
        self.refuses = ""  # a frame with that content, with the gateway's close code
        self.address = ""
        self.news = asyncio.Event()

    async def talk(self, socket: ServerConnection) -> None:
        self.sockets += 1
        self.news.set()
        while True:
            fragments = [fragment async for fragment in socket.recv_streaming()]
            self.fragments = [len(fragment) for fragment in fragments if fragment]
            self.frames.append(json.loads("".join(fragments)))
            self.news.set()
            if not self.silent:
                await socket.send('{"type": "system", "content": "pong"}')
            if self.frames[-1]["content"] == self.refuses:
                await socket.close(1009)


class Listener:
    """What a chat does for its line, and no more."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.states: list[State] = []
        self.is_busy = False
        self.answers_back = False
        self.greets = False
        self.proves = False
        self.asked: list[int] = []  # for the token, after so many vain tries
        self.thinks = 0.0  # seconds
        self.codes: list[int | None] = []
        self.line: Line

    async def token(self, vain: int) -> None:
        self.asked.append(vain)
        await asyncio.sleep(self.thinks)

    async def dial(self, _token: str | None) -> ClientConnection:
        return await connect(self.server.address, ping_interval=None, proxy=None)

    def opened(self) -> None:
        if self.greets:
            self.line.send({"type": "system", "content": "resume"})

    def received(self, frame: Frame) -> None:
        if self.proves:
            self.line.prove()
        if self.answers_back:
            self.answers_back = False
            self.line.send({"type": "system", "content": "resume"})

    def lost(self, code: int | None) -> None:
        self.codes.append(code)
        self.server.news.set()

    def changed(self, state: State) -> None:
        self.states.append(state)
        self.server.news.set()

    def refused(self, error: CopilotEdgeError) -> None: ...

    def busy(self) -> bool:
        return self.is_busy


@asynccontextmanager
async def line_with(
    pace: Pace, backoff: Callable[[int], float] = lambda _: 0.01
) -> AsyncIterator[tuple[Server, Listener, Line]]:
    server = Server()
    async with serve(server.talk, "127.0.0.1", 0) as serving:
        server.address = f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
        listener = Listener(server)
        line = listener.line = Line(listener, backoff, pace)
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


# --- what the gateway does not take ---------------------------------------------------------------------------------


async def test_a_large_frame_goes_in_pieces_that_the_gateway_takes():
    async with line_with(Pace()) as (server, _, line):
        await until(server, lambda: line.connected)
        line.send({"type": "chat", "content": "ü" * 10_000})
        await until(server, lambda: server.frames)
        assert server.frames == [{"type": "chat", "content": "ü" * 10_000}]
        assert max(server.fragments) == 32 * 1024 and len(server.fragments) == 2


async def test_a_frame_that_is_too_large_is_not_sent():
    async with line_with(Pace()) as (server, _, line):
        await until(server, lambda: line.connected)
        with pytest.raises(CopilotEdgeError) as refusal:
            line.send({"type": "chat", "content": "x" * 128 * 1024})
        line.send({"type": "chat", "content": "x"})
        await until(server, lambda: server.frames)
        assert refusal.value.code == "frame_too_large"
        assert server.frames == [{"type": "chat", "content": "x"}]


async def test_what_is_not_unicode_is_for_the_server_to_refuse():
    async with line_with(Pace()) as (server, _, line):
        await until(server, lambda: line.connected)
        line.send({"type": "chat", "content": "\ud800"})
        await until(server, lambda: server.frames)
        assert server.frames == [{"type": "chat", "content": "\ud800"}]
        assert server.sockets == 1


async def test_why_a_socket_was_closed_is_told():
    async with line_with(Pace()) as (server, listener, line):
        server.refuses = "poison"
        await until(server, lambda: line.connected)
        line.send({"type": "chat", "content": "poison"})
        await until(server, lambda: listener.codes)
        assert listener.codes == [1009]


# --- how often it tries -----------------------------------------------------------------------------------------------


async def attempts_of(pace: Pace, *, proving: bool = False) -> list[int]:
    """Which they are, while sockets answer and die."""
    attempts: list[int] = []

    def wait(attempt: int) -> float:
        attempts.append(attempt)
        return 0.01

    async with line_with(pace, wait) as (server, listener, _):
        listener.greets, listener.proves, server.refuses = True, proving, "resume"
        await until(server, lambda: len(attempts) > 2)
    return attempts[:3]


async def test_sockets_that_answer_are_forgiven_for_dying_young_a_while():
    assert await attempts_of(Pace()) == [0, 0, 0]


async def test_sockets_that_die_young_are_replaced_ever_more_slowly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("copilotedge_client.line.FORGIVING", 0)
    assert await attempts_of(Pace()) == [0, 1, 2]


async def test_a_socket_that_lived_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("copilotedge_client.line.FORGIVING", 0)
    assert await attempts_of(Pace(proving=0)) == [0, 0, 0]


async def test_a_socket_that_was_good_for_something_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("copilotedge_client.line.FORGIVING", 0)
    assert await attempts_of(Pace(), proving=True) == [0, 0, 0]


async def test_a_token_may_take_its_time():
    async with line_with(Pace(idle=0.05, connecting=1.5, life=0.01)) as (server, listener, _):
        listener.thinks = 1.6
        await until(server, lambda: server.sockets == 2)
        assert listener.asked[:2] == [0, 0]
