"""A stream of events: sent at once, kept alive, and read to its end though nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest

from copilotedge.runtime import now
from streaming import outgoing
from streaming.outgoing import EventStream

SCOPE = {"type": "http"}


class Client:
    """The other end of an ASGI call; takes nothing while it is ``busy``."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.took = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.free.wait()
        self.messages.append(message)
        self.took.set()

    async def takes(self, chunk: bytes) -> None:
        """Returns once it has got this."""
        while chunk not in self.chunks:
            self.took.clear()
            await asyncio.wait_for(self.took.wait(), 5)

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]

    @property
    def served(self) -> bool:
        """Whether it was told the end."""
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1].get("more_body")


class Words:
    """A generator of events that says each when it is told to."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.taken: list[bytes] = []
        self.closed = asyncio.Event()

    def say(self, *words: bytes | Exception | None) -> None:
        for word in words:
            self.given.put_nowait(word)

    async def events(self) -> AsyncGenerator[bytes, None]:
        try:
            while (word := await self.given.get()) is not None:
                if isinstance(word, Exception):
                    raise word
                self.taken.append(word)
                yield word
        finally:
            self.closed.set()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def words() -> Words:
    return Words()


def begin(stream: EventStream, client: Client) -> asyncio.Task[None]:
    return asyncio.create_task(stream(SCOPE, client.receive, client.send))


async def test_each_event_is_sent_before_the_next_is_there(client: Client, words: Words):
    call = begin(EventStream(words.events(), headers={"x-conversation-id": "diary"}), client)
    for word in (b"data: 1\n\n", b"data: 2\n\n"):
        words.say(word)
        await client.takes(word)
    words.say(None)
    await call
    assert client.chunks == [b"data: 1\n\n", b"data: 2\n\n", b""] and client.served
    headers = dict(client.messages[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-accel-buffering"] == b"no" and headers[b"x-conversation-id"] == b"diary"


async def test_silence_is_filled_with_comments(client: Client, words: Words, monkeypatch):
    monkeypatch.setattr(outgoing, "KEEP_ALIVE_SECONDS", 0.01)
    call = begin(EventStream(words.events()), client)
    await client.takes(b": keep-alive\n\n")
    words.say(b"data: 1\n\n", None)
    await call
    assert words.taken == [b"data: 1\n\n"] and b"data: 1\n\n" in client.chunks


async def test_the_end_is_not_told_before_the_turn_needs_us_no_more(client: Client, words: Words):
    over = asyncio.Event()
    call = begin(EventStream(words.events(), finished=over.wait), client)
    words.say(b"data: 1\n\n", None)
    await client.takes(b"data: 1\n\n")
    assert not client.served
    over.set()
    await call
    assert client.served


async def test_a_turn_goes_on_to_its_end_though_the_client_has_gone(client: Client, words: Words):
    over = asyncio.Event()
    call = begin(EventStream(words.events(), finished=over.wait), client)
    words.say(b"data: 1\n\n")
    await client.takes(b"data: 1\n\n")
    client.gone.set()
    words.say(b"data: 2\n\n", None)
    await words.closed.wait()
    assert words.taken == [b"data: 1\n\n", b"data: 2\n\n"] and not call.done()
    over.set()
    await call


async def test_a_stateless_chat_ends_with_its_client(client: Client, words: Words):
    call = begin(EventStream(words.events(), close_on_disconnect=True), client)
    words.say(b"data: 1\n\n")
    await client.takes(b"data: 1\n\n")
    client.gone.set()
    await asyncio.wait_for(call, 5)
    assert words.closed.is_set() and words.taken == [b"data: 1\n\n"]


async def test_who_reads_slowly_does_not_hold_up_the_turn(client: Client, words: Words):
    call = begin(EventStream(words.events()), client)
    words.say(b"data: 1\n\n")
    await client.takes(b"data: 1\n\n")
    client.free.clear()
    words.say(b"data: 2\n\n", b"data: 3\n\n", None)
    await words.closed.wait()
    client.free.set()
    await call
    assert client.chunks == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n", b""]


async def test_who_takes_nothing_is_not_waited_for_beyond_the_deadline(client: Client, words: Words, monkeypatch):
    monkeypatch.setattr(outgoing, "GRACE_SECONDS", 0.05)
    over = asyncio.Event()
    call = begin(EventStream(words.events(), finished=over.wait, deadline=now()), client)
    words.say(b"data: 1\n\n")
    await client.takes(b"data: 1\n\n")
    client.free.clear()
    words.say(b"data: 2\n\n", None)
    over.set()
    await asyncio.wait_for(call, 5)
    assert words.taken == [b"data: 1\n\n", b"data: 2\n\n"] and not client.served


async def test_a_stateless_chat_is_not_read_beyond_the_deadline(client: Client, words: Words, monkeypatch):
    monkeypatch.setattr(outgoing, "GRACE_SECONDS", 0.05)
    call = begin(EventStream(words.events(), close_on_disconnect=True, deadline=now()), client)
    await asyncio.wait_for(call, 5)
    assert not client.served


async def test_what_is_said_at_the_deadline_still_arrives(client: Client, words: Words):
    call = begin(EventStream(words.events(), deadline=now() - 1000), client)
    words.say(b"data: 1\n\n", None)
    await call
    assert client.chunks == [b"data: 1\n\n", b""] and client.served


async def test_a_defect_cuts_the_stream_short_and_reaches_the_edge(client: Client, words: Words):
    call = begin(EventStream(words.events()), client)
    words.say(b"data: 1\n\n", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await call
    assert client.chunks == [b"data: 1\n\n"] and not client.served


async def test_nothing_is_left_behind_when_the_server_stops(client: Client, words: Words):
    call = begin(EventStream(words.events()), client)
    words.say(b"data: 1\n\n")
    await client.takes(b"data: 1\n\n")
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    assert words.closed.is_set() and len(asyncio.all_tasks()) == 1
