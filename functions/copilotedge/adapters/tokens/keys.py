"""Keys that are read from elsewhere, kept for a while, and read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from copilotedge.errors import StoreUnavailable

if TYPE_CHECKING:
    from copilotedge.ports import Clock, Log

KEPT_MS = 3_600_000
"""How long known keys serve when they cannot be read again."""

_Keys = TypeVar("_Keys")


class Keys(Generic[_Keys]):
    """Reads keys with ``read``, which raises ``StoreUnavailable``.

    They count as new for ``fresh_ms``. ``renewed`` reads at most once in ``pause_ms``, so that made-up tokens cannot
    make us read again and again. Serves one request at a time, as Lambda does.
    """

    def __init__(
        self, read: Callable[[], Awaitable[_Keys]], clock: Clock, log: Log, *, fresh_ms: int, pause_ms: int
    ) -> None:
        self._read = read
        self._clock = clock
        self._log = log
        self._fresh_ms = fresh_ms
        self._pause_ms = pause_ms
        self._keys: _Keys | None = None
        self._read_at = 0
        self._due = 0
        self._renewable = 0
        self._failing_until = 0

    async def known(self) -> _Keys:
        """The keys, read if there are none yet or they have become old.

        Raises ``StoreUnavailable`` when they cannot be read, unless those of the last hour are known.
        """
        if self._keys is not None and self._clock() < self._due:
            return self._keys
        try:
            return await self._read_now()
        except StoreUnavailable:
            age = self._clock() - self._read_at
            if self._keys is None or age >= KEPT_MS:
                raise
            self._log.error("keys_not_refreshed", age_seconds=age // 1000)
            return self._keys

    async def renewed(self) -> _Keys | None:
        """The keys as they are now, None if they were asked for just before.

        Raises ``StoreUnavailable`` when that cannot be told.
        """
        if self._clock() < self._failing_until:
            raise StoreUnavailable("The keys could not be read a moment ago.")
        if self._clock() < self._renewable:
            return None
        self._renewable = self._clock() + self._pause_ms
        return await self._read_now()

    async def _read_now(self) -> _Keys:
        try:
            self._keys = await self._read()
        except StoreUnavailable:
            self._due = self._failing_until = self._clock() + self._pause_ms
            raise
        self._read_at = self._clock()
        self._due = self._read_at + self._fresh_ms
        return self._keys
