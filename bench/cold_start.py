"""Cold starts: what each function imports, beside the packages that it cannot do without, and its first call.

A function's *import* is that of its handler with everything that its first request needs: what ``start`` loads before
there is any request. Its *floor* is the import of nothing but the third-party modules among these, by the same
interpreter in a process of the same kind. Both are processor time (an import waits for nothing, and neighbours would
count otherwise), from the first import to the last, without the interpreter's own start and without clients of AWS. The
*start* is all of it with the clients, the *first call* comes after that; both are what a clock shows.

Every figure is the median of fresh processes, which take turns; the ratio is the median of each turn's. They find the
built function, its layers, and of Lambda's own packages what boto3 brings; nothing else.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import httpx

from bench.stand_ins import KEY, StandIns, stand_ins
from operations.signing import mint

ROUNDS = 15
EVENTS = Path(__file__).parent.parent / "events"
BROUGHT = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
"""What Lambda's Python runtime has besides the standard library."""

LAYER = "VendorLayer"
SIGNATURES = "SignaturesLayer"
FUNCTIONS = {
    "websocket_api": "WebSocketFunction",
    "turn_worker": "TurnWorkerFunction",
    "http_api": "HttpFunction",
    "stream_api": "StreamFunction",
    "authorizer": "AuthorizerFunction",
    "janitor": "JanitorFunction",
}
"""Logical ids, after which ``sam build`` names its directories. The worker is told what the WebSocket API tells it."""

OURS = {"copilotedge", "streaming", "start", *FUNCTIONS}

CALLED_WITH = {
    "websocket_api": "websocket-message.json",
    "http_api": "http-chat.json",
    "authorizer": "authorizer-http.json",
    "janitor": "janitor-state-removed.json",
}

START = {name: f"import start; handler = start.{name}" for name in FUNCTIONS}
START["stream_api"] = "import start; server = start.server()"

