"""What clients send, checked at the edge: what is taken, and the code of every refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from copilotedge import frame_requests, ids, requests, rest_requests
from copilotedge.copilotkit.agui_requests import parse_run, question_of
from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.models import Marks
from copilotedge.openai.chat_requests import parse_chat
from copilotedge.openai.response_requests import parse_response
from copilotedge.questions import Question
from copilotedge.settings import Settings

SETTINGS = Settings(max_message_characters=20, max_request_bytes=1_000, max_messages_per_request=3, max_nesting_depth=5)
USER = {"role": "user", "content": "Hi"}
CHAT = {"type": "chat", "role": "user", "content": "Hi"}
MAX_FRAME = 500


def text_of(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


def refusal(parse: Any, body: Any, *more: Any) -> tuple[type, str]:
    with pytest.raises(InvalidRequest) as caught:
        parse(text_of(body), SETTINGS, *more)
    assert "secret" not in caught.value.message
    return type(caught.value), caught.value.code


def state_update(body: Any) -> rest_requests.StateUpdate:
    return rest_requests.parse_state_update(text_of(body), SETTINGS)


def test_a_chat_request_is_read_with_openais_names_and_ours():
    body = {
        "messages": [USER],
        "conversationId": "c:1",
        "model": "m",
        "stream": True,
        "temperature": 1,
        "max_tokens": 9,
    }
    request = parse_chat(json.dumps(body), SETTINGS)
    assert (request.conversation_id, request.model, request.stream) == ("c:1", "m", True)
    assert (request.temperature, request.max_tokens) == (1.0, 9)


def test_unknown_fields_are_ignored():
    body = {"messages": [USER | {"name": "x"}], "top_p": 1, "conversation_id": "ignored"}
    assert parse_chat(json.dumps(body), SETTINGS).conversation_id is None


def test_content_may_come_in_text_parts():
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    request = parse_chat(json.dumps({"messages": [{"role": "user", "content": parts}]}), SETTINGS)
    assert request.messages[0].text == "Hello"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("secret", "invalid_json"),
        ("", "invalid_json"),
        ("[]", "invalid_json"),
        ("null", "invalid_json"),
        ("[" * 900, "too_deep"),
        ('{"messages":' + "9" * 900 + "}", "invalid_messages"),
        ({}, "invalid_messages"),
        ({"messages": []}, "invalid_messages"),
        ({"messages": "secret"}, "invalid_messages"),
        ({"messages": ["secret"]}, "invalid_messages"),
        ({"messages": [{"role": "secret", "content": "x"}]}, "invalid_role"),
        ({"messages": [{"role": "function", "content": "x"}]}, "invalid_role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_messages"),
        ({"messages": [USER], "n": 2}, "unsupported_parameter"),
        ({"messages": [{"content": "secret"}]}, "invalid_role"),
        ({"messages": [{"role": "user"}]}, "invalid_content"),
        ({"messages": [{"role": "user", "content": 7}]}, "invalid_content"),
        ({"messages": [{"role": "user", "content": None}]}, "invalid_content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "unsupported_content"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, "invalid_text"),
        ({"messages": [USER], "secret\udc00": 1}, "invalid_text"),
        ({"messages": [USER] * 4}, "too_many_messages"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "invalid_message"),
        ({"messages": [USER, {"role": "developer", "content": "x"}]}, "invalid_message"),
        ({"messages": [{"role": "user", "content": ""}]}, "invalid_message"),
        ({"messages": [{"role": "user", "content": []}]}, "invalid_message"),
        ({"messages": [USER], "conversationId": 7}, "invalid_request"),
        ({"messages": [USER], "model": ""}, "invalid_request"),
        ({"messages": [USER], "model": "secret" * 50}, "invalid_request"),
        ({"messages": [USER], "stream": "secret"}, "invalid_request"),
        ({"messages": [USER], "temperature": "secret"}, "invalid_request"),
        ({"messages": [USER], "temperature": -0.1}, "invalid_request"),
        ({"messages": [USER], "temperature": 5.1}, "invalid_request"),
        ({"messages": [USER], "temperature": float("nan")}, "invalid_json"),
        ({"messages": [USER], "temperature": float("inf")}, "invalid_json"),
        ({"messages": [USER], "max_tokens": 0}, "invalid_request"),
        ({"messages": [USER], "max_tokens": 1.5}, "invalid_request"),
        ({"messages": [USER], "max_tokens": True}, "invalid_request"),
    ],
)
def test_a_bad_chat_request_is_refused_with_a_code(body, code):
    assert refusal(parse_chat, body) == (InvalidRequest, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": [{"role": "user", "content": "x" * 21}]}, "message_too_large"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 11}] * 2}]}, "message_too_large"),
        ({"messages": [{"role": "system", "content": "x" * 21}, USER]}, "message_too_large"),
        ({"messages": [USER], "padding": "x" * 1_000}, "request_too_large"),
        ('{"padding":"' + "🎉" * 250 + '"}', "request_too_large"),
    ],
)
def test_a_chat_request_that_is_too_large_is_refused_as_such(body, code):
    assert refusal(parse_chat, body) == (RequestTooLarge, code)


def test_characters_are_counted_not_bytes():
    body = {"messages": [{"role": "user", "content": "🎉" * 20}]}
    assert parse_chat(json.dumps(body), SETTINGS).messages[0].text == "🎉" * 20


def test_escaped_characters_are_text_like_others():
    assert rest_requests.parse_append('{"role":"user","content":"\\ud83c\\udf89\\u0000"}', SETTINGS).content == "🎉\0"


def test_an_appended_message_may_be_of_any_role_and_tell_its_tokens():
    request = rest_requests.parse_append(json.dumps({"role": "system", "content": "x", "tokens": 7}), SETTINGS)
    assert (request.role, request.content, request.tokens) == ("system", "x", 7)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": "x"}, (InvalidRequest, "invalid_role")),
        ({"role": "developer", "content": "x"}, (InvalidRequest, "invalid_role")),
        ({"role": "user", "content": ""}, (InvalidRequest, "invalid_content")),
        ({"role": "user", "content": "x", "tokens": -1}, (InvalidRequest, "invalid_request")),
        ({"role": "user", "content": "x" * 21}, (RequestTooLarge, "message_too_large")),
        ({"role": "user", "content": "x" * 1_001}, (RequestTooLarge, "request_too_large")),
    ],
)
def test_a_bad_message_to_append_is_refused(body, expected):
    assert refusal(rest_requests.parse_append, body) == expected


def test_a_state_update_tells_only_what_changes():
    assert state_update({}) == rest_requests.StateUpdate()
    update = state_update({"userId": "u", "model": "", "context": {"temperature": 0.5, "systemPrompt": None}})
    assert (update.user_id, update.model) == ("u", "")
    assert update.context == {"temperature": 0.5, "systemPrompt": None}


@pytest.mark.parametrize(
    "body",
    [
        {"userId": 7},
        {"userId": "x" * 257},
        {"model": "x" * 201},
        {"context": []},
        {"context": {"systemPrompt": 7}},
        {"context": {"temperature": "hot"}},
        {"context": {"temperature": True}},
        {"context": {"temperature": 5.1}},
    ],
)
def test_a_bad_state_update_is_refused(body):
    assert refusal(rest_requests.parse_state_update, body) == (InvalidRequest, "invalid_request")


def test_members_are_users_with_what_they_may_do():
    body = {"members": {"bob": "read", "auth0|7~x/y": "write"}}
    assert rest_requests.parse_members(json.dumps(body), SETTINGS) == body["members"]
    assert rest_requests.parse_members('{"members": {}}', SETTINGS) == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"members": None},
        {"members": ["bob"]},
        {"members": {"bob": "own"}},
        {"members": {"bob": None}},
        {"members": {"bob": ["read"]}},
        {"members": {"": "read"}},
        {"members": {"secret name": "read"}},
        {"members": {"secret\n": "read"}},
        {"members": {"secret" * 22: "read"}},
        {"members": {f"user-{n}": "read" for n in range(rest_requests.MAX_MEMBERS + 1)}},
    ],
)
def test_members_that_are_none_are_refused(body):
    assert refusal(rest_requests.parse_members, body)[1] in ("invalid_request", "request_too_large")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number):
    assert refusal(rest_requests.parse_state_update, f'{{"context": {{"n": {number}}}}}')[0] is InvalidRequest


def test_a_context_is_merged_by_its_keys():
    assert requests.merge_context({"a": 1, "b": 2}, {"b": None, "c": 3}) == {"a": 1, "b": None, "c": 3}
    assert requests.merge_context({"a": 1}, None) == {"a": 1}


def test_a_context_that_would_grow_too_large_is_refused():
    half = "é" * (requests.MAX_CONTEXT_BYTES // 4)
    with pytest.raises(RequestTooLarge) as caught:
        requests.merge_context({"a": half}, {"b": half})
    assert caught.value.code == "context_too_large"


def test_a_question_and_its_instructions_fit_one_item_together():
    settings = Settings(max_messages_per_request=100, max_instruction_characters=1_000_000)
    messages = [{"role": "system", "content": "é" * 10_000}] * 18
    with pytest.raises(RequestTooLarge) as caught:
        parse_chat(json.dumps({"messages": [*messages, USER]}, ensure_ascii=False), settings)
    assert caught.value.code == "message_too_large"
    parse_chat(json.dumps({"messages": [*messages[:17], USER]}, ensure_ascii=False), settings)


def test_instructions_are_bounded_wherever_they_come_from():
    text = "x" * 24_001
    chat = {"messages": [{"role": "system", "content": "x" * 9_000}] * 3 + [USER]}
    for parse, body in (
        (parse_chat, chat),
        (rest_requests.parse_state_update, {"context": {"systemPrompt": text}}),
    ):
        with pytest.raises(RequestTooLarge) as caught:
            parse(json.dumps(body), Settings())
        assert caught.value.code == "instructions_too_large"


def test_a_model_that_the_deployment_does_not_allow_is_refused_wherever_it_is_named():
    settings = Settings(model="own", allowed_models="small")
    for parse, body in (
        (parse_chat, {"messages": [USER]}),
        (parse_response, {"input": "Hi"}),
        (parse_properties, {}),
        (rest_requests.parse_state_update, {}),
    ):
        for allowed in ("own", "small"):
            assert parse(json.dumps(body | {"model": allowed}), settings).model == allowed
        with pytest.raises(InvalidRequest) as caught:
            parse(json.dumps(body | {"model": "dear"}), settings)
        assert caught.value.code == "unknown_model"


def parse_properties(body: str, settings: Settings) -> Question:
    """Of a CopilotKit page, which hands them on with each run."""
    said = {"id": "m", **USER}
    run = parse_run({"threadId": "t", "runId": "r", "messages": [said], "forwardedProps": json.loads(body)})
    return question_of(run, settings)


def test_a_temperature_is_rounded_to_what_a_model_can_tell():
    request = parse_chat(json.dumps({"messages": [USER], "temperature": 1e-200}), SETTINGS)
    assert request.temperature == 0


def test_a_chat_frame_is_read():
    frame = frame_requests.parse_frame(json.dumps(CHAT | {"id": "m-1"}), SETTINGS, MAX_FRAME)
    assert isinstance(frame, frame_requests.ChatFrame)
    assert (frame.content, frame.id) == ("Hi", "m-1")


def test_a_system_frame_is_read_with_and_without_metadata():
    bare = frame_requests.parse_frame('{"type":"system","content":"ping"}', SETTINGS, MAX_FRAME)
    assert bare.metadata == frame_requests.FrameMetadata()
    body = {
        "type": "system",
        "content": "resume",
        "metadata": {"afterSeq": 3, "turnId": "t", "offset": 5, "epoch": "e"},
    }
    metadata = frame_requests.parse_frame(json.dumps(body), SETTINGS, MAX_FRAME).metadata
    assert (metadata.after_seq, metadata.turn_id, metadata.offset, metadata.epoch) == (3, "t", 5, "e")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("secret", (InvalidRequest, "invalid_json")),
        ({}, (InvalidRequest, "unknown_type")),
        ({"type": "secret"}, (InvalidRequest, "unknown_type")),
        ({"type": ["chat"]}, (InvalidRequest, "unknown_type")),
        (CHAT | {"role": "assistant"}, (InvalidRequest, "invalid_role")),
        (CHAT | {"content": ""}, (InvalidRequest, "invalid_content")),
        (CHAT | {"content": ["x"]}, (InvalidRequest, "invalid_content")),
        (CHAT | {"content": "\udc00"}, (InvalidRequest, "invalid_text")),
        (CHAT | {"content": "x" * 21}, (RequestTooLarge, "message_too_large")),
        (CHAT | {"content": "x" * 500}, (RequestTooLarge, "frame_too_large")),
        (json.dumps(CHAT | {"content": "é" * 240}, ensure_ascii=False), (RequestTooLarge, "frame_too_large")),
        (CHAT | {"id": ""}, (InvalidRequest, "invalid_message_id")),
        (CHAT | {"id": "a b"}, (InvalidRequest, "invalid_message_id")),
        (CHAT | {"id": "é"}, (InvalidRequest, "invalid_message_id")),
        (CHAT | {"id": "x" * 129}, (InvalidRequest, "invalid_message_id")),
        ({"type": "system", "content": "secret"}, (InvalidRequest, "invalid_content")),
        ({"type": "system", "content": "get_history", "metadata": {"limit": 0}}, (InvalidRequest, "invalid_request")),
        ({"type": "system", "content": "get_history", "metadata": {"limit": 101}}, (InvalidRequest, "invalid_request")),
        ({"type": "system", "content": "resume", "metadata": {"offset": -1}}, (InvalidRequest, "invalid_request")),
        (
            {"type": "system", "content": "resume", "metadata": {"afterSeq": 10**40}},
            (InvalidRequest, "invalid_request"),
        ),
        ({"type": "system", "content": "ping", "deep": [[[[[]]]]]}, (InvalidRequest, "too_deep")),
        ({"type": "system", "content": "ping", "metadata": "secret"}, (InvalidRequest, "invalid_request")),
    ],
)
def test_a_bad_frame_is_refused_with_a_code(body, expected):
    assert refusal(frame_requests.parse_frame, body, MAX_FRAME) == expected


def test_a_frame_may_ask_for_as_much_history_as_the_operator_allows():
    settings = Settings(max_history_page=7)
    body = {"type": "system", "content": "get_history", "metadata": {"before": 3}}
    assert frame_requests.parse_frame(json.dumps(body), settings, MAX_FRAME).metadata == frame_requests.FrameMetadata(
        limit=7, before=3
    )
    body["metadata"]["limit"] = 8
    with pytest.raises(InvalidRequest):
        frame_requests.parse_frame(json.dumps(body), settings, MAX_FRAME)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"id":"m-1","type":7}', "m-1"),
        ('{"id":7}', ""),
        ('{"id":"a b"}', ""),
        ('{"type":"chat"}', ""),
        ("[]", ""),
        ("{", ""),
        ("[" * 100_000, ""),
    ],
)
def test_a_refused_frame_is_named_as_far_as_it_has_a_name(body, expected):
    assert frame_requests.message_id_of(body) == expected


@pytest.mark.parametrize("conversation_id", ["c", "user-123", "a.b_c:d@e", "x" * 128])
def test_a_well_formed_conversation_id_is_taken(conversation_id):
    assert ids.check_conversation_id(conversation_id) == conversation_id


@pytest.mark.parametrize("conversation_id", ["", "x" * 129, "a/b", "a#b", "é", "a\n"])
def test_any_other_conversation_id_is_refused(conversation_id):
    with pytest.raises(InvalidRequest) as caught:
        ids.check_conversation_id(conversation_id)
    assert caught.value.code == "invalid_conversation_id"


def test_a_message_id_is_visible_ascii():
    assert ids.check_message_id("a#/~!") == "a#/~!"


@pytest.mark.parametrize(("text", "expected"), [(None, 50), ("1", 1), ("100", 100), ("007", 7)])
def test_a_count_is_read(text, expected):
    assert requests.parse_count(text, "limit", 50, 1, 100) == expected


@pytest.mark.parametrize("text", ["", "0", "101", "-1", "1.5", " 1", "x", "9" * 16, "1\n"])
def test_a_bad_count_is_refused(text):
    with pytest.raises(InvalidRequest) as caught:
        requests.parse_count(text, "limit", 50, 1, 100)
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("body", "marks"),
    [
        ({}, Marks()),
        ({"title": "Mine"}, Marks(title="Mine")),
        ({"title": " a\r\n\u202eb\0 "}, Marks(title="a b")),
        ({"title": None}, Marks(title="")),
        ({"pinned": True, "archived": False, "of_later": 1}, Marks(pinned=True, archived=False)),
        ({"pinned": None}, Marks()),
    ],
)
def test_what_is_left_out_of_a_change_of_the_list_stays(body, marks):
    assert rest_requests.parse_marks(json.dumps(body), SETTINGS) == marks


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"title": ""}, "invalid_title"),
        ({"title": " \n\u202e"}, "invalid_title"),
        ({"title": "secret" * 40}, "invalid_title"),
        ({"title": 7}, "invalid_title"),
        ({"pinned": "secret"}, "invalid_request"),
        ({"archived": 1}, "invalid_request"),
        ("[]", "invalid_json"),
    ],
)
def test_a_change_of_the_list_is_checked(body, code):
    assert refusal(rest_requests.parse_marks, body) == (InvalidRequest, code)


@pytest.mark.parametrize(("text", "flag"), [(None, False), ("true", True), ("false", False)])
def test_a_flag_is_true_or_false(text, flag):
    assert requests.parse_flag(text, "archived") is flag


@pytest.mark.parametrize("text", ["", "True", "1", "yes"])
def test_a_flag_that_is_neither_is_refused(text):
    with pytest.raises(InvalidRequest, match="archived"):
        requests.parse_flag(text, "archived")


def test_a_search_is_bounded():
    assert (requests.parse_search(None), requests.parse_search("é" * 200)) == ("", "é" * 200)
    with pytest.raises(InvalidRequest):
        requests.parse_search("x" * 201)
