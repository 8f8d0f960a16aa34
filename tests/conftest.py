"""Fixtures of all tests, the order in which they run, and which may run at the same time.

The stack starts with the first test that asks for it. ``python -m tests`` runs two halves beside each other: all that
uses the stack, for there is one a session, and what looks at it last has to have been there all the time; and the rest.
"""

import fcntl
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import hypothesis
import pytest

from tests.stack import BUILD, forget_scripts, stack

__all__ = ["forget_scripts", "stack"]

hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # a busy machine stands still now and then
hypothesis.settings.load_profile("untimed")

LAST = "test_logs_and_policies.py"
"""Looks at everything that the functions have logged and done in this session."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--half", choices=["stack", "rest"], help="only the tests that use the stack, or only the others")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files in the order of their names, but those that have to be alone behind the others, and that one at the end."""
    items.sort(key=lambda item: (item.path.name == LAST, is_alone(item)))
    if half := config.getoption("half"):
        others = [item for item in items if ("stack" in item.fixturenames) != (half == "stack")]
        items[:] = [item for item in items if item not in set(others)]
        config.hook.pytest_deselected(items=others)


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keeps the other half from running a test, or making what it needs, beside one that is marked ``alone``."""
    if not item.config.getoption("half"):
        return (yield)
    with company(fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH):
        return (yield)


@contextmanager
def company(kind: int) -> Iterator[None]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "door").open("w") as door, (BUILD / "room").open("w") as room:
        fcntl.flock(door, kind)  # who waits for the room to be empty lets nobody else in
        fcntl.flock(room, kind)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
