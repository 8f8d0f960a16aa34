"""``REPORT.md`` and the README's figures: their tables, of ``results.json``. No figure in them is written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import documents
from bench.promises import MB, by_turn, in_full, number, peers, promises
from bench.workload import LOG

PEERS = {"langchain-community": "LangChain", "langgraph-checkpoint-aws": "LangGraph"}
CLASSES = {"langchain-community": "DynamoDBChatMessageHistory", "langgraph-checkpoint-aws": "DynamoDBSaver"}
HEADLINE_TURNS = (1, 10, 100, 5001)

Cell = str | float | None


def write(results: Path, draft: Path, report: Path) -> None:
    """The report, of its draft (an earlier report) and the results."""
    found = json.loads(results.read_text())
    report.write_text(documents.filled(draft.read_text(), tables(found)))


def write_headlines(results: Path, readme: Path) -> None:
    found = json.loads(results.read_text())
    readme.write_text(documents.filled(readme.read_text(), headlines(found)))


def headlines(found: Mapping[str, Any]) -> dict[str, str]:
    """The README's tables, by their names there."""
    about = found["about"]
    machine = f"Python {about['python']} on {about['cores']} cores ({about['processor']})"
    return {
        "figures-machine": f"Measured on {about['date']} with {machine}, in one run of `make bench`:",
        "figures-units": headline_units(found),
        "figures-latency": headline_latency(found),
        "figures-cold-start": cold_start(found["cold_start"]),
    }


def tables(found: Mapping[str, Any]) -> dict[str, str]:
    """The report's tables, by their names there."""
    ours = found["units"]["ours"]
    return {
        "run": run(found["about"]),
        "promises": table(["promise", "found", "holds"], promises(found), words=3),
        "write-units": units(found, "write_units"),
        "read-units": units(found, "read_units"),
        "requests": units(found, "requests"),
        "as-base": as_base64(found),
        "other-turns": other_turns(ours),
        "full-log": full_log(found),
        "latency": latency(found["latency"]),
        "processor-time": processor_time(found["cpu"]),
        "fan-out": fan_out(found["fan_out"]),
        "long-answer": long_answer(found["memory"]),
        "cold-start": cold_start(found["cold_start"]),
        "memory-sizes": memory_sizes(found["memory_sizes"]),
    }


def run(about: Mapping[str, Any]) -> str:
    rows = {
        "date": f"{about['date']}, {about['minutes']} minutes",
        "machine": f"{about['cores']} cores ({about['processor']}), {about['system']}",
        "Python": about["python"],
        "packages": ", ".join(f"{name} {version}" for name, version in about["packages"].items()),
    }
    if about["quick"]:
        rows["**only tried**"] = "with `QUICK=1`: too few samples to count"
    return table(["", ""], list(rows.items()), words=2)


# --- Request units ---------------------------------------------------------------------------------------------------


def units(found: Mapping[str, Any], what: str) -> str:
    ours = found["units"]["ours"]
    paths = {
        "REST": by_turn(ours["rest"]),
        "REST, rate limited": by_turn(ours["rest_limited"]),
        "stream API, rate limited": by_turn(ours["stream_limited"]),
        "WebSocket, rate limited": by_turn(ours["websocket"]["turns"]),
    }
    for name, turns in peers(found).items():
        paths[f"{PEERS[name]} `{CLASSES[name]}` ({found['units']['peers'][name]['version']})"] = turns
    numbers = sorted({turn for turns in paths.values() for turn in turns})
    rows = [[name, *(unit(turns, turn, what) for turn in numbers)] for name, turns in paths.items()]
    return table(["turn", *(f"{turn:,}" for turn in numbers)], rows)


def unit(turns: Mapping[int, Any], turn: int, what: str) -> str:
    """A turn behind one that did not fit was not tried."""
    if turn in turns and what in turns[turn]:
        return number(turns[turn][what])
    return "does not fit" if any("refused" in one for one in turns.values()) else "not measured"


def as_base64(found: Mapping[str, Any]) -> str:
    turns = peers(found)["langgraph-checkpoint-aws"]
    rows = [
        [f"{turn}", *(number(turns[turn][key]) for key in ("write_units", "write_units_in_base64"))]
        for turn in (1, 10, 100)
    ]
    return table(["turn", "write units by its bytes", "by the length of its base64"], rows)


def other_turns(ours: Mapping[str, Any]) -> str:
    full, more = ours["evicting"], ours["a_second_more"]
    door = {f"socket: {name}": one for name, one in ours["websocket"]["door"].items()}
    counts = {**ours["variants"], **door}
    kinds = ("write_units", "read_units", "requests")
    rows = [[name, *(number(one[kind]) for kind in kinds)] for name, one in counts.items()]
    rows.append(
        [
            f"a full log of {full['stored']:,}: mean over {full['turns']} turns with what they evict",
            *(number(full[f"mean_{kind}"]) for kind in kinds),
        ]
    )
    rows.append([f"the dearest of these {full['turns']} turns", number(full["most_write_units"]), "", ""])
    for path, one in more.items():
        rows.append([f"each second more that the model talks, {path}", *(number(one[kind]) for kind in kinds)])
    return table(["", "write units", "read units", "requests"], rows)


def headline_units(found: Mapping[str, Any]) -> str:
    ours, others = by_turn(found["units"]["ours"]["rest_limited"]), peers(found)
    rows = []
    for turn in (turn for turn in HEADLINE_TURNS if turn in ours):
        mine = ours[turn]
        cells = [beside(mine, turns.get(turn, {})) for turns in others.values()]
        rows.append([f"{turn:,} ({mine['stored']:,})", pair(mine), *cells])
    names = [f"{name} `{CLASSES[package]}`" for package, name in PEERS.items()]
    return table(["turn (messages stored)", "CopilotEdge", *names], rows) + f"\n\n{full_log(found)}"


