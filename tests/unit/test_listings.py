"""What a change of a conversation means for its entry in its owner's list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.listings import WORDS_CHARACTERS, Relisting, cut, first_words, one_line, relisting
from copilotedge.models import Change, Message, Snapshot
from copilotedge.transitions import LIST_EVERY_MS, Rules, clear, delete
from copilotedge.transitions.steps import born, new_turn, next_state, touch
from tests.fakes import START

RULES = Rules()
STATE = touch(born(RULES, START), RULES, START)


def said(content: str, role="user") -> Message:
    return Message(1, role, content, START, "m1")


def news(change: Change) -> Relisting | None:
    return relisting(change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", "Hello"),
        ("  How\r\n are\tyou?\u2028", "How are you?"),
        ("a" * 70, "a" * 60 + "…"),
        ("word " * 20, "word " * 11 + "word…"),
        ("x" * 60, "x" * 60),
        (" \n ", ""),
        ("\0\x1b[31mred\u202e", "[31mred"),
        ("👩\u200d🚀 in space", "👩\u200d🚀 in space"),
    ],
)
def test_the_first_words_of_a_message(text, words):
    assert first_words(text) == words
    assert len(words) <= WORDS_CHARACTERS + 1


def test_a_long_message_is_not_read_to_its_end():
    assert first_words("word " * 1_000_000) == first_words("word " * 100)


@pytest.mark.parametrize(("line", "expected"), [("ab cd", "ab"), ("abcd", "abc"), ("abc", "abc"), ("abc d", "abc")])
def test_a_line_is_cut_between_words_where_there_are_some(line, expected):
    assert cut(line, 3) == expected


def test_what_is_not_seen_is_not_kept():
    assert one_line("a\u202eb\ud800c\N{NO-BREAK SPACE}d\x07") == "a b c d"


def test_a_birth_lists_the_first_thing_that_the_user_says():
    messages = (said("Be brief", "system"), said("Hello there"), said("And"))
    assert news(Change(None, STATE, messages=messages)) == Relisting(is_born=True, first_words="Hello there")
    assert news(Change(None, STATE)) == Relisting(is_born=True)


def test_a_new_life_is_a_birth_even_while_a_turn_of_the_old_one_runs():
    running = replace(STATE, turn=new_turn("t", "m", 1, "holder", RULES, START))
    assert news(delete(Snapshot(running), "me", RULES, START)) == Relisting(is_born=True)


def test_a_clear_takes_the_titles_made_of_messages():
    assert news(clear(Snapshot(STATE), "me", RULES, START)) == Relisting(is_emptied=True)


@pytest.mark.parametrize(
    ("messages_before", "expected"), [(0, Relisting(first_words="Hi")), (1, Relisting(first_words="Hi")), (2, None)]
)
def test_words_are_listed_when_they_may_be_the_first(messages_before, expected):
    before = replace(STATE, message_count=messages_before)
    assert news(Change(before, next_state(before), messages=(said("Hi"),))) == expected
    assert news(Change(before, next_state(before), messages=(said("Hi", "assistant"), said(" ")))) is None


def test_use_lists_a_conversation_anew_now_and_then():
    later = START + LIST_EVERY_MS
    old = replace(STATE, message_count=9)
    assert news(Change(old, touch(next_state(old), RULES, later - 1))) is None
    assert news(Change(old, touch(next_state(old), RULES, later))) == Relisting()
    change = Change(old, touch(next_state(old), RULES, later), messages=(said("Late"),))
    assert news(change) == Relisting(first_words="Late")
