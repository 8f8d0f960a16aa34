"""What Lambda calls: ``start.http_api`` and the like. Asking for one of these handlers is its function's whole start.

The stream API's handler is a server; ``stream_api.sh`` runs this module for it.

Lambda lends a function more processor for starting than for running. So what its first request needs is imported and
made here: modules, clients of AWS and of the model. What only some requests need waits for them.

Python looks for garbage again and again while modules are imported, and finds next to none: it is stopped meanwhile.
What is there at the end stays for good, so it is never looked at later either, when somebody waits.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Server

FIRST_NEEDED = {
    "http_api": ("replies", "door"),
    "janitor": ("store", "metrics"),
    "turn_worker": ("runner",),
    "websocket_api": ("sockets",),
}
"""Parts of the application (see ``wiring``) by handler; the authorizer has an ``entrance`` instead."""


def __getattr__(name: str) -> Callable[[dict[str, Any], Any], Any]:
    """The handler of this name, once what it needs first is there."""
    if name != "authorizer" and name not in FIRST_NEEDED:
        raise AttributeError(f"there is no handler {name}")
    with _starting():
        handler: Callable[[dict[str, Any], Any], Any] = import_module(name).handler
        _prepare(name)
    return handler


def server() -> Server:
    """The stream API's, with its application. It listens once it is run."""
    with _starting():
        import uvicorn

        config = uvicorn.Config(
            "stream_api:app",
            factory=True,
            host="127.0.0.1",
            port=int(os.environ["AWS_LWA_PORT"]),
            http="h11",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        config.load()
    return uvicorn.Server(config)


@contextmanager
def _starting() -> Iterator[None]:
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def _prepare(name: str) -> None:
    if name == "authorizer":
        from copilotedge.entrance import entrance

        entrance().prepare_to_identify()
    else:
        from copilotedge.wiring import application

        application().prepare(*FIRST_NEEDED[name])


if __name__ == "__main__":
    api = server()
    api.run()
    sys.exit(not api.started)
