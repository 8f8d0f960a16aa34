"""Changes to MiniStack's inside, for what its public APIs cannot make right. Each says what AWS does.

tests/unit/local/test_patches.py fails for each patch that a newer MiniStack no longer needs.
"""

import compileall
import functools
import hashlib
import json
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.errors import LocalStackError

VERSION = "1.5.33"


def apply() -> None:
    """Patches the MiniStack of this process. Raises LocalStackError for a version whose inside we do not know."""
    if version() != VERSION:
        raise LocalStackError(f"local/patches.py knows MiniStack {VERSION}, not {version()}")
    lambda_runtime.get_or_create_worker = LeasedWorker
    lambda_svc.load_persisted_state = from_the_start_of_streams(lambda_svc.load_persisted_state)
    lambda_runtime.zipfile = unpacking_once(Path(tempfile.gettempdir()) / "unpacked")
    lambda_runtime.Worker._drain_stderr_bounded = short_log_wait(lambda_runtime.Worker._drain_stderr_bounded)


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
        self._qualifier = qualifier

    def invoke(self, event: dict[str, Any], request_id: str) -> dict[str, Any]:
        started = time.monotonic()
        outcome = self._run(event, request_id)
        failed = outcome.get("status") != "ok"
        log = "\n".join(filter(None, [outcome.get("log"), outcome.get("trace") or outcome.get("error")]))
        milliseconds = int((time.monotonic() - started) * 1000)
        lambda_svc._emit_lambda_logs({"config": self._config}, request_id, log, failed, milliseconds)
        return {"status": "ok", "result": answer_of_gateway(event, None if failed else outcome.get("result"))}

    def _run(self, event: dict[str, Any], request_id: str) -> dict[str, Any]:
        worker, _ = lambda_runtime.acquire_worker(self._name, self._config, self._code, qualifier=self._qualifier)
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
    if isinstance(result, dict) and "statusCode" in result:
        return {"statusCode": result["statusCode"]}
    if result is not None and event["requestContext"]["eventType"] == "MESSAGE":
        return {"statusCode": 200}
    context = event["requestContext"]
    body = {
        "message": "Internal server error",
        "connectionId": context["connectionId"],
        "requestId": context["requestId"],
    }
    return {"statusCode": 500, "body": json.dumps(body)}


def short_log_wait(drain: Any) -> Any:
    """Waits 5 ms and not 50 ms for the log of an invocation that logs nothing. What comes later is the next one's."""
    return functools.partialmethod(drain, first_line_wait=0.005, idle_confirm=0.002)


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
