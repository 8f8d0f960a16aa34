"""What a user is told, in a form in which two such tellings can be compared byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import httpx

from tests.clients import Frame, is_delta

Transcript = list[tuple[str, ...]]

OF_THEIR_OWN_NATURE = [
    (re.compile(rb"\b\d{13}-[0-9a-f]{8}\b"), b"<epoch>"),
    (re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), b"<id>"),
    (re.compile(rb"\b\d{13}\b"), b"<time>"),
    (re.compile(rb"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"), b"<time>"),
    (re.compile(rb'"(created|created_at|completed_at)": ?\d{10}\b'), rb'"\1":<time>'),
]
"""Generated ids and times; no two answers share them, whoever asks."""
PASSING_HEADERS = {"date", "apigw-requestid", "x-amzn-requestid", "x-ratelimit-remaining", "x-ratelimit-reset"}
"""A request's own id and time, and what is left of a minute's messages."""


def told(answer: httpx.Response, names: Mapping[str, str]) -> tuple[str, ...]:
    """An answer over REST: status, headers and body."""
    headers = {name: value for name, value in answer.headers.items() if name not in PASSING_HEADERS}
    head = "\n".join(f"{name}: {value}" for name, value in sorted(headers.items()))
    return (str(answer.status_code), neutral(head.encode(), names), neutral(answer.content, names))


def heard(frames: list[Frame], names: Mapping[str, str]) -> tuple[str, ...]:
    """Frames over a socket. How an answer is cut into deltas is a matter of moments, so they count as one."""
    whole: list[Any] = []
    for cut, run in groupby(frames, is_delta):
        group = list(run)
        whole += [{"type": "delta", "content": "".join(f["content"] for f in group)}] if cut else group
    return tuple(neutral(json.dumps(frame, ensure_ascii=False).encode(), names) for frame in whole)


def neutral(data: bytes, names: Mapping[str, str]) -> str:
    """Without what differs by nature. ``names`` are the ids that the tellings differ in, and what to call them."""
    for name, neutral_name in names.items():
        data = data.replace(name.encode(), neutral_name.encode())
    for pattern, replacement in OF_THEIR_OWN_NATURE:
        data = pattern.sub(replacement, data)
    return data.decode()
