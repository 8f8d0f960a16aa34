"""What belongs to a user: the list of conversations, and the end of it all."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from copilotedge.addresses import Address
from copilotedge.conversations import Conversations
from copilotedge.errors import InvalidRequest
from copilotedge.models import Listing, State
from copilotedge.ports import ConversationStore, Gateway, Log, UsageStore, Waker
from copilotedge.sockets import Sockets

AT_ONCE = 16
"""Conversations of a forgotten user that are deleted at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a user's conversations, as it is now."""

    name: str
    state: State


@dataclass(frozen=True, slots=True)
class Entries:
    """Newest activity first. ``cursor`` continues after the last one; empty at the end."""

    entries: tuple[Entry, ...]
    cursor: str


class Users:
    """Stateless: one instance serves all users."""

    def __init__(
        self,
        store: ConversationStore,
        usage: UsageStore,
        conversations: Conversations,
        sockets: Sockets,
        gateway: Gateway,
        waker: Waker,
        log: Log,
    ) -> None:
        self._store = store
        self._usage = usage
        self._conversations = conversations
        self._sockets = sockets
        self._gateway = gateway
        self._waker = waker
        self._log = log

    async def conversations(self, user: str, limit: int, cursor: str = "") -> Entries:
        """The user's own, in the order of their last activity (as listed: it may lag five minutes behind)."""
        found = sorted(await self._store.listings(user), key=_place, reverse=True)
        if cursor:
            after = _parse_cursor(cursor)
            found = [listing for listing in found if _place(listing) < after]
        page = found[:limit]
        states = await self._states(user, page)
        entries = tuple(Entry(listing.name, state) for listing, state in zip(page, states, strict=True) if state)
        return Entries(entries, _cursor(page[-1]) if len(found) > limit else "")

    async def ask_to_forget(self, user: str) -> None:
        """Have everything of this user deleted, some time soon."""
        await self._waker.forget_user(user)

    async def forget(self, user: str) -> int:
        """Delete the user's conversations and close their sockets; how many conversations there were. Safe to repeat.

        The counters stay until their day is over, or this would lift the limits.
        """
        listings = await self._store.listings(user)
        for start in range(0, len(listings), AT_ONCE):
            keys = [Address(user, listing.name).key for listing in listings[start : start + AT_ONCE]]
            await asyncio.gather(*(self._end(key) for key in keys))
        for connection_id in await self._usage.forget(user):
            try:
                await self._gateway.disconnect(connection_id)
            except OSError as exc:
                self._log.error("disconnect_failed", connection_id=connection_id, error=type(exc).__name__)
        return len(listings)

    async def _end(self, key: str) -> None:
        await self._conversations.delete(key)
        await self._sockets.close_all(key)
        await self._store.sweep(key)

    async def _states(self, user: str, page: Sequence[Listing]) -> list[State | None]:
        """One that is being deleted is gone already."""
        states = await asyncio.gather(*(self._store.state(Address(user, listing.name).key) for listing in page))
        return [None if state and state.turn and state.turn.deleting else state for state in states]


def _place(listing: Listing) -> tuple[int, str]:
    return listing.last_activity, listing.name


def _cursor(listing: Listing) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(listing)).encode()).decode()


def _parse_cursor(cursor: str) -> tuple[int, str]:
    try:
        last_activity, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return int(last_activity), str(name)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise InvalidRequest("This cursor is not one of ours.", code="invalid_parameter") from exc
