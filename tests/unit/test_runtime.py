"""What every function has, whatever it does."""

from __future__ import annotations

from typing import Any

from copilotedge.runtime import StructuredLog


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
