"""OpenAI's shapes of a reply."""

from __future__ import annotations

import json
from typing import Any

from copilotedge.models import Usage
from copilotedge.openai_shapes import completion, event_stream
from copilotedge.replies import Reply

REPLY = Reply("t1", "Hé\n\n🎉", "a-model", 1_800_000_000_999, "alice/c1", "length", Usage(10, 5))


def chunks(reply: Reply) -> list[dict[str, Any]]:
    """The stream's JSON payloads; it must end with ``[DONE]``."""
    *events, end = event_stream(reply, "c1").removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_completion_has_the_answer_its_end_and_its_usage():
    assert completion(REPLY, "c1") == {
        "id": "chatcmpl-t1",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": "a-model",
        "conversationId": "c1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hé\n\n🎉"}, "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def test_a_stateless_reply_names_no_conversation():
    assert "conversationId" not in completion(Reply("t1", "Hi", "m", 0), "")


def test_a_stream_says_role_then_text_then_end_then_usage():
    role, text, end, usage = chunks(REPLY)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text["choices"][0]["delta"] == {"content": "Hé\n\n🎉"}
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "length")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 15)


def test_only_the_last_choice_of_a_stream_tells_its_end():
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(REPLY)[:-1]] == [None, None, "length"]


def test_an_empty_answer_streams_no_text():
    assert len(chunks(Reply("t1", "", "m", 0))) == 3


def test_all_chunks_are_of_one_completion():
    heads = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks(REPLY)}
    assert heads == {("chatcmpl-t1", "chat.completion.chunk", 1_800_000_000, "a-model")}
