"""``make bench``: measures everything, and writes the report. ``--quick`` tries the same in a few minutes.

The long answer begins first and runs beside all else; what needs the machine to itself comes while it does little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import cold_start, report, sizing
from bench.cpu import cpu
from bench.fan_out import fan_out
from bench.latency import latency
from bench.listen import CHECKOUT
from bench.live import Live, live
from bench.long_answer import long_answer
from local.host import clean_environment, runtime
from local.places import LOCAL, TOOLS
from tests.stack import BUILD, sole_builder

BENCH = TOOLS / "bench" / "bin" / "python"
"""The environment of the peers and of the plots."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 100
    cpu_turns: int = 40
    crowds: tuple[tuple[int, float], ...] = ((1, 5.0), (10, 5.0), (100, 2.0))
    long_seconds: float = 600.0
    last_turn: int = 5001
    cold_starts: int = cold_start.ROUNDS


QUICK = Plan(
    rounds=5, cpu_turns=5, crowds=((1, 1.0), (10, 1.0), (20, 0.5)), long_seconds=20.0, last_turn=100, cold_starts=3
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything, into .local/bench")
    parser.add_argument("--report", action="store_true", help="only the report, of the results that are there")
    asked = parser.parse_args()
    place = LOCAL / "bench" if asked.quick else HERE
    place.mkdir(parents=True, exist_ok=True)
    results = place / "results.json"
    if not asked.report:
        keep(measure(QUICK if asked.quick else Plan()), results)
    draw(results, place / "plots")
    report.write(results, HERE / "REPORT.md", place / "REPORT.md")
    if not asked.quick:
        report.write_headlines(results, CHECKOUT / "README.md")
    say(f"Wrote {place.relative_to(CHECKOUT)}/REPORT.md, plots and results.json")


def keep(found: dict[str, Any], results: Path) -> None:
    """A line a chapter: figures are many."""
    chapters = ",\n".join(f"{json.dumps(name)}: {json.dumps(chapter)}" for name, chapter in found.items())
    results.write_text(f"{{\n{chapters}\n}}\n")


def measure(plan: Plan) -> dict[str, Any]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=LOCAL) as directory:
        found = about(plan) | on_the_stack(Path(directory), plan)
    found["about"]["minutes"] = round((time.monotonic() - began) / 60, 1)
    return found


def about(plan: Plan) -> dict[str, Any]:
    packages = ("ministack", "moto", "boto3", "httpx", "pydantic", "aws-lambda-powertools", "starlette", "uvicorn")
    return {
        "about": {
            "date": datetime.now(UTC).date().isoformat(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "processor": processor(),
            "cores": os.cpu_count(),
            "runtime": runtime(),
            "packages": {name: version(name) for name in packages},
            "quick": plan == QUICK,
        }
    }


def processor() -> str:
    """As the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def on_the_stack(directory: Path, plan: Plan) -> dict[str, Any]:
    """What needs no stack is measured while the long answer takes its time."""
    found: dict[str, Any] = {}
    with ExitStack() as running:
        with step("Starting the local stack"):
            on = running.enter_context(live(directory))
            keep_build(directory / "built")
        answer = running.enter_context(long_answer(on, plan.long_seconds))
        with step("Latency"):
            lags = latency(on, plan.rounds)
        with step("Processor time"):
            spent = cpu(on, plan.cpu_turns, {answer.pid})
        crowds = [crowd(on, *asked) for asked in plan.crowds]
        with step("Request units, ours and the peers'"):
            found["units"] = units(directory, plan.last_turn)
        with step("Cold starts"):
            cold = cold_starts(directory / "built", plan.cold_starts)
        with step("The long answer's end"):
            kept = answer.end()
    found |= {"latency": lags, "cpu": spent, "fan_out": crowds, "memory": kept, "cold_start": cold}
    return found | sizing.derived(found)


def crowd(on: Live, sockets: int, seconds: float) -> dict[str, Any]:
    with step(f"1,000 tokens a second to {sockets} sockets"):
        return fan_out(on, sockets, seconds)


def units(directory: Path, last: int) -> dict[str, Any]:
    """Ours and the peers', each in a process of its own."""
    return {
        "ours": run([sys.executable, "-m", "bench.turns", str(last)], directory / "ours.json", "functions"),
        "peers": run([str(BENCH), "-m", "bench.peers", str(min(last, 501))], directory / "peers.json"),
    }


def run(command: list[str], result: Path, *path: str) -> dict[str, Any]:
    """The JSON that a module of ours writes. Raises ``CalledProcessError`` with its output."""
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join([*path, str(CHECKOUT)])}
    done = subprocess.run(
        [*command, str(result)], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-5000:])
        done.check_returncode()
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def draw(results: Path, place: Path) -> None:
    place.mkdir(exist_ok=True)
    environment = clean_environment() | {"PYTHONPATH": str(CHECKOUT)}
    subprocess.run([str(BENCH), "-m", "bench.plots", str(results), str(place)], env=environment, check=True)


def keep_build(place: Path) -> None:
    """A copy, for another session of the checkout may build anew meanwhile."""
    with sole_builder():
        shutil.copytree(BUILD / "output", place)


def cold_starts(built: Path, rounds: int) -> list[dict[str, Any]]:
    return [asdict(one) for one in cold_start.measure(sys.executable, built, rounds)]


@contextmanager
def step(title: str) -> Iterator[None]:
    say(f"{title} ...")
    began = time.monotonic()
    yield
    say(f"{title}: {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
