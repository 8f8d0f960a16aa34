"""Thousands of interleavings of the whole core, each checked by its history. A failing seed is printed and replays."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.points import Faults
from tests.simulation.schedule import CALM, STORMY, Scenario, play

SEEDS = 600
MUTANT_SEEDS = 600
SCENARIOS = {
    "calm": Scenario(CALM),
    "stormy": Scenario(STORMY),
    "stalls": Scenario(Faults(process_stalls=0.02)),
    "cancels": Scenario(STORMY, weights={"say": 5, "cancel": 3, "regenerate": 2, "reconnect": 1}),
    "streams": Scenario(STORMY, weights={"say": 3, "stream": 4, "follow": 3, "cancel": 1, "reconnect": 1}),
    "quick": Scenario(weights={"say": 3, "rest": 3, "reconnect": 6}, word_seconds=0.005),
    "appends": Scenario(STORMY, weights={"say": 4, "append": 4, "regenerate": 1, "reconnect": 2}),
    "clears": Scenario(STORMY, weights={"say": 6, "clear_history": 2, "reconnect": 1}),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_schedule_has_a_history_that_one_order_explains(name: str):
    results = {seed: play(seed, SCENARIOS[name]) for seed in range(SEEDS)}
    failed = {seed: result.violations for seed, result in results.items() if result.violations}
    assert not failed, (
        f"{len(failed)} of {SEEDS}: play({next(iter(failed))}, SCENARIOS[{name!r}]) replays one: {failed}"
    )
    assert len({result.trace for result in results.values()}) == SEEDS


def test_the_same_seed_plays_the_same_schedule():
    assert play(7, SCENARIOS["stormy"]).trace == play(7, SCENARIOS["stormy"]).trace


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_core_without_one_of_its_conditions_is_found_out(mutant: Mutant, monkeypatch: pytest.MonkeyPatch):
    mutant.apply(monkeypatch)
    assert any(play(seed, SCENARIOS[mutant.scenario]).violations for seed in range(MUTANT_SEEDS))
