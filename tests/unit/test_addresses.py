"""Where a conversation lives: in its owner's namespace."""

from __future__ import annotations

import pytest

from copilotedge.addresses import Address, address_of, address_of_key
from copilotedge.errors import InvalidRequest


def test_the_same_id_of_two_users_means_two_conversations():
    assert address_of("alice", "x").key != address_of("bob", "x").key


@pytest.mark.parametrize("owner", ["alice", "auth0|5f", "https://issuer/users/7", "a~b", "~", "/"])
def test_a_shared_id_means_the_owners_conversation(owner: str):
    assert address_of("bob", f"{owner}~x") == Address(owner, "x")
    assert address_of(owner, "x").shared_id == f"{owner}~x"


@pytest.mark.parametrize("owner", ["alice", "https://issuer/users/7", "a~b", "/", "~"])
def test_a_key_tells_its_address(owner: str):
    address = Address(owner, "x")
    assert address_of_key(address.key) == address


def test_no_two_addresses_share_a_key():
    owners, names = ["a", "a/b", "b", "a/"], ["x", "b", "x.y"]
    addresses = [Address(owner, name) for owner in owners for name in names]
    assert len({address.key for address in addresses}) == len(addresses)


def test_everybody_sees_the_id_that_they_use():
    address = Address("alice", "x")
    assert (address.seen_by("alice"), address.seen_by("bob")) == ("x", "alice~x")


@pytest.mark.parametrize(
    "conversation_id", ["", "has spaces", "x" * 129, "a/b", "~x", "no one~x", f"{'u' * 129}~x", "a~"]
)
def test_an_id_that_is_not_well_formed_is_refused(conversation_id: str):
    with pytest.raises(InvalidRequest) as caught:
        address_of("alice", conversation_id)
    assert caught.value.code == "invalid_conversation_id"
