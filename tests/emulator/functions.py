"""The built functions under Lambda's runtime interface emulator, a part of SAM CLI that ``sam local`` runs too.

The emulator starts Lambda's own Python runtime, which asks it for events; whoever posts one gets the handler's result.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from local.deployed import ALIAS
from local.host import architecture, aws_environment, clean_environment, free_port
from local.places import TOOLS
from local.stream_api import LAYER, credentials, kept_layer
from tests.stack import DeployedStack, sole_builder, wait_until

SAM_PACKAGES = TOOLS / "sam" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
EMULATOR = SAM_PACKAGES / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{architecture()}"
"""For Linux only."""
PYTHON = TOOLS / "emulator" / "bin" / "python"
"""Has what Lambda's runtime brings and nothing else (``requirements/emulator.in``); the rest is built or missing."""
BUILT = {
    "authorizer": "AuthorizerFunction",
    "http-api": "HttpFunction",
    "janitor": "JanitorFunction",
    "turn-worker": "TurnWorkerFunction",
    "websocket-api": "WebSocketFunction",
}
"""Directories that ``sam build`` makes. The stream API is no handler but a server, so it is not for this emulator: what
stands between it and the runtime interface is the Lambda Web Adapter, a layer of AWS's."""


class EmulatedFunction:
    """One function in its emulator, with the environment ``variables`` that Lambda would give it.

    ``code`` and ``layer`` are directories, as ``/var/task`` and ``/opt`` are.
    """

    def __init__(self, handler: str, code: Path, layer: Path, variables: Mapping[str, str], log: Path) -> None:
        interface, runtime = (f"127.0.0.1:{free_port(0)}" for _ in range(2))
        own = ["--runtime-interface-emulator-address", interface, "--runtime-api-address", runtime]
        self._log = log
        self._client = httpx.Client(base_url=f"http://{interface}", timeout=120, trust_env=False)
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [EMULATOR, "--log-level", "error", *own, PYTHON, "-m", "awslambdaric", handler],
                cwd=code,
                env={
                    **clean_environment(),
                    **variables,
                    "LAMBDA_TASK_ROOT": str(code),
                    "PYTHONPATH": f"{code}:{layer}/python",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until the emulator listens; the function itself starts with its first event."""
        wait_until(self._listening, "the emulator to listen")

    def invoke(self, event: Any) -> Any:
        """What the handler returns. Raises AssertionError when it fails, or the function does."""
        answer = self._client.post("/2015-03-31/functions/function/invocations", content=json.dumps(event).encode())
        assert answer.status_code == 200, (answer.text, self.log())
        result = answer.json()
        assert not (isinstance(result, dict) and "errorType" in result), (result, self.log())
        return result

    def log(self) -> str:
        """What the function and its emulator have printed."""
        return self._log.read_text()

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _listening(self) -> bool:
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError):
            self._client.get("/")
            return True
        return False


class EmulatedFunctions:
    """All functions of a stack but the stream API, started when they are first called, with other ``settings``.

    They are what the stack has deployed: built by SAM CLI, configured by the template, with credentials of their roles.
    """

    def __init__(self, stack: DeployedStack, directory: Path, **settings: str) -> None:
        self._stack = stack
        self._directory = directory
        self._settings = settings
        self._deployed: dict[str, EmulatedFunction] = {}
        self._running: list[EmulatedFunction] = []
        self._live = {function: live(stack, function) for function in BUILT}
        with sole_builder():  # the next build may come while they run
            built = stack.local.sam.output
            self._layer = kept_layer(built / LAYER)
            for name in BUILT.values():
                shutil.copytree(built / name, directory / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for function in self._running:
            function.stop()

    def __getitem__(self, function: str) -> EmulatedFunction:
        """``http-api``, ``turn-worker`` and so on."""
        if function not in self._deployed:
            self._deployed[function] = self.start(function, self._variables(function))
        return self._deployed[function]

    def start(self, function: str, variables: Mapping[str, str]) -> EmulatedFunction:
        """One more of these functions, with this environment."""
        code, log = self._directory / BUILT[function], self._directory / f"{len(self._running)}.log"
        started = EmulatedFunction(self._live[function]["Handler"], code, self._layer, variables, log)
        self._running.append(started)
        started.wait()
        return started

    def _variables(self, function: str) -> dict[str, str]:
        """As Lambda would give them to the live version."""
        name, found = self._stack.function_name(function), self._live[function]
        return {
            **aws_environment(self._stack.endpoints.aws_endpoint_url),
            **found["Environment"]["Variables"],
            **self._settings,
            **credentials(self._stack.client("sts"), found["Role"], name),
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(found["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(found["Timeout"]),
        }


def live(stack: DeployedStack, function: str) -> dict[str, Any]:
    """How the live version of a function is configured."""
    name = stack.function_name(function)
    found: dict[str, Any] = stack.client("lambda").get_function_configuration(FunctionName=name, Qualifier=ALIAS)
    return found
