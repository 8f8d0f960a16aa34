"""What the cost model and the simulation take from a run of ``make bench``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import footprint

RESULTS = Path(__file__).with_name("results.json")
STORED = 198
"""Messages that the log has when a turn is looked at: the hundredth turn, where a full window is read."""


class NotMeasured(ValueError):
    """The results lack something; the message names it."""


@dataclass(frozen=True, slots=True)
class Units:
    """DynamoDB's request units of one turn, and in how many requests."""

    write: float
    read: float
    requests: int


@dataclass(frozen=True, slots=True)
class Measured:
    """``rest`` and ``websocket`` count what limits need too; ``ping`` and ``connection`` are a socket's own.

    ``connection`` is its coming and going together. ``cpu`` has seconds of one core, a turn, by function: ``http-api``,
    ``websocket-api``, ``turn-worker`` and ``stream-api``. ``start_seconds`` is what a cold worker needs for
    imports, clients and its first turn, without what Lambda needs to make it. ``log_bytes`` are by function too.
    """

    rest: Units
    rest_by_stored: Mapping[int, Units]
    websocket: Units
    ping: Units
    connection: Units
    langchain: Mapping[int, Units]
    langgraph: Mapping[int, Units]
    cpu: Mapping[str, float]
    start_seconds: float
    log_bytes: Mapping[str, int]


def read(results: Path = RESULTS) -> Measured:
    """Raises ``NotMeasured`` where a figure is missing."""
    if not results.exists():
        raise NotMeasured(f"There is no {results.name} yet: run `make bench`.")
    found = json.loads(results.read_text())
    ours, peers = _dig(found, "ours"), _dig(found, "peers")
    websocket = _dig(ours, "websocket")
    door = {name: _units(count) for name, count in _dig(websocket, "door").items()}
    comes, goes = door["to connect"], door["to disconnect"]
    rest = _by_stored(_dig(ours, "rest_limited"))
    return Measured(
        rest=_at(rest, STORED),
        rest_by_stored=rest,
        websocket=_at(_by_stored(_dig(websocket, "turns")), STORED),
        ping=door["ping"],
        connection=Units(comes.write + goes.write, comes.read + goes.read, comes.requests + goes.requests),
        langchain=_by_stored(_dig(_dig(peers, "langchain-community"), "turns")),
        langgraph=_by_stored(_dig(_dig(peers, "langgraph-checkpoint-aws"), "turns")),
        cpu=_cpu(_dig(found, "cpu")),
        start_seconds=_start_seconds(_dig(found, "cold_start")),
        log_bytes=json.loads(footprint.FILE.read_text())["log_bytes"],
    )


def _at(turns: Mapping[int, Units], stored: int) -> Units:
    if stored not in turns:
        raise NotMeasured(f"No turn with {stored} messages stored was measured.")
    return turns[stored]


def _cpu(paths: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    found = {name: spent for path in ("rest", "websocket", "stream") for name, spent in paths[path].items()}
    missing = [name for name, spent in found.items() if spent is None]
    if missing:
        raise NotMeasured(f"No processor time was measured of {', '.join(missing)}: run `make bench` on Linux.")
    return {name: spent for name, spent in found.items() if spent is not None}


def _start_seconds(rows: list[dict[str, Any]]) -> float:
    """0 where cold starts were not measured, which the tables then leave out."""
    times = [row["start_ms"] + row["first_call_ms"] for row in rows if "worker" in row["function"]]
    return float(sum(times)) / 1000


def _by_stored(turns: list[dict[str, Any]]) -> dict[int, Units]:
    """A turn that the table refused has no units."""
    return {turn["stored"]: _units(turn) for turn in turns if "write_units" in turn}


def _units(count: Mapping[str, Any]) -> Units:
    return Units(count["write_units"], count["read_units"], count["requests"])


def _dig(found: Any, name: str) -> Any:
    """The first value of that name, however deep: the report may arrange its chapters as it likes."""
    for value in _values(found, name):
        return value
    raise NotMeasured(f"{name!r} is not among the results: run `make bench`.")


def _values(found: Any, name: str) -> list[Any]:
    if isinstance(found, dict):
        here = [found[name]] if name in found else []
        return here or [value for inner in found.values() for value in _values(inner, name)]
    return []
