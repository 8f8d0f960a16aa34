"""A network that breaks: a TCP proxy that cuts its first connections at random moments.

with SeveringProxy("127.0.0.1", 4566, cuts=30, chance=random.Random(1)) as proxy:
    connect(f"ws://{proxy.address}/live")
    proxy.spent.wait()
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit

SOONEST, LATEST = 0.01, 0.7  # seconds from a connection's first bytes until it is cut
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: reset the connection, whatever is on its way


class SeveringProxy:
    """``spent`` is set with the last of the ``cuts``; connections after it are left alone."""

    def __init__(self, host: str, port: int, cuts: int, chance: random.Random) -> None:
        self.cuts = 0
        self.spent = threading.Event()
        self._upstream = host, port
        self._moments = [chance.uniform(SOONEST, LATEST) for _ in range(cuts)]
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._server.getsockname())
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        for link in list(self._links):
            link.sever()

    def in_front_of(self, url: str) -> str:
        """The URL with the proxy's address."""
        return urlsplit(url)._replace(netloc=self.address).geturl()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                link = _Link(client, socket.create_connection(self._upstream), self._at_first_bytes)
                self._links.add(link)
                link.start()

    def _at_first_bytes(self, link: _Link) -> None:
        with self._lock:
            if not self._moments:
                return
            timer = threading.Timer(self._moments.pop(0), self._cut, [link])
        timer.daemon = True
        timer.start()

    def _cut(self, link: _Link) -> None:
        link.sever()
        with self._lock:
            self.cuts += 1
            last = not self._moments
        if last:
            self.spent.set()


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket, at_first_bytes: Callable[[_Link], None]) -> None:
        self._client = client
        self._server = server
        self._at_first_bytes = at_first_bytes

    def start(self) -> None:
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def sever(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        first = source is self._server
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if first:
                    self._at_first_bytes(self)
                    first = False
                sink.sendall(data)
        self.sever()
