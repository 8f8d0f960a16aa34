"""Follows what the functions log."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.5
PLATFORM_LINES = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


class Logs:
    """The log groups of a stack's functions; `files` are the logs of functions that are processes of their own."""

    def __init__(self, client: Any, stack: str, files: Mapping[str, Path] | None = None) -> None:
        self._client = client
        self._prefix = f"/aws/lambda/{stack}-"
        self._said: set[str] = set()
        self._files = {function: LogFile(path) for function, path in (files or {}).items()}

    def follow(self, say: Callable[[str], None], stopped: Callable[[float], bool]) -> None:
        """Says every new line until `stopped(seconds)`, which also does the waiting, is true."""
        since = int(time.time() * 1000)
        while not stopped(POLL_SECONDS):
            for line in self._new(since):
                say(line)

    def lines(self, function: str, since_milliseconds: int = 0) -> list[str]:
        """Everything that a function (`http-api`, ...) has logged, oldest first."""
        if function in self._files:
            return self._files[function].lines(since_milliseconds)
        return [event["message"] for event in self._events(self._prefix + function, since_milliseconds)]

    def _new(self, since: int) -> Iterator[str]:
        """MiniStack writes an invocation's lines at once, when it has ended, to a stream of their own."""
        streams = set()
        for group in self._groups():
            function = group.removeprefix(self._prefix)
            for event in self._events(group, since):
                streams.add(event["logStreamName"])
                if event["logStreamName"] not in self._said and not event["message"].startswith(PLATFORM_LINES):
                    yield f"{function:>14} | {readable(event['message'])}"
        self._said |= streams
        for function, file in self._files.items():
            for line in file.new():
                yield f"{function:>14} | {readable(line)}"

    def _groups(self) -> list[str]:
        groups = self._client.describe_log_groups(logGroupNamePrefix=self._prefix)["logGroups"]
        return sorted(group["logGroupName"] for group in groups)

    def _events(self, group: str, since: int) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        for page in pages:
            yield from page["events"]


class LogFile:
    """Lines that a process appends to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = path.stat().st_size if path.exists() else 0

    def new(self) -> list[str]:
        """Whole lines that have come since the last time."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._read += len(whole + newline)
            return whole.decode(errors="replace").splitlines()
        return []

    def lines(self, since_milliseconds: int = 0) -> list[str]:
        """All lines from that time on. One that does not say when it was written belongs to the one before it."""
        found, written = [], 0
        for line in self._path.read_text(errors="replace").splitlines() if self._path.exists() else []:
            written = time_of(line) or written
            if written >= since_milliseconds:
                found.append(line)
        return found


def time_of(line: str) -> int:
    """When a structured line was written, in milliseconds; 0 for any other line."""
    with suppress(ValueError, TypeError, KeyError):
        return int(datetime.strptime(json.loads(line)["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp() * 1000)
    return 0


def readable(message: str) -> str:
    """A structured line as text, the level and message first; any other line as it is."""
    try:
        entry = json.loads(message)
    except json.JSONDecodeError:
        return message.rstrip()
    if not isinstance(entry, dict):
        return message.rstrip()
    first = [str(entry.pop(name)) for name in ("level", "message") if name in entry]
    return " ".join([*first, *(f"{name}={value}" for name, value in entry.items() if name not in NOISE)])


NOISE = frozenset(
    {"location", "timestamp", "service", "function_arn", "function_memory_size", "function_name", "cold_start"}
)
