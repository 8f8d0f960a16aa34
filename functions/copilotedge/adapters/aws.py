"""Clients of AWS services, of one botocore session: what it has read of AWS's data once serves them all.

Not boto3, whose resources and transfers nobody needs here: importing those takes as long as all of our own code.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from time import time
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

CONNECTIONS_LIVE_SECONDS = 240
"""After which they are made anew, for one of them may have been idle as long. Lambda's network forgets a connection
that is idle for some 350 s and tells neither end, and a frozen environment could not hear of it: who used it would wait
in vain.
"""
CONNECTIONS = 32
"""Requests that one client may have under way at once."""

SERVICES = ["apigatewaymanagementapi", "dynamodb", "lambda", "secretsmanager"]


def client(service: str, read_timeout: int, attempts: int, endpoint_url: str | None = None) -> Any:
    """A client of one of ``SERVICES``. ``read_timeout`` in seconds, ``attempts`` with the first."""
    config = Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
    )
    made = _session().create_client(service, endpoint_url=endpoint_url, config=config)
    made.meta.events.register("before-send", _Freshness(made))
    return made


class _Freshness:
    """Makes a client forget its old connections. Called before each of its requests; those under way go on."""

    def __init__(self, made: Any) -> None:
        self._client = made
        self._since = time()
        self._lock = Lock()

    def __call__(self, **_: object) -> None:
        with self._lock:
            if time() - self._since > CONNECTIONS_LIVE_SECONDS:
                self._client.close()  # it opens others when it needs them
                self._since = time()


class _OurServices(Loader):
    """botocore's own data. Which services it has need not be looked up, in 400 directories: these it has."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Whatever of their data, which is what ``type_name`` says, is asked for."""
        del type_name
        return SERVICES


@cache
def _session() -> Any:
    session = botocore.session.get_session()
    session.register_component("data_loader", _OurServices())
    return session
