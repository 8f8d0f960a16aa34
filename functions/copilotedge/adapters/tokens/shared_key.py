"""Mode ``jwt``: tokens signed with a secret that the stack has made (HS256)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from copilotedge.adapters.tokens.claims import Claims, WrongKey, check_form
from copilotedge.adapters.tokens.keys import Keys
from copilotedge.errors import StoreUnavailable
from copilotedge.identity import Identity

if TYPE_CHECKING:
    from copilotedge.ports import Clock, Log

FRESH_MS = 300_000
PAUSE_MS = 3_000
MIN_KEY_CHARACTERS = 32
"""HS256 wants a key no shorter than its hash (RFC 7518, section 3.2)."""

_ALGORITHMS = ("HS256",)


class SharedKeyTokens:
    """Implements ``ports.Tokens``. ``read_secret`` gives the secret as it is now.

    The secret is a JSON object, ``{"current": "...", "previous": "..."}``. Tokens of both keys are good; ``previous``
    may be empty. A token of neither key has the secret read again, so a new key works at once.
    """

    def __init__(self, read_secret: Callable[[], Awaitable[str]], claims: Claims, clock: Clock, log: Log) -> None:
        self._read_secret = read_secret
        self._claims = claims
        self._keys = Keys(self._read, clock, log, fresh_ms=FRESH_MS, pause_ms=PAUSE_MS)

    async def verify(self, token: str) -> Identity:
        check_form(token)
        try:
            return self._identity(token, await self._keys.known())
        except WrongKey:
            newer = await self._keys.renewed()
            if newer is None:
                raise
        return self._identity(token, newer)

    def _identity(self, token: str, keys: tuple[str, ...]) -> Identity:
        *others, last = keys
        for key in others:
            with suppress(WrongKey):
                return self._claims.identity(token, key, _ALGORITHMS)
        return self._claims.identity(token, last, _ALGORITHMS)

    async def _read(self) -> tuple[str, ...]:
        return _keys_in(await self._read_secret())


def _keys_in(secret: str) -> tuple[str, ...]:
    try:
        found = json.loads(secret)
        keys = tuple(key for key in (found["current"], found.get("previous")) if key)
        usable = bool(found["current"]) and all(isinstance(key, str) and len(key) >= MIN_KEY_CHARACTERS for key in keys)
    except (ValueError, TypeError, KeyError, AttributeError):
        usable = False  # and no cause: it could quote the secret
    if not usable:
        raise StoreUnavailable("The secret does not hold signing keys.")
    return keys
