"""What begins with a snapshot: here without Lambda, whose Python brings the hooks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from copilotedge.snapshots import renew_when_restored


def test_each_environment_draws_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch):
    hooks = []
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", SimpleNamespace(register_after_restore=hooks.append))
    renew_when_restored()
    snapshot = random.getstate()
    drawn = set()
    for _ in range(3):
        random.setstate(snapshot)
        for restore in hooks:
            restore()
        drawn.add(random.random())
    assert len(drawn) == 3


def test_where_there_are_no_snapshots_nothing_happens():
    before = random.getstate()
    renew_when_restored()
    assert random.getstate() == before


ALONE = """
import socket, sys
def refuse(*_): raise AssertionError("A snapshot must not know a connection")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
__import__(sys.argv[1])
"""


@pytest.mark.parametrize("function", ["http_api", "websocket_api", "turn_worker", "authorizer", "janitor"])
def test_a_function_asks_nobody_anything_before_its_first_event(function: str):
    root = Path(__file__).parent.parent.parent / "functions"
    arns = dict.fromkeys(("SIGNING_KEYS_SECRET_ARN", "API_TOKEN_SECRET_ARN"), "arn:x")
    aws = {"AWS_DEFAULT_REGION": "us-east-1", "TABLE_NAME": "t", "WEBSOCKET_ENDPOINT": "https://x/live"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **arns, **aws}
    subprocess.run([sys.executable, "-c", ALONE, function], env=environment, check=True, timeout=120)
