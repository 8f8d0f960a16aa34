"""Each patch still has something to mend: the first test of a pair fails when a newer MiniStack needs it no longer."""

import queue
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from ministack.core import lambda_runtime
from ministack.services import dynamodb, lambda_svc

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


def silence() -> SimpleNamespace:
    return SimpleNamespace(_stderr_queue=queue.Queue())


def duration_of_drain(worker: object, drain: object) -> float:
    started = time.monotonic()
    drain.__get__(worker)()
    return time.monotonic() - started


def test_unpatched_a_silent_invocation_waits_for_its_log() -> None:
    assert duration_of_drain(silence(), lambda_runtime.Worker._drain_stderr_bounded) > 0.045


def test_patched_it_hardly_waits() -> None:
    patched = patches.short_log_wait(lambda_runtime.Worker._drain_stderr_bounded)
    assert duration_of_drain(silence(), patched) < 0.045


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
    module = patches.unpacking_once(tmp_path / "shared")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with module.ZipFile(layer(tmp_path / "layer.zip")) as archive:
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
