"""Items that are added to a conversation."""

from __future__ import annotations

import json

import pytest

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.models import PromptMessage
from copilotedge.openai.item_requests import parse_conversation, parse_items
from copilotedge.settings import Settings

SETTINGS = Settings()


def test_nothing_is_asked_for_by_an_empty_body():
    request = parse_conversation("", SETTINGS)
    assert (request.items, request.metadata) == (None, None)


def test_what_is_refused_is_not_repeated():
    with pytest.raises(InvalidRequest) as refused:
        parse_conversation(json.dumps({"metadata": {"hush": 5}}), SETTINGS)
    assert "hush" not in refused.value.message


def test_items_to_add_keep_system_messages():
    body = json.dumps({"items": [{"role": "developer", "content": "One"}, {"role": "user", "content": "Two"}]})
    assert parse_items(body, SETTINGS) == (PromptMessage("system", "One"), PromptMessage("user", "Two"))


def test_long_items_are_too_large():
    long = {"role": "user", "content": "x" * (SETTINGS.max_message_characters + 1)}
    with pytest.raises(RequestTooLarge):
        parse_items(json.dumps({"items": [long]}), SETTINGS)
    with pytest.raises(RequestTooLarge):
        parse_conversation(json.dumps({"items": [long]}), SETTINGS)
