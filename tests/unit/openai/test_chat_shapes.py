"""OpenAI's shapes of a reply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from copilotedge.answering import CallWords, Reply, Words
from copilotedge.errors import TurnFailed
from copilotedge.models import ToolCall, Usage
from copilotedge.openai.chat_shapes import Chunks, completion, event_stream, model

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


def test_the_usage_has_the_cost_where_it_is_known():
    assert completion(replace(REPLY, cost=6_955), "c1")["usage"]["cost_usd"] == 0.000006955
    assert chunks(replace(REPLY, cost=0))[-1]["usage"]["cost_usd"] == 0


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


CALL = ToolCall("call-1", "weather", '{"city":"Oslo"}')
PIECES = [CallWords(0, '{"city":', "call-1", "weather"), CallWords(0, '"Oslo"}')]


def chunker() -> Chunks:
    return Chunks("t1", 0, "asked", "", include_usage=False)


def test_an_answer_that_only_calls_has_no_content():
    [choice] = completion(Reply("t1", "", "m", 0, finish_reason="tool_calls", tool_calls=(CALL,)), "")["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": CALL.arguments}}
        ],
    }


def test_a_call_names_itself_in_its_first_piece_only():
    deltas = [chunker().piece(piece)["choices"][0]["delta"]["tool_calls"][0] for piece in PIECES]
    assert deltas == [
        {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": '"Oslo"}'}},
    ]


def test_the_rest_is_what_no_piece_brought():
    chunks = chunker()
    chunks.piece(Words("Let ", 0))
    answer = Reply("t1", "Let me see.", "answered", 0, finish_reason="tool_calls", tool_calls=(CALL,))
    text, call, end = chunks.rest(answer)
    assert text["choices"][0]["delta"] == {"content": "me see."}
    assert call["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == CALL.arguments
    assert (end["choices"][0]["finish_reason"], end["model"]) == ("tool_calls", "answered")


def test_words_that_were_sent_cannot_be_taken_back():
    chunks = chunker()
    chunks.piece(Words("Once", 0, 1))
    with pytest.raises(TurnFailed) as restarted:
        chunks.piece(Words("Upon", 0, 2))
    assert restarted.value.code == "answer_restarted"


def test_a_models_owner_is_in_its_name():
    owners = [model(name)["owned_by"] for name in ("@cf/meta/llama-3.1-8b-instruct", "@hf/google/gemma-7b", "llama3.2")]
    assert owners == ["meta", "google", "unknown"]
