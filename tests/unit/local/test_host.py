import socket
from pathlib import Path

import pytest

from local.host import Ports, clean_environment


def test_a_preferred_port_is_taken_when_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert Ports(tmp_path / "ports.json", {"aws": port}).claim("aws") == port


def test_another_port_is_taken_when_it_is_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert Ports(tmp_path / "ports.json", {"aws": port}).claim("aws") != port


def test_a_port_once_taken_is_taken_again(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json", {}).claim("aws")
    again = Ports(tmp_path / "ports.json", {})
    assert again.of("aws") == first
    assert again.claim("aws") == first


def test_the_developers_settings_do_not_reach_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert not {"AWS_PROFILE", "PYTHONPATH"} & clean_environment().keys()


def test_a_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert clean_environment()["NO_PROXY"] == "example.com,127.0.0.1,localhost"
