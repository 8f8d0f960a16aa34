"""Changes to MiniStack's inside, for what its public APIs cannot make right. Each says what AWS does.

tests/unit/local/test_patches.py fails for each patch that a newer MiniStack no longer needs.
"""

import compileall
import hashlib
import json
import queue
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from py_compile import PycInvalidationMode
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import apigateway, lambda_svc
from ministack.services.cloudformation import provisioners

from local.errors import LocalStackError

VERSION = "1.5.33"
SECRET = "AWS::SecretsManager::Secret"
CALL = "            result = handler_fn(event, context)\n"
END_OF_LOG = "--- end of the log of this invocation ---"
LONGEST_LOG_WAIT_SECONDS = 10.0
LOG_POLL_SECONDS = 0.02
CONNECT_ANSWER: ContextVar[dict[str, Any] | None] = ContextVar("CONNECT_ANSWER", default=None)


def apply() -> None:
    """Patches the MiniStack of this process. Raises LocalStackError for a version whose inside we do not know."""
    if version() != VERSION:
        raise LocalStackError(f"local/patches.py knows MiniStack {VERSION}, not {version()}")
    lambda_runtime.get_or_create_worker = LeasedWorker
    lambda_svc.invoke_async_with_retry = as_the_alias_says(lambda_svc.invoke_async_with_retry)
    lambda_runtime.acquire_worker = lambda_svc.acquire_worker = as_configured_now(lambda_runtime.acquire_worker)
    lambda_runtime.release_worker = lambda_svc.release_worker = ending_the_retired(lambda_runtime.release_worker)
    lambda_runtime.invalidate_worker = lambda_svc.invalidate_worker = retiring(lambda_runtime.invalidate_worker)
    apigateway._invoke_ws_lambda = keeping_connect_answer(apigateway._invoke_ws_lambda)
    apigateway.handle_websocket = answering_handshakes(apigateway.handle_websocket)
    provisioners._RESOURCE_HANDLERS[SECRET] = known_by_arn(provisioners._RESOURCE_HANDLERS[SECRET])
    lambda_svc.load_persisted_state = from_the_start_of_streams(lambda_svc.load_persisted_state)
    lambda_runtime.zipfile = unpacking_once(Path(tempfile.gettempdir()) / "unpacked")
    lambda_runtime._PYTHON_WORKER_SCRIPT = marking_the_end(lambda_runtime._PYTHON_WORKER_SCRIPT)
    lambda_runtime.Worker._drain_stderr_bounded = up_to_the_mark


def version() -> str:
    """Version of the MiniStack that is installed."""
    from importlib.metadata import version as version_of

    return version_of("ministack")


class LeasedWorker:
    """Runs one WebSocket event in an execution environment of its own.

    On AWS concurrent messages run concurrently, also in one function; MiniStack queues them all for one worker. On AWS
    a function's answer to a message is not sent to the client, and of its failure only that it failed; MiniStack sends
    both. And MiniStack drops what these invocations log.
    """

    def __init__(self, name: str, config: dict[str, Any], code: bytes, qualifier: str = "$LATEST") -> None:
        self._name = name
        self._config = config
        self._code = code
        self._version = config.get("Version", qualifier)  # not the alias: it is of another version tomorrow

    def invoke(self, event: dict[str, Any], request_id: str) -> dict[str, Any]:
        started = time.monotonic()
        outcome = self._run(event, request_id)
        failed = outcome.get("status") != "ok"
        log = "\n".join(filter(None, [outcome.get("log"), outcome.get("trace") or outcome.get("error")]))
        milliseconds = int((time.monotonic() - started) * 1000)
        lambda_svc._emit_lambda_logs({"config": self._config}, request_id, log, failed, milliseconds)
        return {"status": "ok", "result": answer_of_gateway(event, None if failed else outcome.get("result"))}

    def _run(self, event: dict[str, Any], request_id: str) -> dict[str, Any]:
        worker, _ = lambda_runtime.acquire_worker(self._name, self._config, self._code, qualifier=self._version)
        try:
            outcome: dict[str, Any] = worker.invoke(event, request_id)
        except Exception as error:  # noqa: BLE001 - the function's module could not be imported, or the like
            worker.kill()
            outcome = {"status": "error", "error": str(error)}
        finally:
            lambda_runtime.release_worker(worker)
        return outcome


