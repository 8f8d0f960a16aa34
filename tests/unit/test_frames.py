"""Frames that the server sends, and how they fit the gateway."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilotedge import frames
from copilotedge.errors import ModelError, QueueFull
from copilotedge.models import Message, Turn

TURN = Turn("t1", "m1", 1, "me", 2)
QUESTION = Message(1, "user", "Hi", 5, "m1", "t1")
ANSWER = Message(2, "assistant", "Hello", 6, "t1-2", "t1", 15, 10, "complete", "a-model", 7, "secret")
LONG = ["x" * 300_000, "🎉" * 100_000, "\x00" * 50_000, '"\\' * 90_000, "é\n🎉\u2028" * 40_000, "x" * 131_000]


def encoded(frame: frames.Frame) -> list[frames.Frame]:
    """What a client parses, after every frame was found small enough."""
    parts = frames.encode(frame)
    assert all(len(part) <= frames.MAX_FRAME_BYTES for part in parts)
    return [json.loads(part) for part in parts]


def test_a_chat_frame_tells_all_that_clients_may_know_of_a_message():
    frame = frames.chat(ANSWER, "e1")
    assert (frame["type"], frame["role"], frame["content"]) == ("chat", "assistant", "Hello")
    assert frame["metadata"] == {
        "timestamp": 6,
        "tokens": 15,
        "messageId": "t1-2",
        "seq": 2,
        "turnId": "t1",
        "status": "complete",
        "model": "a-model",
        "replaces": 7,
        "epoch": "e1",
    }


def test_optional_metadata_is_left_out_when_it_says_nothing():
    assert not {"model", "replaces", "instructions"} & frames.message_metadata(QUESTION).keys()


@pytest.mark.parametrize(("cost", "told"), [(None, None), (0, 0.0), (6_955, 0.000006955)])
def test_an_answer_tells_its_cost_where_it_is_known(cost, told):
    assert frames.message_metadata(replace(ANSWER, cost=cost)).get("costUsd") == told


def test_a_delta_tells_its_place():
    assert frames.delta(TURN, 3, 40, "ab") == {
        "type": "delta",
        "content": "ab",
        "metadata": {"turnId": "t1", "attempt": 2, "index": 3, "offset": 40},
    }


def test_a_status_names_turn_message_and_attempt():
    frame = frames.status("thinking", TURN)
    assert (frame["status"], frame["metadata"]) == ("thinking", {"turnId": "t1", "messageId": "m1", "attempt": 2})


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("complete", "complete", "complete"),
        ("complete", "incomplete", "complete"),
        ("complete", "cancelled", "cancelled"),
        ("failed", None, "failed"),
        ("cancelled", None, "cancelled"),
    ],
)
def test_a_repeated_message_hears_how_its_turn_ended(question, answer, expected):
    asked = Message(1, "user", "Hi", 5, "m1", "t1", status=question)
    last = Message(2, "assistant", "", 5, "a", "t2", status=answer) if answer else asked
    frame = frames.ended(asked, last)
    assert (frame["status"], frame["metadata"]) == (expected, {"turnId": last.turn_id, "messageId": "m1"})


def test_a_withdrawn_message_is_told_as_cancelled():
    frame = frames.withdrawn("t1", "m1")
    assert (frame["type"], frame["status"], frame["metadata"]["messageId"]) == ("status", "cancelled", "m1")


def test_a_queued_frame_tells_the_place():
    assert frames.queued("t1", "m1", 3)["metadata"] == {"turnId": "t1", "messageId": "m1", "position": 3}


def test_a_system_frame_has_metadata_only_when_there_is_some():
    assert frames.system("pong") == {"type": "system", "content": "pong"}
    assert frames.system("history_cleared", epoch="e")["metadata"] == {"epoch": "e"}


def test_a_history_frame_has_entries_and_totals():
    frame = frames.history("c", "e", [QUESTION, ANSWER], 15, True)
    metadata = frame["metadata"]
    assert [entry["content"] for entry in metadata["messages"]] == ["Hi", "Hello"]
    assert (metadata["conversationId"], metadata["epoch"], metadata["totalTokens"], metadata["hasMore"]) == (
        "c",
        "e",
        15,
        True,
    )


def test_an_error_frame_has_text_for_people_and_a_code_for_programs():
    frame = frames.error(QueueFull("Too many.", retry_after=5), messageId="m1", turnId="")
    assert frame == {
        "type": "error",
        "error": "Too many.",
        "code": "queue_full",
        "retryAfter": 5,
        "metadata": {"messageId": "m1"},
    }


def test_an_error_frame_says_nothing_of_the_operators_detail():
    frame = frames.error(ModelError("It failed.", detail="inside story"))
    assert frame == {"type": "error", "error": "It failed.", "code": "model_error"}


def test_a_small_frame_stays_one():
    assert encoded(frames.chat(ANSWER, "e")) == [frames.chat(ANSWER, "e")]


@pytest.mark.parametrize("text", LONG)
def test_the_parts_of_a_long_chat_joined_are_its_text(text):
    parts = encoded(frames.chat(Message(2, "assistant", text, 6, "a" * 128, "t1", model="m" * 200), "e1"))
    assert "".join(part["content"] for part in parts) == text
    assert [part["metadata"]["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert {part["metadata"]["parts"] for part in parts} == {len(parts)}
    assert {part["metadata"]["seq"] for part in parts} == {2}


@pytest.mark.parametrize("text", LONG)
def test_each_part_of_a_long_delta_tells_its_own_offset_in_characters(text):
    parts = encoded(frames.delta(TURN, 3, 40, text))
    assert "".join(part["content"] for part in parts) == text
    for part in parts:
        start = part["metadata"]["offset"] - 40
        assert text[start : start + len(part["content"])] == part["content"]


@settings(max_examples=40)
@given(st.text(max_size=50), st.integers(1, 6_000))
def test_any_text_comes_through_whole(text, times):
    parts = encoded(frames.delta(TURN, 0, 0, text * times))
    assert "".join(part["content"] for part in parts) == text * times


@pytest.mark.parametrize(
    ("sizes", "expected"), [([], 0), ([10, 10], 2), ([60_000, 60_000], 1), ([200_000], 1), ([10, 200_000], 1)]
)
def test_as_many_entries_share_a_frame_as_fit(sizes, expected):
    assert frames.fitting({"content": "x" * size} for size in sizes) == expected


def test_entries_that_fit_make_one_history_frame():
    messages = [Message(n, "assistant", "é\n" * 9_000, 5, f"m{n}") for n in range(50)]
    count = frames.fitting(frames.history_entry(message) for message in messages)
    assert 1 < count < 50
    assert len(encoded(frames.history("c" * 128, "e", messages[:count], 15, True))) == 1


def test_a_history_of_one_huge_answer_comes_in_parts():
    parts = encoded(frames.history("c", "e", [Message(1, "assistant", "你" * 90_000, 5, "m1")], 15, False))
    entries = [entry for part in parts for entry in part["metadata"]["messages"]]
    assert "".join(entry["content"] for entry in entries) == "你" * 90_000
    assert [(entry["part"], entry["parts"]) for entry in entries] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
