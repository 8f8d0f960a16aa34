"""The report and the README say what the last run of ``make bench`` has found, and that it keeps what is promised."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench import documents, sizing
from bench.processes import MemoryWatch, cpu_seconds, resident_mb
from bench.promises import of_cold_starts, of_units, promises
from bench.report import cold_start, headlines, number, tables, unit, write

CHECKOUT = Path(__file__).parent.parent.parent.parent
REPORT = CHECKOUT / "bench" / "REPORT.md"
RESULTS = CHECKOUT / "bench" / "results.json"


@pytest.fixture
def found() -> dict[str, Any]:
    return json.loads(RESULTS.read_text())


def test_the_readme_shows_the_last_run(found):
    readme = (CHECKOUT / "README.md").read_text()
    assert documents.filled(readme, headlines(found)) == readme


def test_the_report_is_of_the_last_run(found):
    assert documents.filled(REPORT.read_text(), tables(found)) == REPORT.read_text()


def test_the_last_run_was_a_whole_one(found):
    assert not found["about"]["quick"]
    assert found["about"]["minutes"] < 15


def test_the_last_run_kept_every_promise(found):
    assert [promise for promise in promises(found) if promise[2] != "yes"] == []


def test_a_broken_promise_shows(found):
    for turn in found["units"]["ours"]["rest_limited"]:
        turn["write_units"] *= 2
    broken = [what for what, _, holds in of_units(found) if holds != "yes"]
    assert len(broken) >= 2


@pytest.mark.parametrize(
    ("door", "turns"),
    [
        ("REST", lambda ours: ours["rest_limited"]),
        ("stream API", lambda ours: ours["stream_limited"]),
        ("WebSocket", lambda ours: ours["websocket"]["turns"]),
    ],
)
def test_every_way_in_must_stay_flat_and_wait_twice_at_most(found, door, turns):
    last = max(turns(found["units"]["ours"]), key=lambda turn: turn["turn"])
    last["read_units"] += 1
    last["waits"] = 3
    flat, waits = (what for what, _, holds in of_units(found) if holds != "yes")
    assert flat.startswith(f"{door}: a turn with")
    assert waits.startswith("at most 2 waits")


def test_the_figures_say_what_a_full_log_takes(found):
    assert "`MaxStoredMessages` to 20,000" in tables(found)["full-log"]
    assert "The template's default is 1,000" in headlines(found)["figures-units"]


def test_a_cold_start_is_also_compared_on_equal_terms(found):
    row = found["cold_start"][0] | {"import_ms": 300.0, "floor_unwatched_ms": 250.0}
    assert "| 250.0 | 1.20 |" in cold_start([row])


@pytest.mark.parametrize(("ratio", "zipped", "holds"), [(1.15, 1, "yes"), (1.16, 1, "**no**"), (1.0, 15, "**no**")])
def test_a_cold_start_has_two_bounds(ratio, zipped, holds):
    row = {"function": "http_api", "ratio": ratio, "zipped": zipped * 1024 * 1024}
    assert [promise[2] for promise in of_cold_starts([row])] == [holds]


def test_a_report_is_written_of_its_draft(found, tmp_path):
    results, report = tmp_path / "results.json", tmp_path / "REPORT.md"
    results.write_text(json.dumps(found | {"about": found["about"] | {"quick": True}}))
    write(results, REPORT, report)
    assert "too few samples" in report.read_text()


def test_a_turn_that_did_not_fit_has_no_units():
    turns = {1: {"write_units": 3}, 501: {"refused": "Item size"}}
    assert [unit(turns, turn, "write_units") for turn in (1, 501, 5001)] == ["3", "does not fit", "does not fit"]


def test_a_turn_that_nobody_looked_at_is_not_said_not_to_fit():
    assert unit({1: {"write_units": 3}}, 5001, "write_units") == "not measured"


def test_numbers_say_no_more_than_they_know():
    assert [number(value) for value in (8, 8.0, 8.16, 0.5, 1234)] == ["8", "8", "8.16", "0.5", "1,234"]


def test_half_a_core_takes_twice_as_long():
    whole, half = sizing.size("rest", 0.02, 1769), sizing.size("rest", 0.02, 1769 // 2)
    assert (whole["own_ms"], half["own_ms"]) == (20, 40)
    assert whole["own_usd"] == pytest.approx(half["own_usd"], abs=0.02)


def test_more_than_a_core_is_not_faster():
    assert sizing.size("rest", 0.02, 3008)["own_ms"] == 20


def test_what_was_not_measured_counts_as_nothing():
    assert sizing.total({"http-api": None, "authorizer": 0.5}) == 0.5
    assert sizing.start_seconds([]) == 0


def test_a_process_is_known_by_its_memory_and_its_processor_time():
    assert resident_mb(os.getpid()) > 1
    spent = cpu_seconds([os.getpid()])
    assert spent is None or spent > 0


def test_a_process_that_is_gone_has_none():
    assert resident_mb(2**22 + 1) is None
    assert cpu_seconds([2**22 + 1]) in (None, 0)


def test_memory_is_sampled_while_it_is_watched():
    with MemoryWatch(os.getpid(), pause=0.001) as watch:
        while len(watch.samples) < 2:
            pass
    assert all(mb > 1 for _, mb in watch.samples)
