"""Users, as tokens name them."""

from __future__ import annotations

import pytest

from copilotedge.identity import ANONYMOUS, USER, Identity


@pytest.mark.parametrize("user", ["alice", ANONYMOUS, "auth0|5f7c", "a@b.example", "~/!", "x" * 128])
def test_visible_ascii_names_a_user(user):
    assert USER.fullmatch(user)


@pytest.mark.parametrize("user", ["", "x" * 129, "two words", "line\n", "tab\t", "n\x00", "zoë", "\x7f"])
def test_nothing_else_does(user):
    assert not USER.fullmatch(user)


def test_an_identity_is_for_ever_unless_it_says_otherwise():
    assert Identity("alice").expires_at == 0
