"""Who may enter which conversation. Its owner may do everything; members what its owner allowed them."""

from __future__ import annotations

from typing import Literal

from copilotedge.addresses import address_of, address_of_key
from copilotedge.errors import Forbidden, NotFound
from copilotedge.ports import ConversationStore

Need = Literal["read", "write", "own"]


class Door:
    """Costs owners no request, members one. Whoever is neither cannot tell whether the conversation exists."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    async def open(self, user: str, conversation_id: str, need: Need) -> str:
        """The key of what ``user`` calls so. Raises ``InvalidRequest``, ``NotFound``, ``Forbidden``."""
        key = address_of(user, conversation_id).key
        await self.check(user, key, need)
        return key

    async def check(self, user: str, key: str, need: Need) -> None:
        """Raises ``NotFound`` for strangers, ``Forbidden`` for members who may not do this."""
        if address_of_key(key).owner == user:
            return
        state = await self._store.state(key)
        role = state.members.get(user) if state else None
        if role is None:
            raise NotFound("There is no such conversation.")
        if need == "own":
            raise Forbidden("Only the conversation's owner may do this.", code="not_owner")
        if need == "write" and role != "write":
            raise Forbidden("You may read this conversation, not change it.", code="read_only")
