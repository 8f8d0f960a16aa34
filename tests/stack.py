"""The local stack for tests: the real template on MiniStack, a scripted model behind it. One for the whole session.

    def test_something(stack):
        stack.model.script(Reply("Hello there."))
        with stack.rest("alice") as rest:
            answer = rest.chat("Hello?")

Tests share its table: each takes conversations of its own.
"""

import contextlib
import fcntl
import functools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deployed import ALIAS, read
from local.endpoints import Endpoints
from local.options import Options
from local.places import LOCAL
from local.stack import Stack
from local.stream_api import STREAM_API
from operations import mint
from tests.audit import Call, Grant, calls_in, grants_of
from tests.auditing_emulator import CALLS
from tests.clients import Rest, Socket, Via, http_client
from tests.scripted_model import ScriptedModel

USER = "alice"
"""Who calls where a test does not say who."""
MODEL_API_TOKEN = "token-of-the-scripted-model"
UNLIMITED = {"RateLimitPerMinute": "1000000", "MaxSocketsPerUser": "0", "MaxSocketsPerConversation": "0"}
"""Crowds are let in; the tests of limits set some."""
QUIET = {"AutomaticTitles": "false"}
"""The model is asked nothing but what a test asks; the tests of titles have it otherwise."""
PATIENT = {"ModelTimeoutSeconds": "120"}
"""A model that a test holds may be held for as long as the test takes on a slow machine."""
TOKEN_SECONDS = 86_400
FUNCTIONS = ("http-api", "websocket-api", "turn-worker", "authorizer", "janitor", STREAM_API)
BUILD = LOCAL / "test-build"  # kept between sessions, so that only what changed is built again


