"""What importing a handler loads: a cold start pays for every module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent.parent.parent / "functions"
HEAVY = {"aws_lambda_powertools", "boto3", "botocore", "cryptography", "httpx", "jwt", "pydantic", "starlette"}


def loaded(handler: str) -> set[str]:
    """Top-level packages that are there once a fresh interpreter has imported the handler."""
    code = f"import sys, {handler}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    # -I: neither the tests' path nor the environment; -S would hide the packages
    prelude = f"import sys; sys.path.insert(0, {str(FUNCTIONS)!r}); "
    run = subprocess.run([sys.executable, "-I", "-c", prelude + code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("handler", "needs"),
    [
        ("authorizer", {"aws_lambda_powertools", "boto3", "botocore", "cryptography", "jwt"}),
        ("http_api", {"aws_lambda_powertools", "boto3", "botocore", "pydantic"}),
        ("websocket_api", {"aws_lambda_powertools", "boto3", "botocore", "pydantic"}),
        ("turn_worker", {"aws_lambda_powertools", "boto3", "botocore", "pydantic"}),
        ("janitor", {"aws_lambda_powertools", "boto3", "botocore", "pydantic"}),
        ("stream_api", HEAVY - {"httpx"}),
    ],
)
def test_a_handler_loads_only_what_it_needs(handler, needs):
    assert loaded(handler) & HEAVY <= needs
