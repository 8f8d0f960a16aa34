"""Runs every test, in two halves beside each other: ``python -m tests [options of pytest]``.

The tests on the stack wait most of the time; the others compute. What the others print comes when both have ended.
"""

import signal
import subprocess
import sys
import tempfile
from typing import IO

NOTHING_TO_RUN = 5
"""Exit status of pytest when its options leave no test."""


def main(options: list[str]) -> int:
    """Exit status 0 when both halves have passed, or one has and the options leave nothing of the other."""
    with tempfile.TemporaryFile("w+") as output:
        with half("rest", options, output) as rest, half("stack", options) as stack:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them too, and they clean up
            statuses = {rest.wait(), stack.wait()}
        output.seek(0)
        print(output.read())
    if statuses - {0, NOTHING_TO_RUN}:
        return 1
    return min(statuses)


def half(name: str, options: list[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests",
        "--half",
        name,
        "-o",
        f"cache_dir=.pytest_cache/{name}",
        *options,
    ]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT if output else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
