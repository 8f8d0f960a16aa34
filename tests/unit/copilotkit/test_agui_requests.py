import json
from typing import Any

import pytest

from copilotedge.copilotkit.agui_requests import (
    change_of,
    message_id_of,
    new_messages,
    parse_run,
    question_of,
    whole_question_of,
)
from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.models import Marks, PromptMessage, ToolCall
from copilotedge.settings import Settings

OURS = "0" * 32 + "-1"
SETTINGS = Settings()
COLOR = {"name": "setColor", "description": "Paints.", "parameters": {"type": "object"}}


def run(*messages: dict[str, Any], **fields: Any):
    return parse_run({"threadId": "t", "runId": "r", "messages": [*messages], **fields})


def user(content: Any, message_id: str = "u") -> dict[str, Any]:
    return {"id": message_id, "role": "user", "content": content}


def assistant(content: str, message_id: str = OURS, **more: Any) -> dict[str, Any]:
    return {"id": message_id, "role": "assistant", "content": content} | more


def test_only_what_comes_after_our_last_answer_is_new():
    asked = run(user("One", "u-1"), assistant("1"), user("Two", "u-2"))
    assert question_of(asked, SETTINGS).messages == (PromptMessage("user", "Two"),)
    assert message_id_of(asked) == "u-2"


def test_history_of_another_backend_comes_along():
    question = question_of(run(user("One"), assistant("1", "not-ours"), user("Two")), SETTINGS)
    assert [message.role for message in question.messages] == ["user", "assistant", "user"]


def test_answers_that_look_like_ours_are_never_stored_again():
    asked = run(assistant("I never said this"), user("Two"))
    assert [message.content for message in question_of(asked, SETTINGS).messages] == ["Two"]


def test_results_of_tools_name_their_calls():
    call = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"id": "t-1", "role": "tool", "toolCallId": "c-1", "content": "done"}
    asked = run(user("Go"), assistant("", toolCalls=[call]), result)
    assert question_of(asked, SETTINGS).messages == (PromptMessage("tool", "done", (), "c-1"),)


def test_calls_of_a_foreign_history_keep_their_arguments():
    call = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = question_of(run(assistant("", "foreign", toolCalls=[call]), user("And?")), SETTINGS).messages
    assert messages[0].tool_calls == (ToolCall("c-1", "f", '{"a": 1}'),)


def test_tools_become_options_with_the_choice_that_the_app_forwards():
    asked = run(user("Go"), tools=[COLOR], forwardedProps={"toolChoice": "required"})
    options = json.loads(question_of(asked, SETTINGS).options)
    assert options == {"tools": [{"type": "function", "function": COLOR}], "tool_choice": "required"}


def test_a_tool_without_a_schema_takes_nothing():
    options = json.loads(question_of(run(user("Go"), tools=[{"name": "f"}]), SETTINGS).options)
    assert options["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_without_tools_there_is_nothing_to_choose():
    assert question_of(run(user("Go"), forwardedProps={"toolChoice": "required"}), SETTINGS).options == ""


def test_context_and_system_messages_are_instructions():
    system = {"id": "s", "role": "system", "content": "Be kind."}
    context = [{"description": "The page", "value": "is red"}]
    asked = run(system, {"id": "d", "role": "developer", "content": "Be short."}, user("Go"), context=context)
    assert question_of(asked, SETTINGS).instructions == "Be kind.\n\nBe short.\n\nThe page: is red"


def test_a_system_message_of_the_log_is_not_said_twice():
    shown = {"id": "0" * 32, "role": "system", "content": "Be kind."}
    assert question_of(run(shown, user("Go")), SETTINGS).instructions == ""


def test_forwarded_properties_choose_the_model():
    asked = run(user("Go"), forwardedProps={"model": "m", "temperature": 0.25, "maxTokens": 9, "theirs": [1]})
    question = question_of(asked, SETTINGS)
    assert (question.model, question.temperature, question.max_tokens) == ("m", 0.25, 9)


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]
    assert question_of(run(user(parts)), SETTINGS).new.content == "What now?"


def test_an_image_is_refused_with_its_own_code():
    image = {"type": "image", "source": {"type": "url", "value": "https://example.com/a.png"}}
    with pytest.raises(InvalidRequest) as refusal:
        question_of(run(user([{"type": "text", "text": "See"}, image])), SETTINGS)
    assert refusal.value.code == "unsupported_content"


def test_an_image_that_was_answered_elsewhere_does_not_spoil_what_is_said_now():
    image = [{"type": "text", "text": "See"}, {"type": "image"}]
    question = question_of(run(user(image), assistant("A cat", "foreign"), user("Sure?")), SETTINGS)
    assert question.messages[0] == PromptMessage("user", "See")


@pytest.mark.parametrize("messages", [(), (user("One"), assistant("1")), ({"id": "a", "role": "activity"},)])
def test_a_run_without_a_new_message_is_refused(messages):
    with pytest.raises(InvalidRequest, match="no new message"):
        question_of(run(*messages), SETTINGS)


def test_a_message_that_is_too_long_is_refused():
    with pytest.raises(RequestTooLarge):
        question_of(run(user("x" * 10_001)), SETTINGS)


def test_more_history_than_a_request_may_carry_is_cut_from_its_beginning():
    asked = run(*(user(f"{number}", f"u-{number}") for number in range(300)))
    question = question_of(asked, SETTINGS)
    assert len(question.messages) == SETTINGS.max_messages_per_request
    assert question.new.content == "299"


def test_reasoning_and_activities_are_no_messages():
    given = run({"id": "r", "role": "reasoning", "content": "Hm"}, user("Go"), {"id": "a", "role": "activity"})
    assert [message.id for message in new_messages(given.messages)] == ["u"]


@pytest.mark.parametrize("message_id", ["", "with space", "x" * 129, "é"])
def test_an_id_that_cannot_serve_is_none(message_id):
    assert message_id_of(run(user("Go", message_id))) == ""


def test_outside_of_a_conversation_our_answers_come_along():
    asked = run(user("One"), assistant("1"), user("Two"))
    assert [m.content for m in whole_question_of(asked, SETTINGS).messages] == ["One", "1", "Two"]


def test_suggestions_are_known_by_the_tool_that_must_be_called():
    choice = {"type": "function", "function": {"name": "copilotkitSuggest"}}
    assert run(user("Go"), forwardedProps={"toolChoice": choice}).asks_for_suggestions
    assert not run(user("Go"), forwardedProps={"toolChoice": {"function": 1}}).asks_for_suggestions


def test_version_1_requires_no_more_than_three_fields():
    asked = parse_run({"threadId": "t", "runId": "r", "messages": [], "protocolVersion": "1.0"})
    assert (asked.tools, asked.agent_state) == (None, {})


@pytest.mark.parametrize("broken", [{"threadId": 1}, {"messages": {}}, {"messages": [{"id": "a", "role": "robot"}]}])
def test_what_is_no_run_is_refused_and_not_repeated(broken):
    with pytest.raises(InvalidRequest):
        parse_run({"threadId": "t", "runId": "r", "messages": []} | broken)


def test_a_name_is_a_title_and_null_makes_it_automatic_again():
    assert change_of({"agentId": "default", "name": "A trip"}) == Marks(title="A trip")
    assert change_of({"name": None, "archived": False}) == Marks(title="", archived=False)
    with pytest.raises(InvalidRequest):
        change_of({"name": " "})
