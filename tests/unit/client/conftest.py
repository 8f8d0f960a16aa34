"""A server for the Python client: the page's fake backend, without tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.page_backend import PageBackend


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[PageBackend]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    backend = PageBackend()
    backend.auth = "none"
    with backend.running():
        yield backend
