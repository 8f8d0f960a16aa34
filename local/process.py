"""A background process of the local stack: started detached, found again by a later command, ended for certain.

Whether it runs is told by a lock on a file, which the process inherits and holds until it ends, however it ends.
Unlike a process id in a file it cannot name a stranger.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from local.errors import LocalStackError
from local.places import CHECKOUT

POLL_SECONDS = 0.02

INTERRUPTIONS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Process:
    """The process `name` of the stack whose state is in `directory`; `NAME.log` there has its output.

    That is the output since its last start; with `keep_log` that of all its starts.
    """

    def __init__(self, name: str, directory: Path, *, keep_log: bool = False) -> None:
        self.name = name
        self._log_mode = "a" if keep_log else "w"
        self.log = directory / f"{name}.log"
        self._pid_file = directory / f"{name}.pid"
        self._directory = directory

    def running(self) -> bool:
        """Whether the process is alive, whoever started it."""
        with self._lock() as acquired:
            return not acquired

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Raises LocalStackError when it runs already."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._pid_file.open("a+") as pid_file, self.log.open(self._log_mode) as log:
            if not acquire(pid_file.fileno(), fcntl.LOCK_EX):
                raise LocalStackError(f"{self.name} is already running")
            child = launch(command, environment, log, keep=[pid_file.fileno()])
            pid_file.truncate(0)
            pid_file.write(str(child.pid))
        child.returncode = 0  # it may outlive us: keep Popen from warning of that

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Waits for `ready`. Raises LocalStackError, with the log's end, when the process ends first or time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running():
                raise LocalStackError(f"{self.name} ended: {self._last_lines()}")
            if time.monotonic() > deadline:
                raise LocalStackError(f"{self.name} was not ready after {timeout:g} s: {self._last_lines()}")
            time.sleep(POLL_SECONDS)

    def stop(self, timeout: float = 30) -> None:
        """Asks the process to end, waits until it has saved its state, then kills what it left behind."""
        if not self._pid_file.exists():
            return
        pid = int(self._pid_file.read_text() or 0)
        if self.running():
            os.kill(pid, signal.SIGTERM)
            self._wait_for_end(pid, timeout)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            reap(pid)
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the process as a crash of its machine would."""
        if self.running():
            pid = int(self._pid_file.read_text())
            os.killpg(pid, signal.SIGKILL)
            self._wait_for_end(pid, timeout=5)

    def _wait_for_end(self, pid: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.running() and time.monotonic() < deadline:
            reap(pid)
            time.sleep(POLL_SECONDS)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[bool]:
        if not self._pid_file.exists():
            yield True
            return
        with self._pid_file.open() as pid_file:
            yield acquire(pid_file.fileno(), fcntl.LOCK_SH)

    def _last_lines(self) -> str:
        return "\n".join(["", *self.log.read_text(errors="replace").splitlines()[-15:]])


def run_to_end(command: Sequence[str], environment: Mapping[str, str], output: IO[str]) -> int:
    """Exit status of the command. When we are interrupted, so is it, with all that it started.

    Not before it has a name, though: an interruption while it is being started would leave it behind. (It inherits that
    these signals wait; what ends it is another.)
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    child = None
    try:
        child = launch(command, environment, output)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return child.wait()
    except BaseException:
        if child is not None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def launch(
    command: Sequence[str], environment: Mapping[str, str], output: IO[str], keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a Ctrl-C in the terminal reaches only us; it inherits the files ``keep``."""
    return subprocess.Popen(
        command,
        env=environment,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=keep,
    )


def acquire(descriptor: int, kind: int) -> bool:
    """Whether nobody else held the lock. Closing the file gives it back."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reap(pid: int) -> None:
    """Collects the exit status of a child of ours, so that it does not stay as a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