def answer_of_gateway(event: dict[str, Any], result: Any) -> dict[str, Any]:
    """What API Gateway makes of a function's result; `None` stands for a failed invocation."""
    context = event["requestContext"]
    if isinstance(result, dict) and "statusCode" in result:
        headers = {"headers": result.get("headers") or {}} if context["eventType"] == "CONNECT" else {}
        return {"statusCode": result["statusCode"], **headers}
    if result is not None and context["eventType"] == "MESSAGE":
        return {"statusCode": 200}
    body = {
        "message": "Internal server error",
        "connectionId": context["connectionId"],
        "requestId": context["requestId"],
    }
    return {"statusCode": 500, "body": json.dumps(body)}


def keeping_connect_answer(invoke: Any) -> Any:
    """Remembers what the function answered to `$connect`, for the handshake that waits for it."""

    async def invoked(
        api: str, account: str, region: str, route: Any, stage: str, connection: str, kind: str, *rest: Any, **more: Any
    ) -> Any:
        answer = await invoke(api, account, region, route, stage, connection, kind, *rest, **more)
        if kind == "CONNECT":
            CONNECT_ANSWER.set(answer)
        return answer

    return invoked


def answering_handshakes(handle: Any) -> Any:
    """Answers a handshake as the function did.

    On AWS a client that `$connect` refuses gets the function's status, and one that it lets in the subprotocol that the
    function chose. MiniStack knows only 403 and no subprotocol.
    """

    async def handled(scope: dict[str, Any], receive: Any, send: Any, *rest: Any, **more: Any) -> None:
        CONNECT_ANSWER.set(None)

        async def sent(message: dict[str, Any]) -> None:
            for part in handshake(scope, message, CONNECT_ANSWER.get()):
                await send(part)

        await handle(scope, receive, sent, *rest, **more)

    return handled


def handshake(
    scope: dict[str, Any], message: dict[str, Any], answer: dict[str, Any] | None
) -> Iterator[dict[str, Any]]:
    """The message, or what the function's answer to `$connect` makes of it."""
    if answer is None:
        yield message
    elif message["type"] == "websocket.accept":
        said = {name.lower(): value for name, value in answer.get("headers", {}).items()}
        chosen = said.get("sec-websocket-protocol")
        yield message | ({"subprotocol": chosen} if chosen in scope["subprotocols"] else {})
    elif message["type"] == "websocket.close" and not 200 <= answer["statusCode"] < 300:
        headers = [(b"content-length", b"0")]
        yield {"type": "websocket.http.response.start", "status": answer["statusCode"], "headers": headers}
        yield {"type": "websocket.http.response.body", "body": b""}
    else:
        yield message


