"""Lambda's API, as far as a function calls it: what it invokes is written down and left undone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Invocations:
    """Events of the asynchronous invocations that were asked for."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[Invocations]:
        """Serve at ``url`` meanwhile."""
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def of(self, conversation: str) -> list[dict[str, Any]]:
        """Those about the conversation of this key."""
        return [event for event in self.events if event.get("conversationId") == conversation]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not a word."""

        return Handler
