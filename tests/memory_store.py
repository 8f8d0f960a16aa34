"""The conversation store in memory: the plain model that the DynamoDB store is held against."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from copilotedge.addresses import address_of_key
from copilotedge.errors import ReceiptExists, StateChanged
from copilotedge.models import (
    Change,
    Connection,
    ConversationSettings,
    Listing,
    Message,
    QueuedMessage,
    Receipt,
    Snapshot,
    State,
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
    listing: Listing | None = None
    listed_until: int = 0


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
        )

    async def state(self, conversation_id: str) -> State | None:
        self.requests += 1
        state = self._of(conversation_id).state
        return None if state is None or state.is_expired(self._clock()) else state

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

    async def listings(self, owner: str) -> tuple[Listing, ...]:
        now = self._clock() // 1000
        own = [of for key, of in self._conversations.items() if address_of_key(key).owner == owner]
        return tuple(of.listing for of in own if of.listing and of.listed_until > now)

    async def sweep(self, conversation_id: str) -> int:
        of, state = self._of(conversation_id), await self.state(conversation_id)
        before = len(of.messages) + len(of.queue) + len(of.receipts) + len(of.connections)
        epoch, floor = (state.epoch, state.seq - self._max_stored) if state else ("", 0)
        of.messages = {key: m for key, m in of.messages.items() if key[0] == epoch and key[1] > floor}
        of.queue = {place: queued for place, queued in of.queue.items() if queued.epoch == epoch}
        of.receipts = {name: receipt for name, receipt in of.receipts.items() if receipt.epoch == epoch}
        of.connections = of.connections if state else {}
        return before - len(of.messages) - len(of.queue) - len(of.receipts) - len(of.connections)

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
        elif change.state.listed_at != (change.expected.listed_at if change.expected else 0):
            name = address_of_key(conversation_id).name
            of.listing = Listing(name, change.state.created_at, change.state.last_activity)
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
