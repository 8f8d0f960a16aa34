"""Processor time of a turn, by the processes of each function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.latency import by_rest, by_socket, by_stream, get, warm
from bench.live import Live
from bench.processes import cpu_seconds
from tests.clients import new_conversation


def cpu(on: Live, turns: int, but: set[int]) -> dict[str, Any]:
    """Processor seconds of a turn, by path and by function; ``but`` are processes that work for somebody else."""
    rest, spoken, streamed = (new_conversation(f"bench-cpu-{path}") for path in ("rest", "websocket", "stream"))
    with on.listeners(spoken) as socket:
        warm(on, rest, socket, streamed)
        acts: dict[str, tuple[tuple[str, ...], Callable[[], object]]] = {
            "health": (("http-api", "authorizer"), lambda: get(on, f"{on.stack.http_url}/health")),
            "rest": (("http-api", "authorizer"), lambda: by_rest(on, rest, {})),
            "websocket": (("websocket-api", "turn-worker"), lambda: by_socket(on, socket, {}, [])),
            "stream": (("stream-api",), lambda: by_stream(on, streamed, {}, [])),
        }
        return {path: used(on, functions, act, turns, but) for path, (functions, act) in acts.items()}


def used(
    on: Live, functions: Sequence[str], act: Callable[[], object], times: int, but: set[int]
) -> dict[str, float | None]:
    """Seconds a time, by function."""

    def now() -> list[float | None]:
        return [cpu_seconds(on.pids(function) - but) for function in functions]

    before = now()
    for _ in range(times):
        act()
    spent = zip(functions, before, now(), strict=True)
    return {name: None if a is None or b is None else round((b - a) / times, 4) for name, a, b in spent}
