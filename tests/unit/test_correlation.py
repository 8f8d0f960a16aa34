"""One turn's id from the client's message to the model's call and back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from copilotedge import correlation
from copilotedge.runtime import StructuredLog
from tests.fakes import World

TURN = "0123456789abcdef0123456789abcdef"


class Recorder:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, _: str, **fields: Any) -> None:
        self.lines.append(fields)

    error = info


def test_outside_of_any_work_no_turn_is_known():
    assert (correlation.turn_id(), correlation.headers(), correlation.headers_to_model()) == ("", {}, {})


def test_what_a_task_finds_out_its_shell_knows():
    async def submit() -> None:
        await asyncio.create_task(found())

    async def found() -> None:
        correlation.follow(TURN)

    with correlation.work():
        asyncio.run(submit())
        assert correlation.headers() == {"x-correlation-id": TURN}
    assert correlation.turn_id() == ""


async def test_a_thread_that_is_started_meanwhile_knows_the_turn():
    with correlation.work():
        correlation.follow(TURN)
        assert await asyncio.to_thread(correlation.turn_id) == TURN


def test_two_requests_at_once_do_not_mix():
    met, seen = threading.Barrier(2, timeout=30), dict[str, str]()

    async def request(turn: str) -> None:
        with correlation.work():
            correlation.follow(turn)
            await asyncio.to_thread(met.wait)
            seen[turn] = correlation.turn_id()

    async def both() -> None:
        await asyncio.gather(request("a"), request("b"))

    asyncio.run(both())
    assert seen == {"a": "a", "b": "b"}


def test_every_line_has_the_turn_and_what_a_line_says_itself_counts():
    log = StructuredLog()
    log._logger = recorder = Recorder()
    with correlation.work():
        log.info("admission")
        correlation.follow(TURN)
        log.info("post_failed", connection_id="c")
        log.error("turn_not_claimed", turn_id="another")
    assert recorder.lines == [{}, {"turn_id": TURN, "connection_id": "c"}, {"turn_id": "another"}]


def test_a_server_that_traces_is_told_the_turn_as_a_trace():
    """https://www.w3.org/TR/trace-context/#traceparent-header"""
    with correlation.work():
        correlation.follow(TURN)
        traceparent = f"00-{TURN}-0123456789abcdef-00"
        assert correlation.headers_to_model() == {"x-correlation-id": TURN, "traceparent": traceparent}
        correlation.follow("turn-1")
        assert correlation.headers_to_model() == {"x-correlation-id": "turn-1"}


async def test_the_model_is_asked_in_the_turns_name():
    world, asked = World(), []
    stream = world.model.stream

    def listening(request: Any) -> Any:
        asked.append(correlation.turn_id())
        return stream(request)

    world.model.stream = listening
    with correlation.work():
        await world.say("a", "Hi")
        submitted = correlation.turn_id()
        await world.work()
    assert asked == [submitted] and len(submitted) == 32
