"""The functions under the emulator, and what they would have invoked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulator.functions import EmulatedFunctions
from tests.emulator.invocations import Invocations
from tests.stack import DeployedStack


@pytest.fixture(scope="module")
def invocations() -> Iterator[Invocations]:
    """Turns are run when a test has the emulated worker run them, and by nobody else."""
    with Invocations().listening() as invocations:
        yield invocations


@pytest.fixture(scope="module")
def functions(
    stack: DeployedStack, invocations: Invocations, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedFunctions]:
    directory = tmp_path_factory.mktemp("emulated")
    with EmulatedFunctions(stack, directory, AWS_ENDPOINT_URL_LAMBDA=invocations.url) as functions:
        yield functions
