"""Where a conversation lives: in the namespace of its owner.

Every user has conversation ids of their own, so asking for an id that somebody else uses is asking for a conversation
that does not exist. A shared one is addressed by its members as ``<owner>~<id>``. Inside, a conversation is known by
its key, ``<owner>/<id>``; only the edges translate. An id has neither ``~`` nor ``/``, an owner may have both.
"""

from __future__ import annotations

from collections.abc import Container

from copilotedge.errors import InvalidRequest
from copilotedge.identity import USER
from copilotedge.ids import check_conversation_id
from copilotedge.values import dataclass

FOR_ONE_RESPONSE = "resp_"
"""Ids of conversations that nobody has named begin so."""


@dataclass(frozen=True, slots=True)
class Address:
    """``name`` is the conversation id as its owner gives it."""

    owner: str
    name: str

    @property
    def key(self) -> str:
        """What the core calls ``conversation_id``."""
        return f"{self.owner}/{self.name}"

    @property
    def shared_id(self) -> str:
        """What its members call it."""
        return f"{self.owner}~{self.name}"

    def seen_by(self, user: str) -> str:
        return self.name if user == self.owner else self.shared_id


def address_of(user: str, conversation_id: str) -> Address:
    """What ``user`` means by this id. Raises ``InvalidRequest`` for one that is not well-formed."""
    owner, shared, name = conversation_id.rpartition("~")
    if shared and not USER.fullmatch(owner):
        raise InvalidRequest("The owner in front of ~ is not a user.", code="invalid_conversation_id")
    return Address(owner if shared else user, check_conversation_id(name))


def is_for_one_response(key: str) -> bool:
    """Whether a conversation was made for a response that named none; nobody will look for it in a list."""
    return address_of_key(key).name.startswith(FOR_ONE_RESPONSE)


def may_hear(user: str, key: str, members: Container[str]) -> bool:
    """Whether ``user`` is the conversation's owner, or among its members."""
    return user in members or user == address_of_key(key).owner


def address_of_key(key: str) -> Address:
    owner, _, name = key.rpartition("/")
    return Address(owner, name)
