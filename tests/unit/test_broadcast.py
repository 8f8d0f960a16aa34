"""Frames to every socket of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from copilotedge import broadcast, frames
from copilotedge.broadcast import Channel
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Connection
from tests.fakes import FakeClock, FakeGateway, FakeLog, until
from tests.memory_store import MemoryStore

A, B = Connection("a"), Connection("b")


@dataclass
class FailingGateway(FakeGateway):
    """Raises ``errors`` one after the other, and then takes frames."""

    errors: list[Exception] = field(default_factory=list)

    async def post(self, connection_id: str, frame: bytes) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        return await super().post(connection_id, frame)


@dataclass
class Setting:
    """A channel and what lies around it."""

    gateway: FailingGateway = field(default_factory=FailingGateway)
    log: FakeLog = field(default_factory=FakeLog)
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=lambda: MemoryStore(FakeClock()))
    channels: list[Channel] = field(default_factory=list)

    def channel(self, also: str = "") -> Channel:
        self.channels.append(Channel("c1", self.store, self.gateway, self.clock, self.log, also))
        return self.channels[-1]

    def told(self, name: str) -> list[Any]:
        return [frame["content"] for frame in self.gateway.frames.get(name, [])]


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    setting = Setting()
    yield setting
    for channel in setting.channels:
        await channel.close()


@pytest.fixture
async def young(setting: Setting) -> Connection:
    """A socket that was listed just now."""
    connection = replace(A, connected_at=setting.clock.now)
    await setting.store.connect("c1", connection)
    return connection


def word(text: object) -> frames.Frame:
    return {"type": "delta", "content": str(text), "metadata": {"offset": 0}}


async def test_every_socket_hears_every_frame_in_order(setting):
    channel = setting.channel()
    channel.update([A, B])
    for number in range(20):
        channel.send(word(number))
    await channel.flush(1)
    assert setting.told("a") == setting.told("b") == [str(number) for number in range(20)]


async def test_frames_sent_before_the_sockets_are_known_wait_for_them(setting):
    channel = setting.channel()
    channel.send(word("early"))
    assert not channel.is_open
    channel.update([A])
    channel.send(word("late"))
    await channel.flush(1)
    assert setting.told("a") == ["early", "late"]


async def test_a_socket_that_comes_later_hears_only_what_is_said_later(setting):
    channel = setting.channel()
    channel.send(word("early"))
    channel.update([A])
    channel.update([A, B])
    channel.send(word("late"))
    await channel.flush(1)
    assert setting.told("b") == ["late"]


async def test_a_socket_that_left_hears_no_more(setting):
    channel = setting.channel()
    channel.update([A, B])
    channel.update([A])
    channel.send(word("late"))
    await channel.flush(1)
    assert (setting.told("a"), setting.told("b")) == (["late"], [])


async def test_the_socket_of_the_sender_hears_it_all_listed_or_not(setting):
    channel = setting.channel(also="a")
    channel.send(word("early"))
    channel.update([])
    channel.send(word("late"))
    await channel.flush(1)
    assert setting.told("a") == ["early", "late"]


async def test_one_socket_can_be_told_something_of_its_own(setting):
    channel = setting.channel()
    channel.update([A, B])
    channel.send_to("b", word("for b"))
    channel.send_to("nobody", word("lost"))
    await channel.flush(1)
    assert (setting.told("a"), setting.told("b")) == ([], ["for b"])


async def test_a_long_frame_arrives_in_parts(setting):
    channel = setting.channel()
    channel.update([A])
    channel.send(word("x" * 200_000))
    await channel.flush(1)
    assert "".join(setting.told("a")) == "x" * 200_000
    assert len(setting.told("a")) > 1


async def test_a_socket_that_is_gone_is_forgotten_and_posted_to_no_more(setting):
    await setting.store.connect("c1", A)
    setting.gateway.gone.add("a")
    channel = setting.channel()
    channel.update([A])
    channel.send(word(1))
    channel.send(word(2))
    await channel.flush(1)
    assert await setting.store.connections("c1") == ()
    assert setting.log.lines == []


async def test_a_socket_that_is_still_being_let_in_misses_nothing(setting, young, monkeypatch):
    monkeypatch.setattr(broadcast, "CONNECTING_PAUSE_SECONDS", 0)
    setting.gateway.gone.add("a")
    channel = setting.channel()
    channel.update([young, B])
    channel.send(word(1))
    channel.send(word(2))
    await until(lambda: setting.told("b") == ["1", "2"])
    assert setting.told("a") == []
    setting.gateway.gone.clear()
    assert await channel.flush(1)
    assert setting.told("a") == ["1", "2"]
    assert await setting.store.connections("c1") == (young,)


async def test_a_socket_that_was_in_and_is_unknown_now_is_gone(setting, young):
    channel = setting.channel()
    channel.update([young])
    channel.send(word(1))
    assert await channel.flush(30)
    setting.gateway.gone.add("a")
    channel.send(word(2))
    assert await channel.flush(30)
    assert await setting.store.connections("c1") == ()


async def test_a_socket_that_has_had_the_time_to_come_in_is_gone(setting, young, monkeypatch):
    monkeypatch.setattr(broadcast, "CONNECTING_PAUSE_SECONDS", 0)
    setting.gateway.gone.add("a")
    channel = setting.channel()
    channel.update([young])
    channel.send(word(1))
    assert not await channel.flush(0.01)
    assert await setting.store.connections("c1") == (young,)
    setting.clock.advance(broadcast.CONNECTING_MS)
    assert await channel.flush(1)
    assert await setting.store.connections("c1") == ()


@pytest.mark.parametrize("error", [OSError("refused"), StoreUnavailable("throttled")])
async def test_one_sockets_trouble_is_logged_without_its_text_and_troubles_no_other(setting, error):
    setting.gateway.errors.append(error)
    channel = setting.channel()
    channel.update([A])
    channel.send(word("secret"))
    await channel.flush(1)
    channel.update([A, B])
    channel.send(word("more"))
    await channel.flush(1)
    assert setting.told("b") == ["more"]
    assert setting.log.lines == [("post_failed", {"connection_id": "a", "error": type(error).__name__})]


async def test_a_socket_that_missed_a_frame_hears_again_what_it_asks_for(setting):
    setting.gateway.errors.append(OSError("refused"))
    channel = setting.channel()
    channel.update([A])
    channel.send(word("missed"))
    await channel.flush(1)
    channel.send_to("a", word("missed"))
    await channel.flush(1)
    assert setting.told("a") == ["missed"]


async def test_nothing_is_posted_while_another_has_the_word(setting):
    channel = setting.channel()
    channel.may_speak = lambda: False
    channel.update([A])
    channel.send(word("unsaid"))
    await channel.flush(1)
    assert setting.told("a") == []


async def test_who_has_the_word_again_is_heard_again(setting):
    channel = setting.channel()
    channel.may_speak = lambda: False
    channel.update([A])
    channel.send(word("unsaid"))
    await channel.flush(1)
    channel.may_speak = lambda: True
    channel.send(word("said"))
    await channel.flush(1)
    assert setting.told("a") == ["said"]


async def test_a_socket_too_far_behind_is_left_alone(setting, monkeypatch):
    monkeypatch.setattr(broadcast, "MAX_BACKLOG", 3)
    channel = setting.channel()
    channel.update([A])
    for number in range(9):
        channel.send(word(number))
    await channel.flush(1)
    assert setting.told("a") == []


async def test_a_socket_keeps_up_when_it_is_not_too_far_behind(setting, monkeypatch):
    monkeypatch.setattr(broadcast, "MAX_BACKLOG", 3)
    channel = setting.channel()
    channel.update([A])
    for number in range(9):
        channel.send(word(number))
        await channel.flush(1)
    assert len(setting.told("a")) == 9


async def test_a_stuck_socket_holds_up_no_other_and_no_flush(setting):
    setting.gateway.stuck.add("b")
    channel = setting.channel()
    channel.update([A, B])
    channel.send(word("hello"))
    assert not await channel.flush(0.01)
    assert setting.told("a") == ["hello"]


async def test_a_flush_without_sockets_is_done_at_once(setting):
    assert await setting.channel().flush(60)


async def test_whether_somebody_hears_it(setting):
    channel = setting.channel()
    assert channel.is_heard  # perhaps: nobody has looked
    channel.update([])
    assert not channel.is_heard
    channel.update([A])
    assert channel.is_heard


async def test_closing_drops_what_was_not_posted_and_ends_every_task(setting):
    before = asyncio.all_tasks()
    setting.gateway.stuck.add("a")
    channel = setting.channel()
    channel.update([A])
    channel.send(word("lost"))
    await channel.close()
    assert asyncio.all_tasks() == before
