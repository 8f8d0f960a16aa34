"""Turns of ours that are looked at: ``python -m bench.turns 100 FILE`` writes JSON, of the turns up to that one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.meter import Count
from bench.ours import LIMITED, UNLIMITED, Bench, measured, without_watch
from bench.workload import TURNS, stored_before
from copilotedge.settings import Settings
from copilotedge.transitions import new_id
from tests.scripted_model import Reply

LONG_SECONDS = 21
"""Of an answer that takes its time: long enough that its lease is renewed twice, short enough for a REST caller."""
EVICTION_TURNS = 25
"""A full log is cut back once in so many turns."""


def by_turn(bench: Bench, last: int, turn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The turns of ``workload`` up to ``last``, each in a conversation that has what was said before it."""
    for number in (number for number in TURNS if number <= last):
        name = f"turn-{number}"
        bench.fill(name, stored_before(number))
        count = bench.cost(partial(turn, name))
        yield {"turn": number, "stored": stored_before(number), **count.as_json(), "waits": bench.waits.before_model}


def variants(bench: Bench) -> dict[str, dict[str, Any]]:
    """What else a turn may cost, with 198 messages stored and nothing limited."""
    bench.fill("new", 0)
    found: dict[str, Count] = {"first turn of a conversation": bench.cost(partial(bench.rest, "new"))}
    bench.fill("keyed", 198)
    found["with an idempotency key"] = bench.cost(partial(bench.rest, "keyed", **{"idempotency-key": "key-1"}))
    found["the same key again"] = bench.cost(partial(bench.rest, "keyed", **{"idempotency-key": "key-1"}))
    bench.fill("unlisted", 198, listed_at=0)
    found["once in five minutes: listed anew"] = bench.cost(partial(bench.rest, "unlisted"))
    return {name: count.as_json() for name, count in found.items()}


def lasting(bench: Bench) -> dict[str, dict[str, Any]]:
    """An answer of one second more, while the holder watches: the mean over ``LONG_SECONDS``, nobody following."""
    short, long = bench.answer, Reply(chunks=["a" * 64] * 9, delay_between=LONG_SECONDS / 8)
    found = {}
    turns: dict[str, Callable[[str], None]] = {
        "rest": bench.rest,
        "websocket": lambda to: bench.over_websocket(to, new_id()),
    }
    with without_watch(on=False):
        for name, turn in turns.items():
            counts = []
            for bench.answer in (short, long):
                bench.fill(name, 198)
                bench.socket("connect", name)
                counts.append(bench.cost(partial(turn, name), in_real_time=True))
            brief, lasted = counts
            found[name] = {
                "requests": (lasted.dynamodb_requests - brief.dynamodb_requests) / LONG_SECONDS,
                "write_units": (lasted.write_units - brief.write_units) / LONG_SECONDS,
                "read_units": (lasted.read_units - brief.read_units) / LONG_SECONDS,
            }
    bench.answer = short
    return found


def evicting(bench: Bench, most: int) -> dict[str, Any]:
    """A log that is full: the mean over the turns between two evictions, and the dearest of them."""
    bench.fill("full", most)
    counts = [bench.cost(partial(bench.rest_and_sweep, "full")) for _ in range(EVICTION_TURNS)]
    units = [count.write_units for count in counts]
    requests = [count.dynamodb_requests for count in counts]
    return {
        "stored": most,
        "turns": EVICTION_TURNS,
        "mean_write_units": sum(units) / EVICTION_TURNS,
        "most_write_units": max(units),
        "mean_read_units": sum(count.read_units for count in counts) / EVICTION_TURNS,
        "mean_requests": sum(requests) / EVICTION_TURNS,
    }


def websocket(bench: Bench, last: int) -> dict[str, Any]:
    """Turns over WebSocket with one socket there; coming and going; what the other services are asked."""
    named = {"to connect": "connect", "to disconnect": "disconnect"}
    bench.fill("door", 198)
    door = {name: bench.cost(partial(bench.socket, kind, "door")).as_json() for name, kind in named.items()}
    bench.socket("connect", "door")
    door["ping"] = bench.cost(partial(bench.socket, "message", "door", type="system", content="ping")).as_json()
    over_websocket = []
    for number in (number for number in TURNS if number <= last):
        name = f"websocket-{number}"
        bench.fill(name, stored_before(number))
        bench.socket("connect", name)
        bench.gateway.frames.clear()
        count = bench.cost(partial(bench.over_websocket, name, f"m-{number}"))
        frames = sum(map(len, bench.gateway.frames.values()))
        about = {"turn": number, "stored": stored_before(number), "frames_a_socket": frames}
        over_websocket.append(about | count.as_json() | {"waits": bench.waits.before_model})
    return {"turns": over_websocket, "door": door}


def main(last: int, result: Path) -> None:
    with measured() as (meter, model):
        free = Bench(meter, model, **UNLIMITED)
        found: dict[str, Any] = {"rest": list(by_turn(free, last, free.rest)), "variants": variants(free)}
        most = 200 if last < 501 else Settings().max_stored_messages
        found["evicting"] = evicting(Bench(meter, model, **UNLIMITED, max_stored_messages=most), most)
        limited = Bench(meter, model, **LIMITED)
        found["rest_limited"] = list(by_turn(limited, last, limited.rest))
        found["stream_limited"] = list(by_turn(limited, last, limited.stream))
        found["websocket"] = websocket(limited, last)
        found["a_second_more"] = lasting(Bench(meter, model, **LIMITED, lease_seconds=Settings().lease_seconds))
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
