"""The simulation against queueing theory, and the tables of docs/scale.md."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import limits, measured, scale_tables, simulation
from bench.documents import filled, seconds, short
from bench.measured import read
from bench.queueing import Pool, Process, Rate, Simulation, mean_wait_md1, mean_wait_mmc, percentile
from bench.simulation import LIMITS, Quotas, Service, Turns, at_load, burst, capacity, hot, service_of
from bench.waiting_plot import plot
from copilotedge.adapters import api_gateway

SOME = Path(__file__).with_name("some_results.json")
COMMITTED = measured.RESULTS if measured.RESULTS.exists() else SOME
"""What the documents are made from."""
SERVICE = Service(
    model_seconds=2.0,
    before_seconds=0.05,
    after_seconds=0.05,
    begin_units=8,
    complete_units=4,
    frames=50,
    start_seconds=0.5,
)


# --- Theory ----------------------------------------------------------------------------------------------------------


def queue(places: int, arrivals: float, service: float, customers: int = 60_000) -> tuple[list[float], Pool]:
    """The waits of M/M/c, and its pool."""
    world, chance, waits = Simulation(), random.Random(7), list[float]()
    pool = Pool(world, places)

    def customer() -> Process:
        came = world.now
        yield pool
        waits.append(world.now - came)
        yield chance.expovariate(1 / service)
        pool.release()

    def customers_come() -> Process:
        for _ in range(customers):
            yield chance.expovariate(arrivals)
            world.start(customer())

    world.start(customers_come())
    world.run()
    return waits, pool


@pytest.mark.parametrize(("places", "load"), [(1, 0.5), (1, 0.8), (4, 0.7), (10, 0.9)])
def test_waits_are_those_of_erlang(places, load):
    waits, _ = queue(places, load * places, 1.0)
    assert sum(waits) / len(waits) == pytest.approx(mean_wait_mmc(places, load * places, 1.0), rel=0.1)


def test_littles_law_holds():
    waits, pool = queue(4, 3.2, 1.0)
    assert pool.mean_waiting == pytest.approx(3.2 * sum(waits) / len(waits), rel=0.02)


def test_a_rate_makes_wait_as_m_d_1_does():
    world, chance, waits = Simulation(), random.Random(7), list[float]()
    rate = Rate(world, 10.0)

    def customers() -> Process:
        for _ in range(60_000):
            yield chance.expovariate(8.0)
            waits.append(rate.wait())

    world.start(customers())
    world.run()
    assert sum(waits) / len(waits) == pytest.approx(mean_wait_md1(8.0, 0.1), rel=0.05)


def test_a_hot_conversation_refuses_as_m_m_1_k_does():
    exact = replace(SERVICE, before_seconds=0.0, after_seconds=0.0)
    load, places = 0.95, 6
    blocked = (1 - load) * load**places / (1 - load ** (places + 1))
    row = hot(exact, load / exact.model_seconds, room=places - 1)
    assert row["refused"] / row["arrived"] == pytest.approx(blocked, rel=0.05)


# --- Rates and places ------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    bucket = Rate(Simulation(), 10.0, burst=3.0)
    assert [bucket.wait() for _ in range(5)] == pytest.approx([0, 0, 0, 0, 0.1])


def test_what_cannot_be_taken_at_once_is_not_taken():
    bucket = Rate(Simulation(), 10.0, burst=3.0)
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]


def test_who_comes_first_is_served_first():
    world, served = Simulation(), list[int]()
    pool = Pool(world, 1)

    def customer(number: int) -> Process:
        yield pool
        served.append(number)
        yield 1.0
        pool.release()

    for number in range(5):
        world.start(customer(number))
    world.run()
    assert (served, world.now) == ([0, 1, 2, 3, 4], 5.0)


def test_environments_are_made_at_their_rate_and_kept():
    world = Simulation()
    pool = Pool(world, 100, Rate(world, 10.0, burst=5.0), start_seconds=1.0)
    began: list[float] = []

    def customer() -> Process:
        yield pool
        began.append(world.now)
        yield 100.0
        pool.release()

    for _ in range(8):
        world.start(customer())
    world.run()
    assert began == pytest.approx([1.0] * 6 + [1.1, 1.2])
    assert pool.made == 8


def test_percentiles_are_values_that_there_were():
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert percentile([], 0.5) == 0.0


# --- Turns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quotas",
    [
        Quotas(),
        Quotas(environments=10),
        Quotas(write_units=30),
        Quotas(frames=100),
        Quotas(model_calls=1, model_calls_at_once=1),
        Quotas(environments=5, write_units=20, frames=50, model_calls=1, model_calls_at_once=1),
    ],
)
def test_nothing_is_lost_at_any_limit(quotas):
    turns = Turns(SERVICE, quotas, rate=5, seconds=60)
    outcome = turns.run(drain=True)
    assert outcome.arrived > 200
    assert outcome.arrived == outcome.answered + outcome.failed
    assert outcome.left == turns.environments.busy == turns.environments.waiting == 0


def test_what_is_under_way_at_the_end_is_left():
    outcome = Turns(SERVICE, Quotas(environments=2), rate=5, seconds=60).run()
    assert outcome.left > 0
    assert outcome.arrived == outcome.answered + outcome.failed + outcome.left


def test_with_room_for_all_nobody_waits_and_nobody_fails():
    outcome = Turns(SERVICE, Quotas(starts_per_second=math.inf, starts_at_once=1), rate=5, seconds=200).run()
    assert outcome.failed == 0
    assert outcome.waits[len(outcome.waits) // 2] == pytest.approx(0, abs=1e-6)


def test_the_same_seed_gives_the_same_figures():
    one, again, other = (at_load(SERVICE, Quotas(environments=20), 0.9, seed, most=2000) for seed in (1, 1, 2))
    assert one == again != other


def test_calls_that_the_model_refuses_fail_after_their_tries():
    outcome = Turns(SERVICE, Quotas(model_calls=1, model_calls_at_once=1), rate=3, seconds=600).run(drain=True)
    assert outcome.failed > 0.5 * outcome.arrived
    assert outcome.answered <= 600 + 10


@pytest.mark.parametrize("quotas", [Quotas(environments=50), Quotas(write_units=400), Quotas(frames=2000)])
def test_beyond_its_capacity_a_limit_makes_wait_longer_and_longer(quotas):
    below, beyond = (at_load(SERVICE, quotas, load, most=4000) for load in (0.7, 1.3))
    waits = "lag_p99" if math.isfinite(quotas.frames) else "wait_p99"
    assert below[waits] < 1.0 < beyond[waits]


def test_capacity_is_that_of_the_tightest_limit():
    assert capacity(SERVICE, Quotas(environments=21)) == pytest.approx(10)
    assert capacity(SERVICE, Quotas(environments=21, write_units=12, frames=5000)) == pytest.approx(1)


def test_a_burst_waits_for_environments_and_loses_nobody():
    row = burst(SERVICE, 300, environments=100)
    assert row["made"] == 100
    assert row["answered"] == row["arrived"]
    assert row["wait_p99"] > SERVICE.start_seconds


def test_a_socket_is_given_up_after_the_tries_of_a_post():
    assert simulation.BACKOFF_SECONDS == api_gateway._BACKOFF_SECONDS  # ours alone is public
    assert pytest.approx(2.36, abs=0.01) == simulation.PATIENCE


# --- The document ----------------------------------------------------------------------------------------------------


def test_the_document_has_the_tables_that_are_made_now():
    """If not: `make simulate`, and look at what the text says of them."""
    simulated = json.loads(simulation.RESULT.read_text())
    assert simulated["service"] == pytest.approx(vars_of(service_of(read(COMMITTED))))
    text = scale_tables.DOCUMENT.read_text()
    assert filled(text, scale_tables.tables(read(COMMITTED), simulated)) == text
    assert plot(simulated) == scale_tables.PLOT.read_text()


def vars_of(service: Service) -> dict[str, float]:
    return {name: getattr(service, name) for name in Service.__dataclass_fields__}


def test_the_plot_is_a_picture_with_a_line_a_limit():
    drawn = ET.fromstring(plot(json.loads(simulation.RESULT.read_text())))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == len(LIMITS)


def test_what_breaks_first_comes_first():
    lines = scale_tables.breaks(limits.per_turn(read(SOME))).split("\n")[2:]
    assert lines[0].startswith("| model calls/s")
    assert len(lines) == len(limits.LIMITS_OF_A_STACK)


def test_ten_times_the_conversations_ask_ten_times_as_much():
    turn = limits.per_turn(read(SOME))
    few, many = (limits.needed(turn, limits.peak(turn, conversations)) for conversations in (10**5, 10**6))
    assert many == pytest.approx({name: 10 * amount for name, amount in few.items()})


@pytest.mark.parametrize(
    ("number", "text"), [(0.035, "0.035"), (12, "12"), (3472, "3,470"), (1.2e6, "1.2 M"), (3e9, "3 G")]
)
def test_counts_are_short(number, text):
    assert short(number) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.059, "59 ms"), (3.7, "3.7 s"), (600, "10 min")])
def test_times_are_as_people_read_them(value, text):
    assert seconds(value) == text
