"""What users use, in memory: the plain model that the counters in DynamoDB are held against."""

from __future__ import annotations

from collections import Counter, defaultdict

from copilotedge.models import Tally
from copilotedge.ports import Clock, ConversationStore

SOCKET_MS = 7_800_000


class MemoryUsage:
    """Implements ``ports.UsageStore``; ``store`` lists the conversations' sockets."""

    def __init__(self, clock: Clock, store: ConversationStore) -> None:
        self._clock = clock
        self._store = store
        self._messages: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._tokens: Counter[tuple[str, int]] = Counter()
        self._daily: Counter[tuple[str, int]] = Counter()
        self._sockets: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.requests = 0

    async def take(self, user: str, slot: int, oldest: int, day: int) -> Tally:
        self.requests += 1
        counted = self._messages[user]
        counted[slot] += 1
        self._daily[user, day] += 1
        messages = {n: count for n, count in counted.items() if n >= oldest and count}
        return Tally(messages, self._tokens[user, day], is_first_today=self._daily[user, day] == 1)

    async def give_back(self, user: str, slot: int, day: int) -> None:
        self.requests += 1
        self._messages[user][slot] -= 1

    async def spend(self, user: str, day: int, tokens: int) -> None:
        self.requests += 1
        self._tokens[user, day] += tokens

    async def tokens(self, user: str, day: int) -> int:
        self.requests += 1
        return self._tokens[user, day]

    async def open_socket(self, user: str, connection_id: str, token_expires: int) -> None:
        self.requests += 1
        longest = self._clock() + SOCKET_MS
        self._sockets[user][connection_id] = min(longest, token_expires or longest)

    async def close_socket(self, user: str, connection_id: str) -> None:
        self.requests += 1
        self._sockets[user].pop(connection_id, None)

    async def sockets_of_user(self, user: str) -> int:
        self.requests += 1
        return sum(ends > self._clock() for ends in self._sockets[user].values())

    async def sockets_of_conversation(self, conversation_id: str) -> int:
        self.requests += 1
        return len(await self._store.connections(conversation_id))

    async def forget(self, user: str) -> tuple[str, ...]:
        self.requests += 1
        return tuple(self._sockets.pop(user, {}))