def full_log(found: Mapping[str, Any]) -> str:
    """What the template's default makes of a long conversation."""
    full = found["units"]["ours"]["evicting"]
    mean, most = f"{number(full['mean_write_units'])} write units", number(full["most_write_units"])
    return (
        f"10,000 messages are kept here because the run sets `MaxStoredMessages` to {LOG:,}. The template's default is"
        f" {full['stored']:,}: once there are as many, the oldest are evicted, and a turn takes {mean} in"
        f" {number(full['mean_requests'])} requests on average, and rate limiting's one of each; single turns {most}"
        " write units."
    )


def beside(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    if "write_units" not in theirs:
        return "does not fit"
    return f"{pair(theirs)}: {theirs['write_units'] / mine['write_units']:.1f} times ours"


def pair(count: Mapping[str, Any]) -> str:
    return f"{number(count['write_units'])} in {count['requests']}"


# --- Latency ---------------------------------------------------------------------------------------------------------


def latency(lags: Mapping[str, Any]) -> str:
    rows = [[name, one["p50"], one["p99"], str(one["n"])] for name, one in lags["ms"].items()]
    return table(["ms", "p50", "p99", "samples"], rows)


def processor_time(spent: Mapping[str, Any]) -> str:
    rows = [[path, name, milliseconds(seconds)] for path, by in spent.items() for name, seconds in by.items()]
    return table(["call", "function", "ms"], rows, words=2)


def headline_latency(found: Mapping[str, Any]) -> str:
    lags = found["latency"]["ms"]
    first, later = "first delta of the model to", "later delta of the model to"
    names = {
        "REST": ["REST: request to model call", "", "REST: end of the model's answer to response"],
        "WebSocket": ["WebSocket: request to model call", f"WebSocket: {first} frame", f"WebSocket: {later} frame"],
        "stream API": ["Stream API: request to model call", f"Stream API: {first} event", f"Stream API: {later} event"],
    }
    floors = ["GET /health of the HTTP API", "ping to pong of a socket", "GET /health of the stream API"]
    rows = [
        [path, *(both(lags[name]) if name else "" for name in timed), both(lags[f"floor: {floor}"])]
        for (path, timed), floor in zip(names.items(), floors, strict=True)
    ]
    rows[0][3] += " (all of it)"
    heads = [
        "",
        "request to model call",
        "the model's first words to the client",
        "later words",
        "a request that does nothing",
    ]
    return table(heads, rows)


def both(about: Mapping[str, Any]) -> str:
    return f"{about['p50']} / {about['p99']}"


# --- Throughput, memory, cold start ----------------------------------------------------------------------------------


def fan_out(crowds: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            str(one["sockets"]),
            f"{one['tokens']:,} at {one['model_tokens_a_second']:,} a second",
            f"{one['whole']} / {one['in_order']}",
            one["frames_a_socket"],
            str(one["most_frames_in_a_second"]),
            str(one["callbacks_a_second"]),
            one["behind_the_model_seconds"],
            both(one["late_ms"]) if one["late_ms"] else "",
            f"{one['share_within']:.1%}",
        ]
        for one in crowds
    ]
    heads = ["sockets", "tokens", "heard it whole / in order", "frames a socket", "most in one second"]
    heads += ["callbacks a second", "behind the model at the end, s", "a token is late, ms, p50 / p99", "within 60 ms"]
    return table(heads, rows)


def long_answer(kept: Mapping[str, Any]) -> str:
    rows = {
        "answer": f"{kept['seconds']:.0f} s, {kept['characters']:,} characters, {in_full(kept['whole'])}",
        "after a tenth of the time, MB": kept["start_mb"],
        "at the end, MB": kept["end_mb"],
        "at most, MB": kept["most_mb"],
        "slope, MB a minute": f"{kept['slope_mb_a_minute']:+.3f}",
    }
    return table(["", ""], list(rows.items()), words=2)


def cold_start(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        [
            f"`{one['function']}`",
            one["import_ms"],
            one["floor_ms"],
            f"{one['ratio']:.2f}",
            one["floor_unwatched_ms"],
            f"{one['import_ms'] / one['floor_unwatched_ms']:.2f}",
            one["first_call_ms"],
            f"{one['zipped'] / MB:.1f} MB",
        ]
        for one in rows
    ]
    heads = ["function", "import", "floor", "ratio", "floor, collector off", "ratio to that", "first call", "zipped"]
    return table(heads, cells)


def memory_sizes(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        [one["path"], f"{one['memory_mb']:,}", str(one["own_ms"]), f"{one['own_usd']:.2f}", f"{one['usd']:.2f}"]
        for one in rows
    ]
    heads = ["path", "memory, MB", "own work, ms", "USD a million turns, own work", "with the model's time"]
    return table(heads, cells)


# --- Tables ----------------------------------------------------------------------------------------------------------


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], words: int = 1) -> str:
    """The first ``words`` columns to the left, the others to the right."""
    made = documents.table(heads, [[cell(value) for value in row] for row in rows])
    return made.replace("---:", "---", words - 1)


def cell(value: Cell) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.1f}"


def milliseconds(seconds: float | None) -> Cell:
    return "not measured here" if seconds is None else round(seconds * 1000, 1)
