"""How often a turn waits for the table before its model is asked: what runs side by side is waited for once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any
from unittest.mock import patch

from copilotedge.models import ModelEvent, ModelRequest
from copilotedge.ports import Model

A_WHILE = 50
"""Turns of the event loop in which whatever is going to run side by side has begun."""


class Waits:
    """Counts the times that a request to DynamoDB began while none was under way. One turn at a time, any threads.

    ``before_model`` is of the first time that the model was asked; None until then.

    It is the functions' clock too, one that stands still while a request is under way: moto takes seconds for a large
    table, where DynamoDB takes milliseconds, and what was just read would count as old.
    """

    def __init__(self) -> None:
        self.count = 0
        self.before_model: int | None = None
        self._under_way = 0
        self._stopped_at = self._stood_still = 0
        self._lock = threading.Lock()
        self._to_thread = asyncio.to_thread

    def reset(self) -> None:
        """Count anew."""
        self.count, self.before_model = 0, None
        self._stood_still = 0

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, less those since ``reset`` in which the table was waited for."""
        with self._lock:
            return (self._stopped_at if self._under_way else time.time_ns()) - self._stood_still

    def asked(self) -> None:
        """The model is asked now. It has not waited for what is still under way."""
        if self.before_model is None:
            self.before_model = self.count - bool(self._under_way)

    @contextmanager
    def installed(self, *, as_clock: bool = True) -> Iterator[None]:
        """Every request beside an event loop comes by here meanwhile, and whoever asks for the time."""
        clock: Any = self if as_clock else time
        with patch("asyncio.to_thread", self._watched), patch("copilotedge.runtime.time", clock):
            yield

    async def _watched(self, request: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        if not is_of_dynamodb(request):
            return await self._to_thread(request, *arguments, **named)
        self._begin()
        try:
            for _ in range(A_WHILE):
                await asyncio.sleep(0)
            return await self._to_thread(request, *arguments, **named)
        finally:
            self._end()

    def _begin(self) -> None:
        with self._lock:
            if not self._under_way:
                self.count += 1
                self._stopped_at = time.time_ns()
            self._under_way += 1

    def _end(self) -> None:
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._stood_still += time.time_ns() - self._stopped_at


class WatchedModel:
    """A model that tells when it is asked."""

    def __init__(self, model: Model, waits: Waits) -> None:
        self._model = model
        self._waits = waits

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self._waits.asked()
        async with aclosing(self._model.stream(request)) as events:
            async for event in events:
                yield event


def is_of_dynamodb(request: Callable[..., Any]) -> bool:
    """Whether this is a method of a client of DynamoDB."""
    meta = getattr(getattr(request, "__self__", None), "meta", None)
    return meta is not None and meta.service_model.service_name == "dynamodb"