class DeployedStack:
    """A local stack that is up. `http_url`, `stream_url`, `websocket_url` are those of `.local/endpoints.json`."""

    def __init__(self, local: Stack, model: ScriptedModel, **parameters: str) -> None:
        self.local = local
        self.model = model
        self.tokens: dict[str, str] = {}
        self.endpoints = self.redeploy(**parameters)
        self.http_url = self.endpoints.http_url
        self.stream_url = self.endpoints.stream_url
        self.websocket_url = self.endpoints.websocket_url
        self.table_name = self.endpoints.table_name
        self.client: Callable[[str], Any] = functools.cache(local.client)  # to make one takes 0.1 s
        self.outputs = read(local.client("cloudformation"), local.name).outputs
        secret = local.client("secretsmanager").get_secret_value(SecretId=self.outputs["SigningKeysSecretArn"])
        self.signing_keys: dict[str, str] = json.loads(secret["SecretString"])
        self._lambda = local.client("lambda")

    def redeploy(self, **parameters: str) -> Endpoints:
        """Builds and deploys again with other template parameters; `redeploy()` goes back to the session's."""
        options = Options(
            workers_ai_base_url=self.model.base_url,
            cloudflare_api_token=MODEL_API_TOKEN,
            parameters=UNLIMITED | QUIET | PATIENT | parameters,
        )
        with sole_builder():
            return self.local.up(options)

    def token(self, user: str = USER) -> str:
        """A good token of a user; the same whenever it is asked for."""
        if user not in self.tokens:
            issuer, audience = self.outputs["TokenIssuer"], self.outputs["TokenAudience"]
            self.tokens[user] = mint(self.signing_keys["current"], user, issuer, audience, TOKEN_SECONDS)
        return self.tokens[user]

    def rest(self, user: str = USER) -> Rest:
        return Rest(self.http_url, self.token(user))

    def stream(self, user: str = USER) -> httpx.Client:
        """A client of the stream API: `client.post("v1/chat/completions", json=...)`, `client.stream(...)`."""
        return http_client(self.stream_url, self.token(user))

    def socket(self, conversation_id: str, user: str = USER, via: Via = "header") -> Socket:
        return Socket(self.websocket_url, conversation_id, self.token(user), via)

    @contextlib.contextmanager
    def settings(self, *functions: str, **environment: str) -> Iterator[None]:
        """Other environment variables for these functions (default: all), which start afresh: LEASE_SECONDS="2".

        A version that has them goes live, as in a deployment; afterwards the one before it, as in a rollback.
        """
        chosen = functions or FUNCTIONS
        before = {function: self._live(function) for function in chosen}
        usual = {function: live["Environment"]["Variables"] for function, live in before.items()}
        self._configure({function: variables | environment for function, variables in usual.items()})
        passing = {function: self._publish(function) for function in chosen}
        self._go_live(passing)
        try:
            yield
        finally:
            self._go_live({function: live["Version"] for function, live in before.items()})
            self._configure(usual)
            for function, version in passing.items():
                self._lambda.delete_function(FunctionName=self.function_name(function), Qualifier=version)

    def invoke(self, function: str, event: object, *, wait: bool = True) -> Any:
        """What the function returns; None without `wait`. Raises AssertionError when it fails."""
        kind = "RequestResponse" if wait else "Event"
        name, payload = f"{self.function_name(function)}:{ALIAS}", json.dumps(event)
        answer = self._lambda.invoke(FunctionName=name, InvocationType=kind, Payload=payload)
        result = answer["Payload"].read()
        assert "FunctionError" not in answer, result
        return json.loads(result) if wait else None

    def logs(self, function: str) -> list[str]:
        """Every line that the function has logged. A line appears when its invocation has ended."""
        return self.local.logs().lines(function)

    def troubles(self, since: float) -> list[str]:
        """What the functions have logged since (seconds since the epoch) that nobody foresaw."""
        logs = self.local.logs()
        lines = [line for function in FUNCTIONS for line in logs.lines(function, int(since * 1000))]
        return [line for line in lines if '"level":"ERROR"' in line or "Traceback" in line or "timed out" in line]

    def calls(self, start: int = 0) -> list[Call]:
        """What the functions have asked of AWS, from the mark ``start`` on."""
        return calls_in(self._calls_file, start)

    def calls_so_far(self) -> int:
        """A mark behind the last call."""
        return self._calls_file.stat().st_size

    def grants(self, function: str) -> list[Grant]:
        """What the function's role allows."""
        name = self.function_name(function)
        role = self._lambda.get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2]
        iam = self.client("iam")
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        documents = [iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"] for policy in names]
        return list(grants_of(name, documents))

    @property
    def _calls_file(self) -> Path:
        return self.local.directory / CALLS

    def kill(self, function: str) -> int:
        """Kills the function's processes as a crash of their machine would; tells how many there were.

        The stream API is started again at once: nothing else would.
        """
        if function == STREAM_API:
            self.local.stream_api.kill()
            self.local.start_stream_api()
            return 1
        processes = list(worker_processes(self.local.directory, self.function_name(function)))
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(processes)

    def function_name(self, function: str) -> str:
        """The deployed name of `http-api`, `websocket-api`, `turn-worker`, `authorizer`, `janitor`, `stream-api`."""
        return f"{self.local.name}-{function}"

    def _live(self, function: str) -> dict[str, Any]:
        """How the version that is live is configured."""
        name = self.function_name(function)
        found: dict[str, Any] = self._lambda.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
        return found

    def _configure(self, variables_of: dict[str, dict[str, str]]) -> None:
        for function, variables in variables_of.items():
            name = self.function_name(function)
            self._lambda.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        wait_until(lambda: all(map(self._settled, variables_of)), "the functions to take their new settings")

    def _publish(self, function: str) -> str:
        version: str = self._lambda.publish_version(FunctionName=self.function_name(function))["Version"]
        return version

    def _go_live(self, version_of: dict[str, str]) -> None:
        for function, version in version_of.items():
            name = self.function_name(function)
            self._lambda.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
        if STREAM_API in version_of:
            self.local.start_stream_api()

    def _settled(self, function: str) -> bool:
        configuration = self._lambda.get_function_configuration(FunctionName=self.function_name(function))
        return (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")


def own_ports() -> dict[str, int]:
    """Ports that the system gives nobody by itself: a server that is down for a moment finds its own free again."""
    first = random.randrange(20_000, 30_000, 10)
    return {"aws": first, "model": first + 1, STREAM_API: first + 2}


@contextlib.contextmanager
def sole_builder() -> Iterator[None]:
    """Keeps two sessions in one checkout from building into `BUILD` at the same time."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def key_of(conversation: str, user: str = USER) -> str:
    """What the table calls a user's conversation."""
    return f"{user}/{conversation}"


def rows_of(stack: DeployedStack, key: str) -> set[str]:
    """Sort keys of a conversation's items."""
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"CONV#{key}"}},
        )
    )
    return {item["sk"]["S"] for page in pages for item in page["Items"]}


def worker_processes(directory: Path, function_name: str) -> Iterator[int]:
    """MiniStack runs a function's code from a directory named after it, in its own temporary directory."""
    place = f"{directory}/tmp/ministack-lambda-{function_name}-"
    listing = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        process, _, command = line.strip().partition(" ")
        if place in command:
            yield int(process)


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60, pause: float = 0.02) -> None:
    """Returns as soon as the condition is true. Raises TimeoutError, saying what did not happen."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout:g} s for {what}")
        time.sleep(pause)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedStack]:
    """The stack that all tests of a session share."""
    directory = tmp_path_factory.mktemp("stack")
    local = Stack(directory, build=BUILD, preferred_ports=own_ports(), emulator="tests.auditing_emulator")
    with ScriptedModel() as model:
        try:
            yield DeployedStack(local, model)
        finally:
            local.down()


@pytest.fixture(autouse=True)
def forget_scripts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test starts with a model that has neither scripts nor requests."""
    yield
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").model.reset()
