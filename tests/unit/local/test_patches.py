"""Each patch still has something to mend: the first test of a pair fails when a newer MiniStack needs it no longer."""

import inspect
import json
import queue
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypercorn.protocol import ws_stream
from ministack.core import lambda_runtime
from ministack.services import apigateway, dynamodb, lambda_svc, secretsmanager
from ministack.services.cloudformation import provisioners

from local import patches

CONFIG = {"FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}


def event(kind: str) -> dict[str, object]:
    return {"requestContext": {"eventType": kind, "connectionId": "c", "requestId": "r"}}


def test_we_know_the_inside_of_the_installed_version() -> None:
    assert patches.version() == patches.VERSION


def test_unpatched_two_websocket_messages_get_the_same_worker() -> None:
    try:
        first, second = (lambda_runtime.get_or_create_worker("f", CONFIG, b"") for _ in range(2))
        assert first is second
    finally:
        lambda_runtime._workers.clear()


def test_patched_a_busy_worker_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def invoke(worker: lambda_runtime.Worker, event: object, request_id: str) -> dict[str, object]:
        taken.append(worker)
        if len(taken) == 1:
            patches.LeasedWorker("f", CONFIG, b"").invoke(event, "r")
        return {"status": "ok", "result": {"statusCode": 200, "body": "for the caller only"}}

    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_runtime.Worker, "invoke", invoke)
    outcome = patches.LeasedWorker("f", CONFIG, b"").invoke(event("MESSAGE"), "r")
    assert len({id(worker) for worker in taken}) == 2
    assert outcome == {"status": "ok", "result": {"statusCode": 200}}


def test_a_worker_that_cannot_start_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []

    def kill(worker: lambda_runtime.Worker) -> None:
        killed.append(worker)

    def fail(worker: lambda_runtime.Worker, event: object, request_id: str) -> dict[str, object]:
        raise RuntimeError("Worker init failed")

    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_runtime.Worker, "kill", kill)
    monkeypatch.setattr(lambda_runtime.Worker, "invoke", lambda *_: {"status": "ok", "result": {}})
    patches.LeasedWorker("f", CONFIG, b"").invoke(event("MESSAGE"), "r")
    (pool,) = lambda_runtime._workers.values()
    pool[0].in_use = True
    monkeypatch.setattr(lambda_runtime.Worker, "invoke", fail)
    assert patches.LeasedWorker("f", CONFIG, b"").invoke(event("MESSAGE"), "r")["result"]["statusCode"] == 500
    assert len(killed) == 1
    assert pool[0] not in killed


def test_a_failed_function_tells_the_client_only_that_it_failed() -> None:
    answer = patches.answer_of_gateway(event("MESSAGE"), None)
    assert answer["statusCode"] == 500
    assert answer["body"] == '{"message": "Internal server error", "connectionId": "c", "requestId": "r"}'


def test_a_connect_without_a_status_is_refused() -> None:
    assert patches.answer_of_gateway(event("CONNECT"), {})["statusCode"] == 500


def test_what_connect_answers_reaches_the_handshake_and_no_further() -> None:
    answer = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "bearer"}, "body": "for nobody"}
    assert patches.answer_of_gateway(event("CONNECT"), answer) == {
        key: answer[key] for key in ("statusCode", "headers")
    }
    assert patches.answer_of_gateway(event("MESSAGE"), answer) == {"statusCode": 200}


REFUSAL = {"statusCode": 401, "headers": {}}
WELCOME = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "bearer"}}


