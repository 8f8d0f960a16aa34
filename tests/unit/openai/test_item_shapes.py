"""Messages of the log as items."""

from __future__ import annotations

from copilotedge.models import Message, ToolCall
from copilotedge.openai.item_shapes import item_list, items_of, message_id_of

CALLS = (ToolCall("call-1", "weather", '{"city":"Oslo"}'), ToolCall("call-2", "time", "{}"))


def test_a_question_is_a_message_with_input_text():
    assert items_of(Message(1, "user", "Hello", 0, "m1")) == [
        {
            "id": "msg_m1",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello"}],
        }
    ]


def test_an_answer_is_a_message_with_output_text():
    [item] = items_of(Message(2, "assistant", "Hi.", 0, "t1-1"))
    assert (item["id"], item["role"], item["status"]) == ("msg_t1-1", "assistant", "completed")
    assert item["content"] == [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}]


def test_an_answer_that_was_cut_short_is_incomplete():
    cut = [items_of(Message(2, "assistant", "Hi", 0, "t1-1", status=status)) for status in ("incomplete", "cancelled")]
    assert [item["status"] for [item] in cut] == ["incomplete", "incomplete"]


def test_calls_are_items_behind_the_text_that_came_with_them():
    items = items_of(Message(2, "assistant", "Let me see.", 0, "t1-1", tool_calls=CALLS))
    assert [item["id"] for item in items] == ["msg_t1-1", "fc_t1-1-0", "fc_t1-1-1"]
    assert items[1] == {
        "id": "fc_t1-1-0",
        "type": "function_call",
        "status": "completed",
        "call_id": "call-1",
        "name": "weather",
        "arguments": '{"city":"Oslo"}',
    }


def test_calls_without_text_are_no_message():
    assert [item["type"] for item in items_of(Message(2, "assistant", "", 0, "t1-1", tool_calls=CALLS))] == [
        "function_call",
        "function_call",
    ]


def test_a_tools_result_is_an_output():
    [item] = items_of(Message(3, "tool", "12 degrees", 0, "m2", tool_call_id="call-1"))
    assert item == {
        "id": "fco_m2",
        "type": "function_call_output",
        "status": "completed",
        "call_id": "call-1",
        "output": "12 degrees",
    }


def test_an_item_tells_its_message():
    assert [message_id_of(item_id) for item_id in ("msg_t1-1", "fc_t1-1-0", "fco_m2", "m2", "")] == [
        "t1-1",
        "t1-1",
        "m2",
        "",
        "",
    ]


def test_a_list_tells_its_first_and_last_item():
    items = items_of(Message(2, "assistant", "Let me see.", 0, "t1-1", tool_calls=CALLS))
    listed = item_list(items, more=True)
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("msg_t1-1", "fc_t1-1-1", True)
    assert item_list([], more=False)["first_id"] is None
