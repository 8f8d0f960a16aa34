import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from local.errors import LocalStackError
from local.process import Process, run_to_end

FOREVER = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)"]


@pytest.fixture
def process(tmp_path: Path) -> Process:
    process = Process("sleeper", tmp_path)
    yield process
    process.stop(timeout=1)


def started(process: Process) -> bool:
    return "started" in process.log.read_text()


def test_it_runs_from_start_to_stop(process: Process) -> None:
    assert not process.running()
    process.start(FOREVER, os.environ)
    assert process.running()
    process.stop()
    assert not process.running()


def test_a_later_command_finds_it_and_ends_it(process: Process, tmp_path: Path) -> None:
    process.start(FOREVER, os.environ)
    later = Process("sleeper", tmp_path)
    assert later.running()
    later.stop()
    assert not process.running()


def test_it_is_not_started_twice(process: Process) -> None:
    process.start(FOREVER, os.environ)
    with pytest.raises(LocalStackError, match="already running"):
        process.start(FOREVER, os.environ)


def test_one_that_does_not_listen_is_killed(process: Process) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('started', flush=True); time.sleep(600)"
    process.start([sys.executable, "-c", deaf], os.environ)
    process.wait_until(lambda: started(process), 30)
    process.stop(timeout=0.1)
    deadline = time.monotonic() + 30
    while process.running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.running()


def test_what_it_leaves_behind_is_killed(process: Process) -> None:
    parent = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    process.start([sys.executable, "-c", "import time;" + parent.replace("input()", "time.sleep(600)")], os.environ)
    process.wait_until(lambda: process.log.read_text().strip(), 30)
    child = int(process.log.read_text())
    process.stop()
    with pytest.raises(ProcessLookupError):
        wait_for_end(child)


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        os.kill(pid, 0)
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                raise ProcessLookupError  # dead; its new parent has not looked yet
        time.sleep(0.01)


def test_one_that_is_killed_can_be_started_again_and_goes_on_in_its_log(tmp_path: Path) -> None:
    process = Process("sleeper", tmp_path, keep_log=True)
    try:
        for starts in (1, 2):
            process.start(FOREVER, os.environ)
            process.wait_until(lambda starts=starts: process.log.read_text().count("started") == starts, 10)
            process.kill()
            assert not process.running()
    finally:
        process.stop()


def test_one_that_ends_early_is_reported_with_its_last_words(process: Process) -> None:
    process.start([sys.executable, "-c", "raise SystemExit('no such thing')"], os.environ)
    with pytest.raises(LocalStackError, match="no such thing"):
        process.wait_until(lambda: False, 30)


def test_one_that_is_never_ready_is_reported(process: Process) -> None:
    process.start(FOREVER, os.environ)
    with pytest.raises(LocalStackError, match="not ready"):
        process.wait_until(lambda: False, 0.05)


def test_a_command_that_is_interrupted_while_it_is_started_is_not_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(_number: int, _frame: object) -> None:
        raise Interrupted

    children, start = [], subprocess.Popen

    def interrupted_start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        child: subprocess.Popen[str] = start(*arguments, **options)
        children.append(child)
        signal.raise_signal(signal.SIGINT)  # to this thread, which may have others beside it
        return child

    before = signal.signal(signal.SIGINT, interrupt)
    monkeypatch.setattr(subprocess, "Popen", interrupted_start)
    try:
        with (tmp_path / "log").open("w") as log, pytest.raises(Interrupted):
            run_to_end(["sleep", "60"], dict(os.environ), log)
    finally:
        signal.signal(signal.SIGINT, before)
    [child] = children
    assert child.poll() == -signal.SIGKILL
