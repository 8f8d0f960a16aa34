"""Fixtures of all tests. The stack starts with the first test that asks for it."""

import pytest

from tests.stack import forget_scripts, stack

__all__ = ["forget_scripts", "stack"]

LAST = "test_logs_and_policies.py"
"""Looks at everything that the functions have logged and done in this session."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of their names, but that one at the end."""
    items.sort(key=lambda item: item.path.name == LAST)