def known_by_arn(secrets: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's handlers of secrets. On AWS `Ref` gives a secret's ARN, as policies need it; here its name."""

    def create(*arguments: Any) -> tuple[str, dict[str, str]]:
        _, attributes = secrets["create"](*arguments)
        return attributes["Arn"], attributes

    def update(physical_id: str, *arguments: Any) -> tuple[str, dict[str, str]]:
        name, attributes = secrets["update"](name_of(physical_id), *arguments)
        in_place = name == name_of(physical_id)
        return physical_id if in_place else attributes["Arn"], attributes

    def delete(physical_id: str, properties: Any) -> None:
        secrets["delete"](name_of(physical_id), properties)

    def name_of(physical_id: str) -> str:
        return physical_id.rpartition(":secret:")[2][:-7] if physical_id.startswith("arn:") else physical_id

    return {**secrets, "create": create, "update": update, "delete": delete}


def marking_the_end(script: str) -> str:
    """The program of a function's process, which says in its log where that of an invocation ends.

    MiniStack waits 50 ms for a log that may be empty, and gives what comes later to the next invocation.
    """
    head, call, tail = script.partition(CALL)
    if not call:
        raise LocalStackError("local/patches.py does not find where MiniStack calls a function")
    marked = f"""            try:
    {CALL}            finally:
                print({END_OF_LOG!r}, flush=True)
"""
    return head + marked + tail


def up_to_the_mark(worker: Any, *_: float, **__: float) -> str:
    """The log of the invocation that has just answered. Its end was written before the answer, so it is on its way.

    That of a process which has died ends without it.
    """
    lines: list[str] = []
    deadline = time.monotonic() + LONGEST_LOG_WAIT_SECONDS
    while time.monotonic() < deadline:
        reading = worker._stderr_thread.is_alive()
        try:
            line, mark, _ = worker._stderr_queue.get(timeout=LOG_POLL_SECONDS).partition(END_OF_LOG)
        except queue.Empty:
            if reading:
                continue
            break
        lines += [line] if line or not mark else []
        if mark:
            break
    return "\n".join(lines)


def from_the_start_of_streams(restore: Any) -> Any:
    """Reads DynamoDB streams from their start after a restart.

    MiniStack keeps how far a function had read a stream, but not the stream: it would skip as many new records.
    """

    def restored(state: dict[str, Any]) -> None:
        restore({**state, "dynamodb_stream_positions": {}})

    return restored


def unpacking_once(directory: Path) -> SimpleNamespace:
    """The module `zipfile`, whose `extractall` lets all environments share what they may only read, compiled.

    On AWS a layer is mounted, not copied. MiniStack unpacks 14 MB for each new process, which then compiles them.
    """
    lock = threading.Lock()

    class Shared(zipfile.ZipFile):
        def extractall(self, path: Any = None, *_: Any, **__: Any) -> None:
            target = Path(path)
            shared = directory / hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()[:32]
            with lock:
                if not shared.exists():
                    fresh = shared.with_suffix(".part")
                    fresh.mkdir(parents=True)
                    super().extractall(fresh)
                    compileall.compile_dir(fresh, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
                    fresh.rename(shared)
            target.rmdir()
            target.symlink_to(shared, target_is_directory=True)

    return SimpleNamespace(**vars(zipfile) | {"ZipFile": Shared})


def as_configured_now(acquire: Any) -> Any:
    """Gives an environment with the function's settings as they are.

    On AWS an event that is repeated meets the settings of that moment. MiniStack repeats it with those of its first
    try, and then keeps the process for others.
    """

    def acquired(name: str, config: Any, code: bytes, qualifier: str = "$LATEST", max_concurrency: Any = None) -> Any:
        current, code, version = served_now(name, config, code, qualifier)
        return acquire(name, current, code, qualifier=version, max_concurrency=max_concurrency)

    return acquired


def served_now(name: str, config: Any, code: bytes, version: str) -> tuple[Any, bytes, str]:
    """The settings, code and version that an event gets at this moment which was let in with the given ones."""
    function = lambda_svc._functions.get(name)
    if not function:
        return config, code, version
    if alias := function.get("aliases", {}).get(qualifier_of(config)):
        version = alias["FunctionVersion"]
        served = function["versions"].get(version, function)
        return served["config"] | {"FunctionArn": config["FunctionArn"]}, served["code_zip"], version
    return (function["config"] if version == "$LATEST" else config), code, version


def qualifier_of(config: Any) -> str:
    """The alias or version in a function's ARN; empty when it has none."""
    return ":".join(config["FunctionArn"].split(":")[7:])


def as_the_alias_says(invoke: Any) -> Any:
    """Repeats events of an alias, and gives them up, as its configuration of asynchronous events says.

    MiniStack keeps one for each alias, but follows only the function's own.
    """

    def invoked(function: Any, event: Any) -> None:
        config = function.get("config") or function
        known = lambda_svc._functions.get(config["FunctionName"]) or {}
        told = (known.get("event_invoke_configs") or {}).get(qualifier_of(config))
        invoke({**function, "event_invoke_config": told} if told else function, event)

    return invoked


def retiring(invalidate: Any) -> Any:
    """Lets what runs come to its end when a function changes; the next event gets a new environment, as on AWS.

    MiniStack kills environments in the middle of an invocation.
    """

    def invalidated(*function: Any, **scope: Any) -> None:
        pools = lambda_runtime._workers
        with lambda_runtime._lock:
            before = dict(pools)
            busy = {key: [worker for worker in pool if worker.in_use] for key, pool in pools.items()}
            for pool in pools.values():
                pool[:] = [worker for worker in pool if not worker.in_use]
        invalidate(*function, **scope)
        with lambda_runtime._lock:
            for key, workers in busy.items():
                if pools.get(key) is before[key]:  # another function's
                    before[key].extend(workers)
                else:
                    retire(workers)

    return invalidated


def retire(workers: list[Any]) -> None:
    """Has these environments end with what they run. The caller holds `lambda_runtime._lock`."""
    for worker in workers:
        worker.retired = True


def ending_the_retired(release: Any) -> Any:
    """Ends an environment that was retired while it ran, as soon as it is idle."""

    def released(worker: Any) -> None:
        release(worker)
        if getattr(worker, "retired", False):
            worker.kill()

    return released
