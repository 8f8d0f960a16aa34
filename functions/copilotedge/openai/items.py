"""A conversation's log read as items, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from copilotedge.conversations import Conversations
from copilotedge.errors import NotFound
from copilotedge.models import Message
from copilotedge.openai.item_shapes import Item, items_of, message_id_of
from copilotedge.values import dataclass

READ = 100
"""Messages of the log that are read at once."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """``more`` tells whether there are items behind these."""

    items: tuple[Item, ...]
    more: bool


class Items:
    """Methods raise ``NotFound`` for a conversation or an item that does not exist."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def page(self, conversation_id: str, limit: int, *, newest_first: bool, after: str = "") -> ItemPage:
        """The first ``limit`` items, or those behind the item ``after``."""
        start = (await self._message(conversation_id, after)).seq if after else 0
        found: list[Item] = []
        async for message in self._messages(conversation_id, start, newest_first=newest_first):
            items = items_of(message)[:: -1 if newest_first else 1]
            ids = [item["id"] for item in items]
            found += items[ids.index(after) + 1 :] if after in ids else items
            if len(found) > limit:
                break
        return ItemPage(tuple(found[:limit]), len(found) > limit)

    async def find(self, conversation_id: str, item_id: str) -> Item:
        message = await self._message(conversation_id, item_id)
        return next(item for item in items_of(message) if item["id"] == item_id)

    async def _message(self, conversation_id: str, item_id: str) -> Message:
        """The message that has this item; most often one of the newest."""
        wanted = message_id_of(item_id)
        async for message in self._messages(conversation_id, 0, newest_first=True):
            if message.message_id == wanted and item_id in [item["id"] for item in items_of(message)]:
                return message
        raise NotFound("There is no such item.")

    async def _messages(self, conversation_id: str, start: int, *, newest_first: bool) -> AsyncIterator[Message]:
        """The log in this direction, from the message ``start`` on; 0: all of it."""
        more = True
        while more:
            if newest_first:
                page = await self._conversations.page(conversation_id, READ, before=start + 1 if start else 0)
            else:
                page = await self._conversations.page(conversation_id, READ, after=max(start - 1, 0))
            if page.state is None:
                raise NotFound("There is no such conversation.")
            for message in reversed(page.messages) if newest_first else page.messages:
                yield message
            more = page.more and bool(page.messages)
            if page.messages:
                start = page.messages[0].seq - 1 if newest_first else page.messages[-1].seq + 1
                more = more and start > 0
