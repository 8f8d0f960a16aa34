"""The model's words on their way to the sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from copilotedge import speech
from copilotedge.answering import CallWords, Piece, Words
from copilotedge.frames import Frame
from copilotedge.models import ConversationSettings, Message, ToolCallDelta, Turn
from copilotedge.runs import Run
from copilotedge.speech import Speech
from copilotedge.transitions.steps import Rules, born
from tests.fakes import START, FakeClock, until


class Listener:
    """In place of a channel: keeps the frames."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def deltas(self) -> list[tuple[int, int, str]]:
        """Index, offset and text of each."""
        deltas = [frame for frame in self.frames if frame["type"] == "delta"]
        return [(d["metadata"]["index"], d["metadata"]["offset"], d["content"]) for d in deltas]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run() -> Run:
    turn = Turn("t1", "m1", 1, "me", 1, START + 5_000)
    question = Message(1, "user", "Hi", START, "m1", "t1")
    return Run("c1", born(Rules(), START), turn, ConversationSettings(), (question,))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def spoken(run, listener, clock) -> Iterator[Speech]:
    spoken = Speech(run, listener, clock)
    yield spoken
    spoken.stop()


async def test_the_first_words_go_out_at_once_behind_a_status(spoken, listener):
    spoken.say("Once")
    assert [frame["type"] for frame in listener.frames] == ["status", "delta"]
    assert listener.frames[0]["status"] == "streaming"
    assert listener.deltas() == [(0, 0, "Once")]


async def test_later_words_are_collected(spoken, listener, run):
    for text in ("Once ", "upon ", "a ", "time"):
        spoken.say(text)
    assert listener.deltas() == [(0, 0, "Once ")]
    await until(lambda: len(listener.deltas()) == 2)
    assert listener.deltas()[1] == (1, 5, "upon a time")
    assert (run.text, run.sent, run.index) == ("Once upon a time", 16, 2)


async def test_the_status_is_said_once(spoken, listener):
    spoken.say("a")
    spoken.say("b")
    spoken.flush()
    assert [frame["type"] for frame in listener.frames] == ["status", "delta", "delta"]


async def test_offsets_count_characters(spoken, listener):
    spoken.say("é🎉")
    spoken.say("x")
    spoken.flush()
    assert listener.deltas() == [(0, 0, "é🎉"), (1, 2, "x")]


async def test_after_a_silence_words_go_out_at_once_again(spoken, listener, monkeypatch):
    monkeypatch.setattr(speech, "COALESCE_SECONDS", 0.001)
    spoken.say("a")
    await until(lambda: spoken._timer is None)
    spoken.say("b")
    assert listener.deltas() == [(0, 0, "a"), (1, 1, "b")]


async def test_a_stop_keeps_what_was_collected_unsaid(spoken, listener, run, monkeypatch):
    monkeypatch.setattr(speech, "COALESCE_SECONDS", 0)
    spoken.say("a")
    spoken.say("b")
    spoken.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (listener.deltas(), run.text) == ([(0, 0, "a")], "ab")
    assert spoken.flush()
    assert listener.deltas()[-1] == (1, 1, "b")


async def test_a_stop_before_the_first_word_is_harmless(spoken):
    spoken.stop()
    assert not spoken.flush()


async def test_nothing_is_said_once_the_lease_has_run_out(spoken, listener, clock, run):
    clock.advance(5_000)
    spoken.say("late")
    assert listener.deltas() == []
    assert (run.text, run.sent) == ("late", 0)
    assert not spoken.flush()


async def test_a_renewed_lease_lets_collected_words_out(spoken, listener, clock, run):
    clock.advance(5_000)
    spoken.say("late")
    run.turn = Turn("t1", "m1", 1, "me", 1, START + 9_000)
    assert spoken.flush()
    assert listener.deltas() == [(0, 0, "late")]


async def test_the_caller_misses_nothing_of_a_lease_that_lapsed_and_was_renewed(spoken, clock, run):
    heard: list[Piece] = []
    run.hear = heard.append
    spoken.say("one ")
    spoken.call(ToolCallDelta(0, "{", "id", "name"))
    clock.advance(5_000)
    spoken.say("two ")
    spoken.call(ToolCallDelta(0, "}"))
    run.turn = replace(run.turn, lease_until=clock() + 5_000)
    spoken.say("three")
    spoken.call(ToolCallDelta(0, " "))
    assert heard == [Words("one ", 0), CallWords(0, "{", "id", "name"), Words("two three", 4), CallWords(0, "} ")]
