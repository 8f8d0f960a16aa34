"""Whom a first call asks: DynamoDB, Secrets Manager, Lambda, API Gateway, a model. They answer at once.

The table keeps what is put and finds it again by partition; conditions always hold, counters are always at 1.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_COUNTED = re.compile(r"(\w+) :amount")
"""Counters that an update adds to."""

KEY = "k" * 64
"""Signs access tokens, and is the model's API token."""

WORDS = b'data: {"choices": [{"delta": {"content": "Hello."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


class StandIns(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        """What the turn worker was invoked with."""

    def handle_error(self, *_: object) -> None:
        """Whoever asked has ended, which is all that can go wrong."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a function that asks these."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LWA_PORT": "8080",
            "STACK_NAME": "copilotedge",
            "TABLE_NAME": "table",
            "TURN_WORKER_FUNCTION": "turn-worker",
            "WEBSOCKET_ENDPOINT": self.url,
            "WORKERS_AI_BASE_URL": self.url,
            "API_TOKEN_SECRET_ARN": "secret",
            "SIGNING_KEYS_SECRET_ARN": "secret",
            "TOKEN_ISSUER": "copilotedge",
        }

    def answer(self, target: str, path: str, body: bytes) -> bytes:
        """To a request for AWS's action ``target``, or for ``path`` where that is empty."""
        if "chat/completions" in path:
            return WORDS
        asked = json.loads(body or b"{}") if target or "/invocations" in path else {}
        if "/invocations" in path:
            self.events.append(asked)
        action = target.rpartition(".")[2]
        found = {"SecretString": json.dumps({"current": KEY, "previous": ""})} if action == "GetSecretValue" else {}
        return json.dumps(found or self._of_the_table(action, asked)).encode()

    def _of_the_table(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        puts = [write["Put"] for write in asked.get("TransactItems", ()) if "Put" in write]
        for put in [*puts, *([asked] if action == "PutItem" else [])]:
            item = put["Item"]
            self.items[item["pk"]["S"], item["sk"]["S"]] = item
        if action == "UpdateItem":
            return {"Attributes": {name: {"N": "1"} for name in _COUNTED.findall(asked["UpdateExpression"])}}
        if action != "Query":
            return {}
        partitions = [value.get("S") for value in asked["ExpressionAttributeValues"].values()]
        keys = sorted(key for key in self.items if key[0] in partitions)
        ordered = keys if asked.get("ScanIndexForward", True) else keys[::-1]
        return {"Items": [self.items[key] for key in ordered], "Count": len(keys)}


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIns

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = self.server.answer(self.headers.get("x-amz-target") or "", self.path, body)
        self.send_response(202 if "/invocations" in self.path else 200)
        self.send_header("content-type", "text/event-stream" if answer is WORDS else "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
