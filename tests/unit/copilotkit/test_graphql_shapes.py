import json

import pytest

from copilotedge.answering import Pending, Reply
from copilotedge.copilotkit.agui_requests import question_of
from copilotedge.copilotkit.graphql_operations import operation_of
from copilotedge.copilotkit.graphql_shapes import (
    available_agents,
    generated,
    introspected,
    loaded,
    run_of,
    thread_asked_for,
)
from copilotedge.errors import InvalidRequest
from copilotedge.models import ToolCall
from copilotedge.settings import Settings

MUTATION = (
    "mutation generateCopilotResponse($data: GenerateCopilotResponseInput!) { generateCopilotResponse { threadId } }"
)
OURS = "0" * 32 + "-1"


def text(content: str, role: str = "user", message_id: str = "m-1") -> dict:
    return {"id": message_id, "createdAt": "2026-01-01", "textMessage": {"content": content, "role": role}}


def mutation(*messages: dict, **data) -> dict:
    return {"query": MUTATION, "variables": {"data": {"messages": [*messages], "metadata": {}} | data}}


def asked(*messages: dict, **data):
    return question_of(run_of(mutation(*messages, **data), "new"), Settings())


def test_an_operation_is_known_by_its_name_or_by_what_it_selects():
    assert operation_of({"operationName": "generateCopilotResponse"}) == "generateCopilotResponse"
    assert operation_of({"query": MUTATION}) == "generateCopilotResponse"
    assert operation_of({"query": "query { availableAgents { agents { id } } }"}) == "availableAgents"


def test_a_chat_is_no_graphql_whatever_else_it_says():
    assert operation_of({"messages": [], "query": MUTATION}) is None
    assert operation_of({"conversationId": "c"}) is None


def test_an_unknown_operation_is_refused():
    with pytest.raises(InvalidRequest):
        operation_of({"query": "{ secrets { all } }"})


def test_the_mutation_is_a_run():
    run = run_of(mutation(text("Hello"), threadId="t", runId="r"), "new")
    assert (run.thread_id, run.run_id, run.messages[0].id, run.messages[0].text) == ("t", "r", "m-1", "Hello")


def test_what_has_no_name_gets_one():
    run = run_of(mutation({"textMessage": {"content": "Hello", "role": "user"}}), "new")
    assert (run.thread_id, run.run_id, run.messages[0].id) == ("", "new", "new~0")


@pytest.mark.parametrize(
    "fields",
    [
        {"variables": {"messages": [text("Hello")]}},
        {"data": {"messages": [text("Hello")]}},
        {"variables": {"data": {"messages": [{"role": "USER", "content": "Hello"}]}}},
    ],
)
def test_older_places_of_the_messages_are_found(fields):
    assert run_of({"operationName": "generateCopilotResponse"} | fields, "new").messages[0].text == "Hello"


def test_a_task_of_instructions_alone_is_the_message():
    question = asked(text("Pick a color.", "system"))
    assert (question.new.role, question.new.content, question.instructions) == ("user", "Pick a color.", "")


def test_actions_are_tools_and_one_of_them_may_be_forced():
    action = {"name": "setColor", "description": "Paints.", "jsonSchema": '{"type": "object"}'}
    parameters = {"toolChoice": "function", "toolChoiceFunctionName": "setColor", "maxTokens": 9.0, "temperature": 1}
    question = asked(text("Go"), frontend={"actions": [action]}, forwardedParameters=parameters)
    options = json.loads(question.options)
    assert options["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert options["tool_choice"] == {"type": "function", "function": {"name": "setColor"}}
    assert (question.max_tokens, question.temperature) == (9, 1)


def test_an_action_whose_schema_is_no_json_takes_nothing():
    question = asked(text("Go"), frontend={"actions": [{"name": "f", "jsonSchema": "{"}]})
    assert '"properties":{}' in question.options


def test_an_execution_and_its_result_are_a_call_and_its_answer():
    executed = {"id": "c-1", "actionExecutionMessage": {"name": "f", "arguments": "{}", "parentMessageId": OURS}}
    result = {"id": "r-1", "resultMessage": {"actionExecutionId": "c-1", "actionName": "f", "result": "done"}}
    question = asked(text("Go"), executed, result)
    assert [(message.role, message.tool_call_id) for message in question.messages] == [("tool", "c-1")]


def test_images_and_agent_states_are_passed_over():
    given = [{"id": "a", "agentStateMessage": {}}, text("Hello"), {"id": "i", "imageMessage": {"bytes": ""}}]
    assert [message.content for message in asked(*given).messages] == ["Hello"]


def test_the_reply_has_everything_that_its_clients_select():
    reply = Reply("turn", "Hi", "m", 0, tool_calls=(ToolCall("c-1", "f", '{"a":1}'),), answer_id=OURS)
    response = generated(run_of(mutation(text("Hello")), "new"), "t", reply)["data"]["generateCopilotResponse"]
    said, called = response["messages"]
    assert (said["__typename"], said["id"], said["content"]) == ("TextMessageOutput", OURS, ["Hi"])
    assert (said["role"], said["status"]["code"], said["createdAt"]) == (
        "assistant",
        "Success",
        "1970-01-01T00:00:00.000Z",
    )
    assert (called["__typename"], called["id"], called["arguments"]) == (
        "ActionExecutionMessageOutput",
        "c-1",
        ['{"a":1}'],
    )
    assert called["parentMessageId"] == OURS and response["status"]["code"] == "Success"


def test_an_answer_that_takes_longer_is_pending():
    response = generated(run_of(mutation(text("Hello")), "new"), "t", Pending("alice/t", "turn", "m-1"))
    assert response["data"]["generateCopilotResponse"]["status"]["code"] == "Pending"
    assert response["data"]["generateCopilotResponse"]["messages"] == []


def test_the_one_agent_is_available():
    assert [agent["id"] for agent in available_agents()["data"]["availableAgents"]["agents"]] == ["default"]


def test_a_loaded_thread_is_text_of_messages_as_the_client_reads_them():
    call = {"id": "c-1", "function": {"name": "f", "arguments": '{"a":1}'}}
    broken = {"id": "c-2", "function": {"name": "f", "arguments": '{"a'}}
    entries = [
        {"id": "u", "role": "user", "content": "Go"},
        {"id": "a", "role": "assistant", "toolCalls": [call, broken]},
        {"id": "t", "role": "tool", "content": "done", "toolCallId": "c-1"},
    ]
    response = loaded("t", {"step": 1}, entries)["data"]["loadAgentState"]
    messages = json.loads(response["messages"])
    assert response["threadExists"] and json.loads(response["state"]) == {"step": 1}
    assert [message.get("arguments") for message in messages] == [None, {"a": 1}, {}, None]
    assert messages[-1]["actionExecutionId"] == "c-1"


def test_a_thread_without_anything_does_not_exist():
    assert loaded("t", {}, [])["data"]["loadAgentState"]["threadExists"] is False


def test_the_thread_that_is_asked_for():
    assert thread_asked_for({"variables": {"data": {"threadId": "t"}}}) == "t"


def test_introspection_gets_a_schema():
    assert "__schema" in introspected()["data"]
