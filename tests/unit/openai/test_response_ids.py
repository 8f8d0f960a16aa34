"""Ids of responses."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.errors import NotFound
from copilotedge.openai.response_ids import decode, encode

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


@given(VISIBLE, VISIBLE)
def test_an_id_tells_the_conversation_and_the_message(known_as: str, message_id: str):
    response_id = encode(known_as, message_id)
    assert re.fullmatch(r"resp_[A-Za-z0-9_-]+", response_id)
    assert decode(response_id) == (known_as, message_id)


@given(st.text())
def test_what_is_no_id_is_not_found(text: str):
    with pytest.raises(NotFound):
        decode(text)


@pytest.mark.parametrize("names", ["", "\n", "c1\n", "\nm1", "c1"])
def test_an_id_without_conversation_or_message_is_not_found(names: str):
    with pytest.raises(NotFound):
        decode("resp_" + base64.urlsafe_b64encode(names.encode()).decode().rstrip("="))


def test_an_answer_that_is_not_kept_has_an_id_that_finds_nothing():
    with pytest.raises(NotFound):
        decode(encode("", "t1"))


def test_one_response_has_one_id():
    with pytest.raises(NotFound):
        decode(encode("c1", "m1") + "=")
    with pytest.raises(NotFound):
        decode(encode("c1", "m1").removeprefix("resp_"))
