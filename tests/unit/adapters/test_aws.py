"""Clients of AWS: what they share, and how long they wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from copilotedge.adapters import aws


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.mark.parametrize("service", aws.SERVICES)
def test_every_service_is_the_one_that_boto3_knows(service):
    ours, boto3s = aws.client(service, read_timeout=5, attempts=3), boto3.client(service)
    assert ours.meta.service_model.api_version == boto3s.meta.service_model.api_version
    assert ours.meta.endpoint_url == boto3s.meta.endpoint_url
    assert set(ours.meta.method_to_api_mapping) == set(boto3s.meta.method_to_api_mapping)


def test_a_client_waits_and_tries_as_often_as_it_is_told():
    config = aws.client("dynamodb", read_timeout=4, attempts=2).meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (2, 4, aws.CONNECTIONS)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}


def test_an_endpoint_may_be_named():
    client = aws.client("apigatewaymanagementapi", read_timeout=5, attempts=1, endpoint_url="https://x.test/live")
    assert client.meta.endpoint_url == "https://x.test/live"


def test_another_service_is_not_found():
    with pytest.raises(Exception, match="Unknown service: 's3'"):
        aws.client("s3", read_timeout=5, attempts=1)


class Server(ThreadingHTTPServer):
    """Answers everything with ``{}`` and keeps its connections open; ``callers`` are their other ends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.callers: list[tuple[str, int]] = []


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.callers.append(self.client_address)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


LIFE = aws.CONNECTIONS_LIVE_SECONDS


@pytest.mark.parametrize(("pause", "connections"), [(0, 1), (LIFE / 3, 1), (LIFE / 2, 2), (LIFE + 1, 4)])
def test_a_connection_is_not_used_for_so_long_that_it_might_be_forgotten(monkeypatch, server, pause, connections):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    now = 1_000.0
    monkeypatch.setattr(aws, "time", lambda: now)
    client = aws.client("dynamodb", 5, 1, endpoint_url=f"http://127.0.0.1:{server.server_port}")
    for _ in range(4):
        client.list_tables()
        now += pause
    client.close()
    assert len(server.callers) == 4
    assert len(set(server.callers)) == connections
