"""DynamoDB as MiniStack has it, with nothing deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.host import Ports
from local.ministack import MiniStack


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of it."""
    directory = tmp_path_factory.mktemp("ministack")
    ministack = MiniStack(directory, Ports(directory / "ports.json", {}))
    try:
        ministack.start()
        yield ministack.session().client("dynamodb", endpoint_url=ministack.endpoint)
    finally:
        ministack.stop()
