"""What the functions of the test stack asked of AWS, and what their roles let them ask."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request, as IAM sees it: a transaction is one call for each item. ``function`` is the deployed name."""

    function: str
    action: str
    resource: str
    allowed: bool


@dataclass(frozen=True)
class Grant:
    """One action on one resource (which may have ``*`` in it) that a role allows."""

    function: str
    action: str
    resource: str

    def covers(self, call: Call) -> bool:
        return (self.function, self.action) == (call.function, call.action) and fnmatchcase(
            call.resource, self.resource
        )


def calls_in(file: Path, start: int = 0) -> list[Call]:
    """Those written after the first ``start`` bytes, in their order."""
    with file.open() as lines:
        lines.seek(start)
        return [_call(line) for line in lines]


@functools.cache  # of a hundred thousand lines, few are different
def _call(line: str) -> Call:
    entry = json.loads(line)
    return Call(entry["caller"].rsplit("/", 1)[-1], entry["action"], entry["resource"], entry["allowed"])


def grants_of(function: str, documents: list[dict[str, Any]]) -> Iterator[Grant]:
    """What the policies of a function's role allow."""
    for statement in (statement for document in documents for statement in _listed(document["Statement"])):
        assert statement["Effect"] == "Allow", "a Deny is not what this comparison knows"
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                yield Grant(function, action, resource)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
