"""The response object."""

from __future__ import annotations

import json
from typing import Any

from openai.types.responses import Response
from pydantic import TypeAdapter

from copilotedge.answering import Reply
from copilotedge.errors import ModelUnavailable
from copilotedge.models import ToolCall, Usage
from copilotedge.openai.response_shapes import ResponseHead, ended, failed, unfinished

OFFICIAL: TypeAdapter[Any] = TypeAdapter(Response)
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}
OPTIONS = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": {}}},
    "top_p": 0.5,
}
HEAD = ResponseHead("resp_1", 1_800_000_000_999, "c1", "asked", "Be kind.", json.dumps(OPTIONS), 0.5, 9)
REPLY = Reply(
    "t1", "Hi.", "answered", 1_800_000_001_000, "alice/c1", usage=Usage(10, 5), answer_id="t1-1", cost=1_500_000_000
)


def test_the_official_client_reads_all_of_them():
    for shape in (unfinished(HEAD, "queued"), ended(HEAD, REPLY)):
        assert OFFICIAL.validate_python(shape).id == "resp_1"


def test_what_was_asked_with_is_told_in_responses_own_shape():
    shape = unfinished(HEAD, "in_progress")
    assert shape["tools"] == [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}]
    assert shape["tool_choice"] == {"type": "function", "name": "weather"}
    assert shape["text"] == {"format": {"type": "json_schema", "name": "city", "schema": {}}}
    assert (shape["top_p"], shape["temperature"], shape["max_output_tokens"]) == (0.5, 0.5, 9)


def test_an_answer_tells_who_gave_it_when_and_what_it_took():
    shape = ended(HEAD, REPLY)
    assert (shape["model"], shape["created_at"], shape["completed_at"]) == ("answered", 1_800_000_000, 1_800_000_001)
    assert (shape["usage"]["total_tokens"], shape["usage"]["cost_usd"]) == (15, 1.5)


def test_calls_alone_are_its_output():
    called = Reply("t1", "", "m", 0, "alice/c1", tool_calls=(ToolCall("c-1", "f", "{}"),), answer_id="t1-1")
    assert [item["type"] for item in ended(HEAD, called)["output"]] == ["function_call"]


def test_a_failure_has_our_code():
    shape = failed(HEAD, ModelUnavailable("The model is away."))
    assert (shape["status"], shape["error"]["code"]) == ("failed", "model_unavailable")
    assert Response.construct(**shape).error is not None


def test_without_a_conversation_nothing_is_stored():
    shape = ended(ResponseHead("resp_1", 0), Reply("t1", "Hi.", "m", 0))
    assert (shape["store"], shape["conversation"], shape["output"][0]["id"]) == (False, None, "msg_t1")
