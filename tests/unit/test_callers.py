"""Who calls, by what the authorizer said."""

from __future__ import annotations

import pytest

from copilotedge.callers import caller
from copilotedge.errors import Unauthenticated
from copilotedge.identity import ANONYMOUS, Identity
from copilotedge.settings import Settings
from tests.fakes import START

JWT = Settings()


def test_a_user_whom_the_authorizer_knows_is_let_in_until_the_token_ends():
    assert caller({"user": "alice", "tokenExpires": str(START + 1)}, JWT, START) == Identity("alice", START + 1)


def test_a_token_without_an_end_has_none():
    assert caller({"user": "alice", "tokenExpires": "0", "refusal": ""}, JWT, START) == Identity("alice")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, "token_missing"),
        ({}, "token_missing"),
        ({"user": ""}, "token_missing"),
        ({"user": "", "refusal": "token_invalid"}, "token_invalid"),
        ({"user": "alice", "refusal": "token_expired"}, "token_expired"),
        ({"user": "alice", "tokenExpires": str(START)}, "token_expired"),
    ],
)
def test_everybody_else_is_refused(said, code):
    with pytest.raises(Unauthenticated) as caught:
        caller(said, JWT, START)
    assert caught.value.code == code


def test_without_authentication_everybody_is_the_same_user():
    assert caller({"user": "alice"}, Settings(auth_mode="none"), START) == Identity(ANONYMOUS)
