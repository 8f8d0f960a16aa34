"""The tables and the plot of ``docs/scale.md``: arithmetic from what a turn takes, and what ``simulation`` found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.documents import filled, seconds, short, table
from bench.limits import LIMITS_OF_A_STACK, PerTurn, needed, peak, per_turn
from bench.measured import Measured, read
from bench.simulation import LIMITS, RESULT, Service, capacity
from bench.waiting_plot import plot
from copilotedge.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
DOCUMENT = CHECKOUT / "docs" / "scale.md"
PLOT = CHECKOUT / "docs" / "images" / "waiting.svg"
DECADES = tuple(10**power for power in range(3, 9))
"""Conversations a day."""
KEPT_DAYS = 3
"""A day of inactivity, and the two within which DynamoDB "typically" deletes what has expired."""


def tables(measured: Measured, simulated: dict[str, Any]) -> dict[str, str]:
    """By the names of their places."""
    turn = per_turn(measured)
    return {
        "a-turn": a_turn(turn),
        "breaks": breaks(turn),
        "decades": decades(turn),
        "volumes": volumes(turn),
        "waiting": waiting(simulated),
        "defaults": defaults(simulated["defaults"]),
        "bursts": bursts(simulated["bursts"]),
        "hot": hot(simulated["hot"]),
    }


def a_turn(turn: PerTurn) -> str:
    service = turn.service
    rows = [
        ("holds its Lambda for", seconds(service.held_seconds)),
        ("of that, waits for the model", seconds(service.model_seconds)),
        ("write units, with its share of coming, pings and deletion", f"{turn.write_units:.1f}"),
        ("read units", f"{turn.read_units:.1f}"),
        ("frames and requests at the gateway", f"{turn.frames:.0f}"),
        ("bytes stored", f"{turn.stored_bytes:,.0f}"),
        ("bytes logged", f"{turn.log_bytes:,.0f}"),
    ]
    return table(["a turn over WebSocket, one socket", ""], rows)


def breaks(turn: PerTurn) -> str:
    """The limits in the order in which a growing stack meets them."""
    one = needed(turn, 1.0)
    met = sorted(LIMITS_OF_A_STACK, key=lambda limit: limit.default / one[limit.name])
    rows = [
        (
            limit.name,
            short(limit.default),
            short(limit.default / one[limit.name]),
            short(limit.default / one[limit.name] / peak(turn, 1)),
            limit.moved_by,
        )
        for limit in met
    ]
    head = ["limit", "default", "turns/s that meet it", "conversations a day", "what moves it"]
    return _left(table(head, rows), 5)


def decades(turn: PerTurn) -> str:
    """At each order of magnitude, in bold what is over the default."""
    names = [limit.name for limit in LIMITS_OF_A_STACK if "TotalTokens" not in limit.name]
    defaults = {limit.name: limit.default for limit in LIMITS_OF_A_STACK}
    rows = []
    for conversations in DECADES:
        rate = peak(turn, conversations)
        need = needed(turn, rate)
        cells = [f"**{short(need[name])}**" if need[name] > defaults[name] else short(need[name]) for name in names]
        rows.append((short(conversations), short(rate), *cells))
    return table(["conversations a day", "turns/s at the peak", *names], rows)


def volumes(turn: PerTurn) -> str:
    """What has no quota in its way, but is there."""
    rows = []
    for conversations in DECADES:
        rate, turns = peak(turn, conversations), conversations * turn.workload.turns_per_conversation
        stored = turns * turn.stored_bytes * KEPT_DAYS / 1e9
        partitions = max(1, rate * turn.write_units / 1000, rate * turn.read_units / 3000, stored / 10)
        rows.append(
            (
                short(conversations),
                f"{short(stored)} GB",
                short(partitions),
                short(rate / turn.workload.turns_per_conversation),
                f"{short(turns * turn.log_bytes / 1e9)} GB",
                short(rate * turn.connections * 120 * 60),
            )
        )
    head = [
        "conversations a day",
        "table",
        "partitions at least",
        "conversations that end a second",
        "logs a day",
        "sockets, if each stays 2 h",
    ]
    return table(head, rows)


def waiting(simulated: dict[str, Any]) -> str:
    rows = []
    service = Service(**simulated["service"])
    for name, runs in simulated["limits"].items():
        full = capacity(service, LIMITS[name])
        for run in runs:
            lags = run["lag_p99"] if "frames" in name else run["wait_p99"]
            rows.append(
                (
                    f"{name}, {full:,.0f} turns/s" if run is runs[0] else "",
                    f"{run['load']:.0%}",
                    seconds(0.0 if "frames" in name else run["wait_p50"]),
                    seconds(lags),
                    _share(run["failed"], run),
                    f"{run['too_late']:.0%}" if "frames" in name else "",
                )
            )
    head = ["limit", "load", "wait p50", "wait p99", "turns that fail", "frames too late"]
    return table(head, rows)


def defaults(runs: Iterable[dict[str, Any]]) -> str:
    rows = [
        (f"{run['rate']:,}", _share(run["answered"], run), _share(run["failed"], run), seconds(run["wait_p99"]))
        for run in runs
    ]
    return table(["turns/s", "answered", "failed", "wait p99"], rows)


def bursts(runs: Iterable[dict[str, Any]]) -> str:
    rows = [
        (
            f"{run['arrived']:,}",
            f"{run['environments']:,}",
            f"{run['made']:,}",
            seconds(run["wait_p50"]),
            seconds(run["wait_p99"]),
            f"{run['arrived'] - run['answered']}",
        )
        for run in runs
    ]
    head = ["turns within a second", "account may have", "environments made", "wait p50", "wait p99", "lost"]
    return table(head, rows)


def hot(runs: Iterable[dict[str, Any]]) -> str:
    rows = [
        (
            f"{run['rate'] * 60:.0f}",
            seconds(run["wait_p50"]),
            seconds(run["wait_p99"]),
            f"{run['refused'] / run['arrived']:.1%}",
        )
        for run in runs
    ]
    return table(
        ["messages a minute", "wait p50", "wait p99", f"refused (queue of {Settings().max_queued_messages})"], rows
    )


def _share(part: float, run: dict[str, Any]) -> str:
    """Of those whose end has come."""
    ended = run["answered"] + run["failed"]
    return f"{part / ended:.1%}" if ended else ""


def _left(text: str, column: int) -> str:
    """The same table with this column (1 is the first) to the left."""
    head, rule, *rows = text.split("\n")
    cells = rule.strip("| ").split(" | ")
    cells[column - 1] = "---"
    return "\n".join([head, f"| {' | '.join(cells)} |", *rows])


def write() -> None:
    simulated: dict[str, Any] = json.loads(RESULT.read_text())
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), tables(read(), simulated)))
    PLOT.write_text(plot(simulated))


if __name__ == "__main__":
    write()
