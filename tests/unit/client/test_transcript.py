"""What the Python client makes of the frames that arrive."""

from __future__ import annotations

import random
from typing import Any

import pytest

from copilotedge_client.messages import Frame
from copilotedge_client.transcript import Transcript

TEXT = "One 😀 two 👩‍👩‍👧 thre\u0301e — four 🎉. " * 20


def delta(text: str, offset: int, attempt: int = 1) -> Frame:
    return {"type": "delta", "content": text, "metadata": {"turnId": "turn-1", "attempt": attempt, "offset": offset}}


def piece(start: int, end: int) -> Frame:
    return delta(TEXT[start:end], start)


def chat(role: str, content: str, seq: int, turn_id: str = "turn-1", **more: Any) -> Frame:
    about = {"seq": seq, "messageId": f"m-{seq}", "turnId": turn_id, "epoch": "epoch-1", **more}
    return {"type": "chat", "role": role, "content": content, "metadata": about}


def transcript(*frames: Frame) -> Transcript:
    known = Transcript()
    for frame in frames:
        known.receive(frame)
    return known


@pytest.mark.parametrize("seed", range(50))
def test_an_answer_is_exact_whatever_is_repeated_overlaps_comes_early_or_is_lost(seed: int):
    chance, known, at = random.Random(seed), transcript(delta("", 0)), 0
    while at < len(TEXT):
        end = min(len(TEXT), at + chance.randint(1, 40))
        start = max(0, at - chance.randint(0, 30))
        for _ in range(chance.choice([0, 1, 1, 2])):
            known.receive(piece(start, end))
        at = end
        if known.needs_resume or at == len(TEXT):
            known.receive(piece(known.resume_request()["metadata"]["offset"], at))
    assert known.turn and known.turn.text == TEXT


def test_a_delta_behind_a_hole_asks_to_resume_from_the_hole():
    known = transcript(piece(0, 5), piece(9, 12))
    assert known.needs_resume
    where = {"turnId": "turn-1", "attempt": 1, "offset": 5}
    assert known.resume_request()["metadata"] == {"afterSeq": 0} | where


def test_a_higher_attempt_begins_anew_and_late_words_of_the_lower_one_are_ignored():
    known = transcript(piece(0, 9), delta("Twice", 0, attempt=2), piece(5, 20))
    assert known.turn and (known.turn.text, known.turn.attempt) == ("Twice", 2)


def test_late_words_of_a_turn_that_is_over_begin_nothing():
    assert transcript(chat("assistant", "Done.", 2), piece(0, 4)).turn is None


def test_a_message_that_comes_twice_is_gained_once():
    known, frame = Transcript(), chat("user", "Hello", 1)
    assert known.receive(frame) and not known.receive(frame)


def test_parts_make_one_message_in_whatever_order_they_come():
    known = Transcript()
    for number, content in ((3, "three"), (1, "one "), (2, "two ")):
        gained = known.receive(chat("assistant", content, 1, part=number, parts=3))
    assert gained and gained.content == "one two three"


def test_a_message_that_was_never_told_is_missed():
    known = transcript(chat("user", "one", 1), chat("user", "three", 3))
    assert known.needs_resume and known.last_seq == 1


def test_an_answer_takes_the_place_of_the_one_that_it_replaces_for_good():
    once, twice = chat("assistant", "Once.", 2), chat("assistant", "Twice.", 3, "turn-2", replaces=2)
    known = transcript(chat("user", "Hello", 1), once, twice, once)
    assert [message.content for message in known.messages] == ["Hello", "Twice."]


def test_a_clear_leaves_what_the_server_has_not_taken_and_nothing_of_the_life_before_comes_back():
    known = transcript(chat("user", "old", 1), piece(0, 5))
    known.compose("m-2", "unsent")
    known.receive({"type": "system", "content": "conversation_cleared", "metadata": {"epoch": "epoch-2"}})
    known.receive(chat("assistant", "late", 2))
    assert (known.messages, known.turn, known.lives) == ([], None, 1)
    assert [message.id for message in known.pending] == ["m-2"]


def test_of_ones_own_messages_one_goes_out_at_a_time():
    known = Transcript()
    known.compose("m-1", "one")
    known.compose("m-2", "two")
    first = known.next_to_send()
    about = {"messageId": "m-1", "turnId": "turn-1", "position": 1}
    known.receive({"type": "status", "status": "queued", "metadata": about})
    second = known.next_to_send()
    assert first and second and (first.id, second.id) == ("m-1", "m-2")
