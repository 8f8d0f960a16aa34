"""What the project promises of its figures, and whether it holds in a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MB = 1024 * 1024
MOST_UNITS, MOST_REQUESTS, LEAST_RATIO = 8, 3, 25
MOST_ROUND_TRIPS = 2
MOST_IMPORT_RATIO, MOST_ZIPPED_MB = 1.15, 15
LEAST_SHARE = 0.95
FLAT = 1.05
"""A worker's memory at the end of a long answer, at most, of what it was at the beginning."""
CALLBACKS_A_SECOND = 10_000
"""Requests a second that API Gateway lets an account make, callbacks included (its quotas page)."""

Promise = tuple[str, str, str]
"""What is promised, what was found, and whether that holds."""


def promises(found: Mapping[str, Any]) -> list[Promise]:
    return [*of_units(found), *of_latency(found), *of_throughput(found), *of_cold_starts(found["cold_start"])]


def of_units(found: Mapping[str, Any]) -> Iterable[Promise]:
    ours = found["units"]["ours"]
    rest, doors = by_turn(ours["rest"]), by_door(ours)
    turn, counted = rest[100], doors["REST"][100]
    for door, turns in doors.items():
        last, full = turns[max(turns)], turns[51]
        yield promise(
            f"{door}: a turn with {last['stored']:,} stored messages takes what it takes with {full['stored']}",
            f"{all_of(last)}; {all_of(full)}",
            all(last[kind] == full[kind] for kind in ("write_units", "read_units", "requests")),
        )
    yield promise(
        f"a REST turn: at most {MOST_REQUESTS} requests and {MOST_UNITS} write units, and rate limiting's one",
        f"{all_of(turn)}; with rate limiting {all_of(counted)}",
        turn["requests"] <= MOST_REQUESTS
        and turn["write_units"] <= MOST_UNITS
        and counted["requests"] <= MOST_REQUESTS + 1
        and counted["write_units"] <= MOST_UNITS + 1,
    )
    for name, turns in peers(found).items():
        ratio = turns[100]["write_units"] / counted["write_units"]
        yield promise(
            f"turn 100 at least {LEAST_RATIO} times cheaper in write units than with `{name}`, rate limiting included",
            f"{number(turns[100]['write_units'])} / {number(counted['write_units'])} = {ratio:.1f}",
            ratio >= LEAST_RATIO,
        )
    waits = {door: [turn["waits"] for turn in turns.values()] for door, turns in doors.items()}
    yield promise(
        f"at most {MOST_ROUND_TRIPS} waits for DynamoDB, one after the other, before the model is called; with rate"
        " limiting, over WebSocket in both functions together",
        ", ".join(f"{door}: {number(max(counts))}" for door, counts in waits.items()),
        all(count <= MOST_ROUND_TRIPS for counts in waits.values() for count in counts),
    )


def of_latency(found: Mapping[str, Any]) -> Iterable[Promise]:
    within = found["latency"]["within_ms"]
    for path, share in found["latency"]["share_within"].items():
        yield promise(
            f"{path}: {LEAST_SHARE:.0%} of the deltas but the first within {within:.0f} ms of the model's",
            f"{share:.2%}",
            share >= LEAST_SHARE,
        )


def of_throughput(found: Mapping[str, Any]) -> Iterable[Promise]:
    ten = next(one for one in found["fan_out"] if one["sockets"] == 10)
    kept = found["memory"]
    yield promise(
        "1,000 tokens a second to 10 sockets, nothing lost, in order",
        f"at {ten['model_tokens_a_second']:,} a second {ten['whole']} whole, {ten['in_order']} in order",
        ten["whole"] == ten["in_order"] == 10,
    )
    yield promise(
        f"callbacks within the {CALLBACKS_A_SECOND:,} a second that the gateway lets an account make",
        f"{ten['callbacks_a_second']} a second; at most {ten['most_frames_in_a_second']} to one socket",
        ten["callbacks_a_second"] <= CALLBACKS_A_SECOND,
    )
    yield promise(
        f"memory flat over an answer of {kept['seconds'] / 60:.1f} minutes",
        f"{kept['start_mb']:.1f} MB, then {kept['end_mb']:.1f} MB; {in_full(kept['whole'])}",
        kept["end_mb"] <= FLAT * kept["start_mb"] and kept["whole"],
    )


def of_cold_starts(rows: Iterable[Mapping[str, Any]]) -> Iterable[Promise]:
    for one in rows:
        zipped = one["zipped"] / MB
        yield promise(
            f"`{one['function']}`: import within {MOST_IMPORT_RATIO} of its floor; under {MOST_ZIPPED_MB} MB zipped",
            f"{one['ratio']:.2f}; {zipped:.1f} MB",
            one["ratio"] <= MOST_IMPORT_RATIO and zipped < MOST_ZIPPED_MB,
        )


def promise(what: str, how: str, holds: bool) -> Promise:
    return what, how, "yes" if holds else "**no**"


def all_of(count: Mapping[str, Any]) -> str:
    units = f"{number(count['write_units'])} write, {number(count['read_units'])} read units"
    return f"{units} in {count['requests']} requests"


def by_turn(turns: Iterable[Mapping[str, Any]]) -> dict[int, Any]:
    return {turn["turn"]: turn for turn in turns}


def by_door(ours: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    """The turns of each way in, with rate limiting."""
    turns = {
        "REST": ours["rest_limited"],
        "stream API": ours["stream_limited"],
        "WebSocket": ours["websocket"]["turns"],
    }
    return {door: by_turn(those) for door, those in turns.items()}


def peers(found: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    return {name: by_turn(about["turns"]) for name, about in found["units"]["peers"].items()}


def in_full(whole: bool) -> str:
    return "arrived whole" if whole else "**did not arrive whole**"


def number(value: float) -> str:
    """Without what says nothing behind the point."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")
