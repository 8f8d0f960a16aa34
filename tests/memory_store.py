"""The conversation store in memory: the plain model that the DynamoDB store is held against."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from copilotedge.addresses import address_of_key
from copilotedge.errors import ReceiptExists, StateChanged
from copilotedge.listings import Relisting, relisting
from copilotedge.models import (
    Audience,
    Change,
    Connection,
    ConversationSettings,
    Draft,
    Listing,
    Marks,
    Message,
    QueuedMessage,
    Receipt,
    Snapshot,
    State,
    Swept,
)
from copilotedge.ports import Clock
from copilotedge.transitions import LIST_EVERY_MS


@dataclass
class _Conversation:
    state: State | None = None
    settings: ConversationSettings = field(default_factory=ConversationSettings)
    settings_life: str = ""
    messages: dict[tuple[str, int], Message] = field(default_factory=dict)
    queue: dict[str, QueuedMessage] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    drafts: dict[tuple[str, int, int], tuple[str, Draft]] = field(default_factory=dict)
    listing: Listing | None = None
    listed_until: int = 0

    @property
    def size(self) -> int:
        """Items that a sweep may delete."""
        return sum(map(len, (self.messages, self.queue, self.receipts, self.connections, self.drafts)))


class MemoryStore:
    """Implements ``ports.ConversationStore``."""

    def __init__(self, clock: Clock, max_stored: int = 1000) -> None:
        self._clock = clock
        self._max_stored = max_stored
        self._conversations: dict[str, _Conversation] = {}
        self.requests = 0

    async def snapshot(self, conversation_id: str, messages: int) -> Snapshot:
        state, of = await self.state(conversation_id), self._of(conversation_id)
        if state is None:
            return Snapshot()
        log = [of.messages[key] for key in sorted(of.messages) if key[0] == state.epoch]
        return Snapshot(
            state=state,
            settings=of.settings if of.settings_life == state.life else ConversationSettings(),
            queue=tuple(of.queue[place] for place in sorted(of.queue) if of.queue[place].epoch == state.epoch),
            messages=tuple(log[-messages:] if messages else ()),
            connections=await self.connections(conversation_id),
        )

    async def state(self, conversation_id: str) -> State | None:
        self.requests += 1
        state = self._of(conversation_id).state
        return None if state is None or state.is_expired(self._clock()) else state

    async def audience(self, conversation_id: str) -> Audience:
        return Audience(await self.state(conversation_id), await self.connections(conversation_id))

    async def messages(
        self, conversation_id: str, epoch: str, *, after: int, before: int, limit: int, newest: bool
    ) -> tuple[Message, ...]:
        of = self._of(conversation_id)
        found = [of.messages[key] for key in sorted(of.messages) if key[0] == epoch and after < key[1] < before]
        return tuple(found[-limit:] if newest else found[:limit])

    async def receipt(self, conversation_id: str, message_id: str) -> Receipt | None:
        return self._of(conversation_id).receipts.get(message_id)

    async def commit(self, conversation_id: str, change: Change) -> None:
        of = self._of(conversation_id)
        current = await self.state(conversation_id)
        if (current.nonce if current else None) != (change.expected.nonce if change.expected else None):
            raise StateChanged("This conversation has changed.")
        if change.receipt is not None:
            known = of.receipts.get(change.receipt.message_id)
            if known is not None and known.epoch == change.receipt.epoch:
                raise ReceiptExists("This message id was taken before.")
            of.receipts[change.receipt.message_id] = change.receipt
        self._apply(of, change)
        self._list(of, conversation_id, change)

    async def write_draft(self, conversation_id: str, epoch: str, draft: Draft) -> None:
        self._of(conversation_id).drafts[draft.turn_id, draft.attempt, draft.offset] = (epoch, draft)

    async def drafts(self, conversation_id: str, turn_id: str, attempt: int, offset: int) -> tuple[Draft, ...]:
        kept = self._of(conversation_id).drafts
        return tuple(kept[key][1] for key in sorted(kept) if key[:2] == (turn_id, attempt) and key[2] >= offset)

    async def listings(self, owner: str) -> tuple[Listing, ...]:
        now = self._clock() // 1000
        own = [of for key, of in self._conversations.items() if address_of_key(key).owner == owner]
        return tuple(of.listing for of in own if of.listing and of.listed_until > now)

    async def listing(self, conversation_id: str) -> Listing | None:
        of = self._of(conversation_id)
        return of.listing if of.listed_until > self._clock() // 1000 else None

    async def mark(self, conversation_id: str, life: str, marks: Marks) -> Listing | None:
        of = self._of(conversation_id)
        if of.listing is None or of.listing.life != life:
            return None
        given = {"user_title": marks.title, "pinned": marks.pinned, "archived": marks.archived}
        of.listing = replace(of.listing, **{name: value for name, value in given.items() if value is not None})
        return of.listing

    async def entitle(self, conversation_id: str, epoch: str, title: str) -> Listing | None:
        of = self._of(conversation_id)
        if of.listing is None or of.listing.epoch != epoch or of.listing.model_title not in ("", title):
            return None
        of.listing = replace(of.listing, model_title=title)
        return of.listing

    async def sweep(self, conversation_id: str) -> Swept:
        of, state = self._of(conversation_id), await self.state(conversation_id)
        before, messages = of.size, of.messages
        epoch, floor = (state.epoch, state.seq - self._max_stored) if state else ("", 0)
        of.messages = {key: m for key, m in of.messages.items() if key[0] == epoch and key[1] > floor}
        of.queue = {place: queued for place, queued in of.queue.items() if queued.epoch == epoch}
        of.receipts = {name: receipt for name, receipt in of.receipts.items() if receipt.epoch == epoch}
        of.connections = of.connections if state else {}
        of.drafts = {key: kept for key, kept in of.drafts.items() if kept[0] == epoch}
        gone = [message.timestamp for key, message in messages.items() if key not in of.messages]
        return Swept(before - of.size, max(gone, default=0))

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        listed = self._of(conversation_id).connections
        known = listed.get(connection.connection_id)
        wish = connection.resume or (known.resume if known else None)
        listed[connection.connection_id] = replace(connection, resume=wish)

    async def disconnect(self, conversation_id: str, connection_id: str) -> None:
        self._of(conversation_id).connections.pop(connection_id, None)

    async def connections(self, conversation_id: str) -> tuple[Connection, ...]:
        now = self._clock()
        listed = self._of(conversation_id).connections.values()
        return tuple(one for one in listed if not one.token_expires or one.token_expires // 1000 > now // 1000)

    def _of(self, conversation_id: str) -> _Conversation:
        return self._conversations.setdefault(conversation_id, _Conversation())

    def _list(self, of: _Conversation, conversation_id: str, change: Change) -> None:
        if change.removes_state:
            of.listing = None
        elif news := relisting(change):
            of.listing = _listed(of.listing, address_of_key(conversation_id).name, change.state, news)
            of.listed_until = change.state.expires_at + LIST_EVERY_MS // 1000

    def _apply(self, of: _Conversation, change: Change) -> None:
        of.state = None if change.removes_state else change.state
        epoch = change.state.epoch
        of.messages |= {(epoch, message.seq): message for message in change.messages}
        for seq in change.removed_messages:
            of.messages.pop((epoch, seq), None)
        of.queue |= {queued.place: queued for queued in change.queued}
        for queued in change.dequeued:
            of.queue.pop(queued.place, None)
        if change.settings is not None:
            of.settings, of.settings_life = change.settings, change.state.life


def _listed(entry: Listing | None, name: str, state: State, news: Relisting) -> Listing:
    if entry is None or news.is_born:
        entry = Listing(name, 0, 0)
    if news.is_emptied:
        entry = replace(entry, first_words="", model_title="")
    return replace(
        entry,
        created_at=state.created_at,
        last_activity=state.last_activity,
        life=state.life,
        epoch=state.epoch,
        first_words=entry.first_words or news.first_words,
    )
