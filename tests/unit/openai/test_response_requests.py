"""Requests of the Responses and Conversations APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.models import PromptMessage, ToolCall
from copilotedge.openai.response_requests import parse_response
from copilotedge.questions import Question
from copilotedge.settings import Settings

SETTINGS = Settings()


def question(said: Any = "Hello", **fields: Any) -> Question:
    return parse_response(json.dumps({"input": said} | fields), SETTINGS).question


def refusal(said: Any = "Hello", **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        question(said, **fields)
    return refused.value.code


def test_text_is_the_users_message():
    assert question() == Question((PromptMessage("user", "Hello"),), all_new=True)


def test_what_shapes_the_answer_is_asked_for():
    asked = question(model="m", temperature=0.25, max_output_tokens=9, instructions="Be kind.")
    assert (asked.model, asked.temperature, asked.max_tokens, asked.instructions) == ("m", 0.25, 9, "Be kind.")


def test_system_items_are_instructions_behind_the_requests_own():
    asked = question([{"role": "system", "content": "Two"}, {"role": "user", "content": "Hi"}], instructions="One")
    assert asked.instructions == "One\n\nTwo" and len(asked.messages) == 1


def test_options_have_the_names_and_shapes_of_chat_completions():
    asked = question(
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
        tool_choice="required",
        parallel_tool_calls=False,
        top_p=0.5,
        text={"format": {"type": "json_object"}, "verbosity": "low"},
    )
    assert json.loads(asked.options) == {
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "top_p": 0.5,
    }


def test_plain_text_needs_no_option():
    assert question(text={"format": {"type": "text"}}).options == ""


def test_calls_join_the_answer_before_them():
    said = [
        {"role": "user", "content": "How warm?"},
        {"role": "assistant", "content": "Let me see."},
        {
            "type": "function_call",
            "call_id": "c-1",
            "name": "weather",
            "arguments": "{}",
            "id": "fc_1",
            "status": "completed",
        },
        {"type": "function_call_output", "call_id": "c-1", "output": "12"},
    ]
    assert question(said).messages[1:] == (
        PromptMessage("assistant", "Let me see.", (ToolCall("c-1", "weather", "{}"),)),
        PromptMessage("tool", "12", tool_call_id="c-1"),
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"said": 5}, "invalid_request"),
        ({"said": ""}, "invalid_message"),
        ({"said": [5]}, "invalid_request"),
        ({"said": [{"role": "user"}]}, "invalid_content"),
        ({"said": [{"role": "critic", "content": "x"}]}, "invalid_role"),
        ({"said": [{"type": 5}]}, "unsupported_item"),
        ({"said": [{"role": "user", "content": [{"type": "input_image"}]}]}, "unsupported_content"),
        ({"tools": [{"type": "mcp"}]}, "unsupported_tool"),
        ({"tools": [{"type": "function"}]}, "invalid_request"),
        ({"tool_choice": {"type": "allowed_tools"}}, "invalid_request"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_request"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "invalid_request"),
    ],
)
def test_what_is_not_understood_is_refused(fields: dict[str, Any], code: str):
    assert refusal(**fields) == code


def test_long_messages_are_too_large():
    with pytest.raises(RequestTooLarge):
        question("x" * (SETTINGS.max_message_characters + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
ITEM = st.dictionaries(
    st.sampled_from(["type", "role", "content", "call_id", "name", "arguments", "output"]),
    JSON | st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "user", "assistant"]),
)


@given(st.lists(ITEM, max_size=4) | JSON)
def test_anything_is_either_understood_or_refused(said: Any):
    try:
        asked = question(said)
    except InvalidRequest:
        return
    assert asked.new.role in ("user", "tool")
