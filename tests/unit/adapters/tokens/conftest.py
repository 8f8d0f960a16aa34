"""Fixtures of the tests of both modes."""

from __future__ import annotations

import pytest

from tests.fakes import FakeClock, FakeLog


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()