LISTED = """
import sys
there = set(sys.modules)
{start}
loaded = [name for name, module in sys.modules.items() if name not in there and module]
import json
print(json.dumps(loaded))
"""
TIMED = """
import time
began = time.process_time()
{work}
print((time.process_time() - began) * 1000)
"""
IMPORTS = """
from importlib import import_module
for name in {modules!r}:
    try:
        import_module(name)
    except ImportError:
        pass  # some are only made up, by a module that is imported anyway
"""
CALLED = """
import json, sys, time
began = time.perf_counter()
{start}
started = time.perf_counter()
event = json.loads({event!r})
class Context:
    aws_request_id = "4f0e3f2a-9c04-4e0e-9d51-1f0c8a7b6d52"
    function_name = "measured"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
there = set(sys.modules)
began_to_serve = time.perf_counter()
answer = handler(event, Context())
ended = time.perf_counter()
late = [name for name in sys.modules if name not in there]
status = answer.get("statusCode", 200) if isinstance(answer, dict) else 200
print()
print(json.dumps([(started - began) * 1000, (ended - began_to_serve) * 1000, status, late]))
"""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Times in ms; ``modules`` are those that are loaded, the standard library's too; ``zipped`` are bytes, with layer.

    ``floor_unwatched_ms`` is the floor with the garbage collector stopped, as ``start`` does. What is left between it
    and ``import_ms`` is our own code.
    """

    function: str
    import_ms: float
    floor_ms: float
    ratio: float
    floor_unwatched_ms: float
    start_ms: float
    first_call_ms: float
    modules: int
    zipped: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function of the build finds its modules, and the interpreter."""

    python: str
    path: tuple[str, ...]

    def run(self, program: str, environment: Mapping[str, str]) -> str:
        """What the program prints last. Raises ``RuntimeError`` with its complaints."""
        done = subprocess.run(self.command(program), env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        return done.stdout.splitlines()[-1]

    def command(self, program: str) -> list[str]:
        return [self.python, "-I", "-S", "-c", f"import os, sys; sys.path[:0] = {list(self.path)!r}\n{program}"]


def measure(python: str, build: Path, rounds: int = ROUNDS) -> list[ColdStart]:
    """Of every function in ``build``, what ``sam build`` has made for the interpreter ``python``."""
    with tempfile.TemporaryDirectory() as directory, stand_ins() as others:
        link_brought(Path(directory))
        places = {name: place_of(name, python, build, Path(directory)) for name in FUNCTIONS}
        loaded = {name: modules_of(name, place, others.environment) for name, place in places.items()}
        times: dict[str, list[list[float]]] = {name: [] for name in FUNCTIONS}
        for _ in range(rounds):
            for name, place in places.items():
                times[name].append(_once(name, place, loaded[name], others))
    return [_row(name, times[name], loaded[name], zipped(build, name)) for name in FUNCTIONS]


def place_of(name: str, python: str, build: Path, brought: Path) -> Place:
    return Place(python, (str(build / FUNCTIONS[name]), str(build / LAYER / "python"), str(brought)))


def link_brought(directory: Path) -> None:
    """Links to what Lambda brings, as this interpreter has it."""
    import boto3

    packages = Path(boto3.__file__).parent.parent
    for name in BROUGHT:
        (directory / name).symlink_to(packages / name)


def modules_of(name: str, place: Place, environment: Mapping[str, str]) -> list[str]:
    """What the function has loaded when it is ready for its first request, in the order in which it was begun."""
    return list(json.loads(place.run(LISTED.format(start=START[name]), environment)))


def is_standard(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top.startswith(("_sysconfigdata", "__mp_main__"))


def is_foreign(module: str) -> bool:
    """Whether it is third-party: neither ours nor the standard library's."""
    return not is_standard(module) and module.partition(".")[0] not in OURS


def first_call(name: str, place: Place, others: StandIns) -> tuple[float, float, list[str]]:
    """Start and first call, in ms, and what that call still had to import."""
    if name == "stream_api":
        return *_first_answer(place, others), []
    event = (EVENTS / CALLED_WITH[name]).read_text() if name in CALLED_WITH else json.dumps(others.events[-1])
    program = CALLED.format(start=START[name], event=event)
    start, call, status, late = json.loads(place.run(program, others.environment))
    if status != 200:
        raise RuntimeError(f"{name} answered {status}")
    return start, call, late


def zipped(build: Path, name: str, layers: Sequence[str] = (LAYER,)) -> int:
    """Bytes of the function's archive and its layers'."""
    return sum(_zipped(build / part) for part in (FUNCTIONS[name], *layers))


def _once(name: str, place: Place, loaded: Sequence[str], others: StandIns) -> list[float]:
    floor = IMPORTS.format(modules=[module for module in loaded if is_foreign(module)])
    ours = IMPORTS.format(modules=[module for module in loaded if not is_standard(module)])
    unwatched = "import gc\ngc.disable()\n"
    others.items.clear()
    if name == "turn_worker":
        first_call("websocket_api", place, others)
    start, call, _ = first_call(name, place, others)
    return [
        float(place.run(TIMED.format(work=unwatched + ours), others.environment)),
        float(place.run(TIMED.format(work=floor), others.environment)),
        float(place.run(TIMED.format(work=unwatched + floor), others.environment)),
        start,
        call,
    ]


def _row(name: str, times: Sequence[Sequence[float]], loaded: Sequence[str], size: int) -> ColdStart:
    ours, floor, unwatched, start, call = (round(median(column), 1) for column in zip(*times, strict=True))
    ratio = round(median(mine / least for mine, least, *_ in times), 3)
    return ColdStart(name, ours, floor, ratio, unwatched, start, call, len(loaded), size)


def _first_answer(place: Place, others: StandIns) -> tuple[float, float]:
    """Of the server: until it listens, and until the first streamed answer has ended."""
    port = _free_port()
    with _serving(place, port, others) as began:
        url = f"http://127.0.0.1:{port}"
        while not _answers(f"{url}/health"):
            if time.perf_counter() - began > 60:
                raise RuntimeError("the stream API does not come up")
        listening = time.perf_counter()
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
        token = mint(KEY, "alice", "copilotedge", "copilotedge", 600)
        headers = {"authorization": f"Bearer {token}"}
        httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60).raise_for_status()
        return (listening - began) * 1000, (time.perf_counter() - listening) * 1000


@contextmanager
def _serving(place: Place, port: int, others: StandIns) -> Iterator[float]:
    command = place.command(f"{START['stream_api']}\nserver.run()")
    environment = others.environment | {"AWS_LWA_PORT": str(port)}
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            yield began
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def _zipped(directory: Path) -> int:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as parts:
        for file in sorted(directory.rglob("*")):
            if file.is_file():
                parts.write(file, file.relative_to(directory))
    return archive.tell()


def main() -> None:
    """Prints what is measured of a build: python -m bench.cold_start .local/test-build/output"""
    for row in measure(sys.executable, Path(sys.argv[1])):
        print(row)


if __name__ == "__main__":
    main()
