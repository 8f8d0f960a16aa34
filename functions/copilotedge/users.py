"""What belongs to a user: the list of conversations, and the end of it all."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import replace

from copilotedge import frames
from copilotedge.addresses import Address
from copilotedge.conversations import Conversations
from copilotedge.errors import InvalidRequest, NotFound
from copilotedge.limits import READER
from copilotedge.listings import MAX_TITLE_CHARACTERS, cut, one_line
from copilotedge.models import Listing, Marks, State
from copilotedge.ports import AnswerCache, ConversationStore, Gateway, Log, UsageStore, Waker
from copilotedge.sockets import Sockets
from copilotedge.values import dataclass

AT_ONCE = 16
"""Conversations of a forgotten user that are deleted at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a user's conversations, as it is now."""

    listing: Listing
    state: State

    @property
    def name(self) -> str:
        return self.listing.name


@dataclass(frozen=True, slots=True)
class Entries:
    """Pinned ones first, then newest activity first. ``cursor`` continues after the last; empty at the end."""

    entries: tuple[Entry, ...]
    cursor: str


class Users:
    """Stateless: one instance serves all users."""

    def __init__(
        self,
        store: ConversationStore,
        usage: UsageStore,
        answers: AnswerCache,
        conversations: Conversations,
        sockets: Sockets,
        gateway: Gateway,
        waker: Waker,
        log: Log,
    ) -> None:
        self._store = store
        self._usage = usage
        self._answers = answers
        self._conversations = conversations
        self._sockets = sockets
        self._gateway = gateway
        self._waker = waker
        self._log = log

    async def conversations(
        self, user: str, limit: int, cursor: str = "", search: str = "", archived: bool = False
    ) -> Entries:
        """The user's own, archived or not, in the order of last activity (as listed: it may lag five minutes behind).

        ``search`` is a part of their titles, or of their ids, in whatever case.
        """
        listed = await self._store.listings(user)
        found = [listing for listing in listed if listing.archived == archived and _matches(listing, search)]
        found.sort(key=_place, reverse=True)
        if cursor:
            after = _parse_cursor(cursor)
            found = [listing for listing in found if _place(listing) < after]
        page = found[:limit]
        states = await self._states(user, page)
        entries = tuple(Entry(listing, state) for listing, state in zip(page, states, strict=True) if state)
        return Entries(entries, _cursor(page[-1]) if len(found) > limit else "")

    async def change(self, key: str, marks: Marks) -> Entry:
        """Rename, pin or archive a conversation, for its owner. Raises ``NotFound`` where there is none.

        A title is kept as one line of ``MAX_TITLE_CHARACTERS`` at most, and told to the conversation's sockets.
        """
        if marks.title is not None:
            marks = replace(marks, title=cut(one_line(marks.title), MAX_TITLE_CHARACTERS))
        state = living(await self._store.state(key))
        listing = await self._store.mark(key, state.life, marks) if state else None
        if state is None or listing is None:
            raise NotFound("There is no such conversation.")
        if marks.title is not None:
            await self._sockets.announce(key, frames.system("titled", title=listing.title))
        return Entry(listing, state)

    async def title(self, key: str, state: State | None) -> str:
        """What the owner's list calls the conversation, whose state is ``state``; empty where it is not there."""
        listing = await self._store.listing(key) if living(state) else None
        return listing.title if listing else ""

    async def ask_to_forget(self, user: str) -> None:
        """Have everything of this user deleted, some time soon."""
        await self._waker.forget_user(user)

    async def forget(self, user: str) -> int:
        """Delete the user's conversations and cached answers, close their sockets; how many conversations there were.

        Safe to repeat. The counters stay until their day is over, or this would lift the limits.
        """
        await self._answers.forget(user)
        listings = await self._store.listings(user)
        for start in range(0, len(listings), AT_ONCE):
            keys = [Address(user, listing.name).key for listing in listings[start : start + AT_ONCE]]
            await asyncio.gather(*(self._end(key) for key in keys))
        for connection_id in await self._usage.forget(user):
            if connection_id.startswith(READER):  # with its conversation it ends by itself
                continue
            try:
                await self._gateway.disconnect(connection_id)
            except OSError as exc:
                self._log.error("disconnect_failed", connection_id=connection_id, error=type(exc).__name__)
        return len(listings)

    async def _end(self, key: str) -> None:
        cleared = await self._conversations.delete(key)
        await self._sockets.tell(cleared.run)
        await self._sockets.close_all(key)
        await self._store.sweep(key)

    async def _states(self, user: str, page: Sequence[Listing]) -> list[State | None]:
        states = await asyncio.gather(*(self._store.state(Address(user, listing.name).key) for listing in page))
        return [living(state) for state in states]


def living(state: State | None) -> State | None:
    """One that is being deleted is gone already."""
    return None if state and state.is_deleted else state


def _matches(listing: Listing, search: str) -> bool:
    wanted = search.casefold()
    return wanted in listing.title.casefold() or wanted in listing.name.casefold()


def _place(listing: Listing) -> tuple[bool, int, str]:
    return listing.pinned, listing.last_activity, listing.name


def _cursor(listing: Listing) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(listing)).encode()).decode()


def _parse_cursor(cursor: str) -> tuple[bool, int, str]:
    try:
        pinned, last_activity, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return bool(pinned), int(last_activity), str(name)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise InvalidRequest("This cursor is not one of ours.", code="invalid_parameter") from exc