class Client:
    """Knocks at a WebSocket API of MiniStack's whose `$connect` gives `answer`, and leaves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api = json.loads(apigateway._create_api({"name": "x", "protocolType": "WEBSOCKET"})[2])["apiId"]
        apigateway._create_route(self.api, {"routeKey": "$connect"})
        self.answer: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self._sends = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
        monkeypatch.setattr(apigateway, "_invoke_ws_lambda", self._invoke)

    async def knock(self, answer: dict[str, Any], handle: Any) -> dict[str, Any]:
        """The first message that it hears."""
        self.answer = answer
        scope = {"path": "/live", "subprotocols": ["bearer", "a.b.c"]}
        await handle(scope, self._receive, self._hear, self.api)
        return self.heard[0]

    async def _invoke(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self.answer

    async def _receive(self) -> dict[str, Any]:
        return self._sends.pop(0)

    async def _hear(self, message: dict[str, Any]) -> None:
        self.heard.append(message)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    yield Client(monkeypatch)
    apigateway.reset()


@pytest.fixture
def patched_handle(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    keeping = patches.keeping_connect_answer(apigateway._invoke_ws_lambda)
    monkeypatch.setattr(apigateway, "_invoke_ws_lambda", keeping)
    return patches.answering_handshakes(apigateway.handle_websocket)


async def test_unpatched_the_client_does_not_hear_the_status_of_connect(client: Client) -> None:
    assert await client.knock(REFUSAL, apigateway.handle_websocket) == {"type": "websocket.close", "code": 1008}


async def test_patched_the_client_hears_it(client: Client, patched_handle: Any) -> None:
    assert (await client.knock(REFUSAL, patched_handle))["status"] == 401
    assert [message["type"].rpartition(".")[2] for message in client.heard] == ["start", "body"]


async def test_unpatched_no_subprotocol_is_chosen(client: Client) -> None:
    assert await client.knock(WELCOME, apigateway.handle_websocket) == {"type": "websocket.accept"}


async def test_patched_the_functions_choice_is(client: Client, patched_handle: Any) -> None:
    assert await client.knock(WELCOME, patched_handle) == {"type": "websocket.accept", "subprotocol": "bearer"}


async def test_patched_a_socket_without_subprotocol_is_accepted_as_before(client: Client, patched_handle: Any) -> None:
    assert await client.knock({"statusCode": 200, "headers": {}}, patched_handle) == {"type": "websocket.accept"}
    assert client.heard[1:] == [{"type": "websocket.close", "code": 1000}]


def test_the_server_can_answer_a_handshake_over_http() -> None:
    assert '"websocket.http.response": {}' in inspect.getsource(ws_stream)


GENERATED = {
    "GenerateSecretString": {
        "SecretStringTemplate": '{"previous": ""}',
        "GenerateStringKey": "current",
        "PasswordLength": 64,
    }
}
UNPATCHED = provisioners._RESOURCE_HANDLERS[patches.SECRET]


@pytest.fixture
def made_secrets() -> Iterator[None]:
    yield
    secretsmanager.reset()


def keys_in(name: str) -> Any:
    [version] = secretsmanager._secrets[name]["Versions"].values()
    return json.loads(version["SecretString"])


def test_unpatched_a_secret_is_known_by_its_name(made_secrets: None) -> None:
    assert not UNPATCHED["create"]("Keys", GENERATED, "shop")[0].startswith("arn:")


def test_patched_it_is_known_by_its_arn(made_secrets: None) -> None:
    known_by, attributes = patches.known_by_arn(UNPATCHED)["create"]("Keys", GENERATED, "shop")
    assert known_by == attributes["Arn"]


def test_patched_a_deployment_keeps_a_generated_secret_and_an_end_deletes_it(made_secrets: None) -> None:
    secrets = patches.known_by_arn(UNPATCHED)
    known_by, _ = secrets["create"]("Keys", GENERATED, "shop")
    [name] = secretsmanager._secrets
    before = keys_in(name)
    assert len(before["current"]) == 64 and before["previous"] == ""
    described = GENERATED | {"Description": "Now with one"}
    assert secrets["update"](known_by, GENERATED, described, "shop", "Keys")[0] == known_by
    assert keys_in(name) == before
    secrets["delete"](known_by, described)
    assert name not in secretsmanager._secrets


def silence() -> SimpleNamespace:
    return SimpleNamespace(_stderr_queue=queue.Queue(), _stderr_thread=threading.Thread())


def duration_of_drain(worker: object, drain: object) -> float:
    started = time.monotonic()
    drain.__get__(worker)()
    return time.monotonic() - started


def test_unpatched_a_silent_invocation_waits_for_its_log() -> None:
    assert duration_of_drain(silence(), lambda_runtime.Worker._drain_stderr_bounded) > 0.045


def test_patched_a_function_marks_the_end_of_an_invocations_log(tmp_path: Path) -> None:
    (tmp_path / "answers.py").write_text("def handle(event, context):\n    print(event)\n    return 1 / event\n")
    init = {"code_dir": str(tmp_path), "module": "answers", "handler": "handle"}
    said = "".join(json.dumps(line) + "\n" for line in (init, {"event": 2}, {"event": 0}))
    program = patches.marking_the_end(lambda_runtime._PYTHON_WORKER_SCRIPT)
    run = subprocess.run([sys.executable, "-c", program], input=said, capture_output=True, text=True, check=True)
    assert [json.loads(line)["status"] for line in run.stdout.splitlines()] == ["ready", "ok", "error"]
    assert run.stderr.splitlines() == ["2", patches.END_OF_LOG, "0", patches.END_OF_LOG]


def test_patched_an_invocation_has_its_own_log() -> None:
    worker = silence()
    for line in ("one", "", "two", patches.END_OF_LOG, patches.END_OF_LOG, "three" + patches.END_OF_LOG):
        worker._stderr_queue.put(line)
    assert [patches.up_to_the_mark(worker) for _ in range(3)] == ["one\n\ntwo", "", "three"]


def test_patched_a_process_that_died_has_the_log_of_its_life() -> None:
    worker = silence()
    worker._stderr_thread.start()
    worker._stderr_thread.join()
    worker._stderr_queue.put("last words")
    assert patches.up_to_the_mark(worker) == "last words"


def test_unpatched_a_restart_keeps_the_position_in_a_stream_that_it_does_not_keep() -> None:
    assert "dynamodb_stream_positions" in lambda_svc.get_state()
    assert not [name for name in dynamodb.get_state() if "stream" in name]


def test_patched_a_restart_reads_streams_from_their_start() -> None:
    restored = []
    patches.from_the_start_of_streams(restored.append)({"functions": 1, "dynamodb_stream_positions": {"id": 40}})
    assert restored == [{"functions": 1, "dynamodb_stream_positions": {}}]


def layer(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("python/wise.py", "ANSWER = 42")
    return path


def test_unpatched_every_environment_unpacks_its_own_layer(tmp_path: Path) -> None:
    assert lambda_runtime.zipfile is zipfile


def test_patched_environments_share_one_compiled_layer(tmp_path: Path) -> None:
    module, packed = patches.unpacking_once(tmp_path / "shared"), layer(tmp_path / "layer.zip")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with module.ZipFile(packed) as archive:
            archive.extractall(tmp_path / name)
    assert (tmp_path / "a").resolve() == (tmp_path / "b").resolve()
    assert list((tmp_path / "a").rglob("wise.*.pyc"))


def test_patched_another_layer_is_unpacked_beside_it(tmp_path: Path) -> None:
    module = patches.unpacking_once(tmp_path / "shared")
    (tmp_path / "a").mkdir()
    empty = tmp_path / "empty.zip"
    zipfile.ZipFile(empty, "w").close()
    with module.ZipFile(empty) as archive:
        archive.extractall(tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []


def test_unpatched_an_environment_has_the_settings_that_it_was_asked_for_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_svc, "_functions", {"f": {"config": CONFIG | {"Timeout": 9}}})
    worker, _ = lambda_runtime.acquire_worker("f", CONFIG, b"")
    assert worker.config == CONFIG


def test_patched_it_has_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_svc, "_functions", {"f": {"config": CONFIG | {"Timeout": 9}}})
    worker, _ = patches.as_configured_now(lambda_runtime.acquire_worker)("f", CONFIG, b"")
    assert worker.config["Timeout"] == 9


ALIASED = CONFIG | {"FunctionArn": CONFIG["FunctionArn"] + ":live", "Version": "1"}
PUBLISHED = {
    "config": CONFIG,
    "aliases": {"live": {"FunctionVersion": "2"}},
    "versions": {
        number: {"config": CONFIG | {"Version": number, "Timeout": int(number)}, "code_zip": number.encode()}
        for number in ("1", "2")
    },
}


def test_patched_an_event_of_an_alias_gets_the_version_that_it_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_svc, "_functions", {"f": PUBLISHED})
    acquire = patches.as_configured_now(lambda_runtime.acquire_worker)
    worker, _ = acquire("f", ALIASED, b"1", qualifier="1")
    assert (worker.config["Timeout"], worker.config["FunctionArn"]) == (2, ALIASED["FunctionArn"])
    assert [key.rpartition(":")[2] for key in lambda_runtime._workers] == ["2"]
    worker, _ = acquire("f", PUBLISHED["versions"]["1"]["config"], b"1", qualifier="1")  # asked for by its number
    assert worker.config["Timeout"] == 1


def retries(monkeypatch: pytest.MonkeyPatch, invoke: Any) -> int:
    """How often an event is repeated that always fails, where the alias says never."""
    told = {"MaximumRetryAttempts": 0, "DestinationConfig": {}}
    monkeypatch.setattr(lambda_svc, "_functions", {"f": PUBLISHED | {"event_invoke_configs": {"live": told}}})
    monkeypatch.setattr(lambda_svc, "_LAMBDA_ASYNC_RETRY_BASE_SECONDS", 0)
    tries: queue.Queue[object] = queue.Queue()
    monkeypatch.setattr(lambda_svc, "_execute_function", lambda *_: tries.put(None) or {"error": True})
    threads = set(threading.enumerate())
    invoke({"config": ALIASED}, {})
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)
    return tries.qsize() - 1


def test_unpatched_events_of_an_alias_are_repeated_as_if_it_had_said_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retries(monkeypatch, lambda_svc.invoke_async_with_retry) == 2


def test_patched_they_are_repeated_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retries(monkeypatch, patches.as_the_alias_says(lambda_svc.invoke_async_with_retry)) == 0


def test_a_websocket_event_of_an_alias_runs_in_an_environment_of_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_runtime.Worker, "invoke", lambda *_: {"status": "ok", "result": {}})
    patches.LeasedWorker("f", CONFIG | {"Version": "2"}, b"", qualifier="live").invoke(event("MESSAGE"), "r")
    assert [key.rpartition(":")[2] for key in lambda_runtime._workers] == ["2"]


def busy_worker(monkeypatch: pytest.MonkeyPatch) -> tuple[lambda_runtime.Worker, list[str]]:
    """An environment that runs something, and who was killed."""
    killed: list[str] = []
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    monkeypatch.setattr(lambda_runtime, "kill_workers", lambda them: killed.extend(one.func_name for one in them))
    return lambda_runtime.acquire_worker("f", CONFIG, b"")[0], killed


def test_unpatched_a_change_of_a_function_kills_what_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    _, killed = busy_worker(monkeypatch)
    lambda_runtime.invalidate_worker("f")
    assert killed == ["f"]


def test_patched_it_ends_once_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, killed = busy_worker(monkeypatch)
    other, _ = lambda_runtime.acquire_worker("other", CONFIG, b"")
    patches.retiring(lambda_runtime.invalidate_worker)("f")
    assert killed == []
    assert lambda_runtime.acquire_worker("f", CONFIG, b"")[0] is not worker
    release = patches.ending_the_retired(lambda_runtime.release_worker)
    release(other)
    assert killed == []
    assert lambda_runtime.acquire_worker("other", CONFIG, b"")[0] is other
    release(worker)
    assert killed == ["f"]


def test_patched_an_idle_environment_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, killed = busy_worker(monkeypatch)
    lambda_runtime.release_worker(worker)
    patches.retiring(lambda_runtime.invalidate_worker)("f")
    assert killed == ["f"]
