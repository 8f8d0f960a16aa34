"""What every function has, whatever it does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from copilotedge.runtime import THREADS, Runtime, StructuredLog
from copilotedge.settings import Settings


class Recorder:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    error = info


def test_the_log_names_conversations_by_a_hash():
    log = StructuredLog()
    log._logger = recorder = Recorder()
    log.info("turn_started", conversation_id="alice/diary", attempt=1)
    log.error("turn_failed", conversation_id="alice/diary")
    log.info("request", status=200)
    (_, first), (_, second), (_, third) = recorder.lines
    assert first == {"attempt": 1, "conversation": second["conversation"]}
    assert len(first["conversation"]) == 12
    assert third == {"status": 200}


async def test_a_server_awaits_the_parts_in_its_own_loop_with_as_many_threads():
    runtime = Runtime(Settings())
    closed = []
    runtime._resources.callback(closed.append, "client")
    meeting = threading.Barrier(THREADS)
    async with runtime.serving():
        await asyncio.gather(*(asyncio.to_thread(meeting.wait, 10) for _ in range(THREADS)))
        assert closed == []
    assert closed == ["client"]
