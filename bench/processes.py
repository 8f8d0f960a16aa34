"""What processes of this machine have used: memory (``ps``, anywhere) and processor time (``/proc``, on Linux)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self


def resident_mb(pid: int) -> float | None:
    """Memory that a process keeps, in MB; None where there is no such process."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(shown) / 1024 if shown.strip() else None


def cpu_seconds(pids: Iterable[int]) -> float | None:
    """Processor time that processes have used together; those that are gone count as 0. None where ``/proc`` is not."""
    if not Path("/proc/self/stat").exists():
        return None
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


class MemoryWatch:
    """Samples a process's memory every ``pause`` seconds, in a thread, until it is left."""

    def __init__(self, pid: int, pause: float) -> None:
        self.samples: list[tuple[float, float]] = []
        self._pid = pid
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        """Seconds since the beginning, and MB."""
        began = time.monotonic()
        while not self._over.is_set():
            found = resident_mb(self._pid)
            if found is not None:
                self.samples.append((round(time.monotonic() - began, 1), round(found, 2)))
            self._over.wait(self._pause)
