"""What is built and deployed: its size, what is in it, and that every function starts from it alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from bench.cold_start import BROUGHT, FUNCTIONS, LAYER, SIGNATURES, measure, zipped
from tests.stack import DeployedStack, sole_builder

MB = 1_000_000
MOST = 15 * MB

PINNED = {"jmespath"}
"""Powertools requires it, and pip installs a lock file with hashes whole or not at all."""


@pytest.fixture(scope="module")
def build(stack: DeployedStack) -> Iterator[Path]:
    with sole_builder():
        yield stack.local.sam.output


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_with_its_layers_is_small(build, name):
    layers = (LAYER, SIGNATURES) if name in ("authorizer", "stream_api") else (LAYER,)
    assert zipped(build, name, layers) < MOST


def test_the_layers_have_nothing_that_lambda_has_but_what_is_pinned(build):
    brought = {name.removesuffix(".py") for name in BROUGHT}
    found = {
        part.name.removesuffix(".py") for layer in (LAYER, SIGNATURES) for part in (build / layer / "python").iterdir()
    }
    assert found & brought == PINNED


def test_only_the_layer_of_oidc_checks_foreign_signatures(build):
    assert (build / SIGNATURES / "python" / "cryptography").is_dir()
    assert not (build / LAYER / "python" / "cryptography").exists()


@pytest.mark.parametrize("part", [*FUNCTIONS.values(), LAYER, SIGNATURES])
def test_every_module_is_compiled(build, part):
    modules = list((build / part).rglob("*.py"))
    assert modules
    assert [module for module in modules if not Path(cache_from_source(str(module))).exists()] == []


def test_every_function_starts_and_answers_from_what_is_built(build):
    rows = {row.function: row for row in measure(sys.executable, build, rounds=1)}
    assert set(rows) == set(FUNCTIONS)
    assert all(row.import_ms > 0 and row.floor_ms > 0 and row.first_call_ms > 0 for row in rows.values())
