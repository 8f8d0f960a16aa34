"""Fixtures of all tests. The stack starts with the first test that asks for it."""

from tests.stack import forget_scripts, stack

__all__ = ["forget_scripts", "stack"]
