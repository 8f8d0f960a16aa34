"""Conversations as users see them, on the deployed stack: listed, searched, named, put away, taken along."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients import Rest, is_system, new_conversation
from tests.scripted_model import Reply, Request
from tests.stack import DeployedStack, wait_until

ASKED_FOR_A_TITLE = "You give conversations their titles"


@pytest.fixture
def user() -> str:
    return f"alice-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def rest(stack: DeployedStack, user: str) -> Iterator[Rest]:
    with stack.rest(user) as client:
        yield client


@pytest.fixture
def titles(stack: DeployedStack) -> Iterator[None]:
    """Conversations get titles from the model."""
    with stack.settings("http-api", "turn-worker", AUTOMATIC_TITLES="true"):
        yield


def listed(rest: Rest, **query: Any) -> list[str]:
    answer = rest.client.get("conversations", params=query)
    assert answer.status_code == 200, answer.text
    return [entry["conversationId"] for entry in answer.json()["conversations"]]


def change(rest: Rest, conversation: str, **marks: Any) -> dict[str, Any]:
    answer = rest.client.patch(f"conversation/{conversation}", json=marks)
    assert answer.status_code == 200, answer.text
    return answer.json()


def say(rest: Rest, content: str, conversation: str) -> None:
    answer = rest.chat(content, conversation)
    assert answer.status_code == 200, answer.text


def title_of(rest: Rest, conversation: str) -> str:
    return rest.client.get(f"conversation/{conversation}/state").json()["title"]


def wants_a_title(request: Request) -> bool:
    return ASKED_FOR_A_TITLE in json.dumps(request.body)


def name_conversations(stack: DeployedStack, *titles: Reply) -> None:
    """What the model answers, one after the other, when it is asked for a title."""
    replies = iter(titles)
    stack.model.when(lambda request: next(replies, None) if wants_a_title(request) else None)


def questions_for_titles(stack: DeployedStack) -> int:
    return sum(map(wants_a_title, stack.model.requests))


def test_a_conversation_is_listed_under_its_first_words(rest: Rest):
    conversation = new_conversation()
    say(rest, "How do magnets work,\nand why do they stick to the door of my refrigerator?", conversation)
    say(rest, "And compasses?", conversation)
    (entry,) = rest.client.get("conversations").json()["conversations"]
    assert entry["title"] == "How do magnets work, and why do they stick to the door of my…"
    assert (entry["pinned"], entry["archived"], entry["messageCount"]) == (False, False, 4)
    assert title_of(rest, conversation) == entry["title"]


def test_a_list_is_searched_pinned_and_put_away(rest: Rest):
    magnets, compasses, tides = (new_conversation() for _ in range(3))
    for conversation, text in ((magnets, "How do magnets work?"), (compasses, "And compasses?"), (tides, "Tides?")):
        say(rest, text, conversation)
    assert change(rest, magnets, pinned=True)["pinned"]
    assert change(rest, tides, archived=True)["archived"]
    assert listed(rest) == [magnets, compasses]
    assert listed(rest, archived="true") == [tides]
    assert listed(rest, q="COMPASS") == [compasses]
    assert listed(rest, q=magnets) == [magnets]
    first = rest.client.get("conversations?limit=1").json()
    assert listed(rest, limit=1, cursor=first["nextCursor"]) == [compasses]


def test_a_rename_is_kept_told_and_taken_back(stack: DeployedStack, rest: Rest, user: str):
    conversation = new_conversation()
    say(rest, "Hello", conversation)
    with stack.socket(conversation, user) as socket:
        socket.drain()
        assert change(rest, conversation, title="Mine, all mine")["title"] == "Mine, all mine"
        assert socket.receive_until(is_system("titled"))[-1]["metadata"] == {"title": "Mine, all mine"}
    say(rest, "More", conversation)
    assert title_of(rest, conversation) == "Mine, all mine"
    assert change(rest, conversation, title=None)["title"] == "Hello"


def test_a_new_life_inherits_neither_title_nor_marks(rest: Rest):
    conversation = new_conversation()
    say(rest, "Hello", conversation)
    change(rest, conversation, title="Secret", pinned=True, archived=True)
    rest.client.delete(f"conversation/{conversation}")
    assert (listed(rest), listed(rest, archived="true"), title_of(rest, conversation)) == ([], [], "")
    assert rest.client.patch(f"conversation/{conversation}", json={"pinned": True}).status_code == 404
    say(rest, "A new life", conversation)
    (entry,) = rest.client.get("conversations").json()["conversations"]
    assert (entry["title"], entry["pinned"]) == ("A new life", False)


def test_a_clear_takes_the_first_words_with_it(rest: Rest):
    conversation = new_conversation()
    say(rest, "A secret", conversation)
    rest.client.post(f"conversation/{conversation}/clear")
    assert title_of(rest, conversation) == ""
    say(rest, "Something else", conversation)
    assert title_of(rest, conversation) == "Something else"


def test_a_whole_conversation_is_taken_along(rest: Rest):
    conversation = new_conversation()
    for number in range(120):
        body = {"role": "user" if number % 2 else "assistant", "content": f"Number {number} 🎉"}
        assert rest.client.post(f"conversation/{conversation}/messages", json=body).status_code == 200
    as_json = rest.client.get(f"conversation/{conversation}/export")
    assert [m["content"] for m in as_json.json()["messages"]] == [f"Number {number} 🎉" for number in range(120)]
    assert as_json.headers["content-disposition"] == f'attachment; filename="conversation-{conversation}.json"'
    as_markdown = rest.client.get(f"conversation/{conversation}/export?format=markdown")
    assert as_markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert (as_markdown.text.count("\n## User"), as_markdown.text.count("\n> Number")) == (60, 120)


def test_a_conversation_too_long_for_one_answer_is_taken_along_in_two(rest: Rest):
    conversation, filler = new_conversation(), "é" * 9_000
    for part in range(3):
        roles = ("assistant", "user") * 25
        history = [{"role": role, "content": f"{part}.{n} {filler}"} for n, role in enumerate(roles)]
        messages = [*history, {"role": "user", "content": "Go on"}]
        assert rest.chat("", conversation, messages=messages).status_code == 200
    first = rest.client.get(f"conversation/{conversation}/export")
    assert (first.status_code, len(first.content) < 5_000_000) == (200, True)
    after = first.json()["nextAfter"]
    second = rest.client.get(f"conversation/{conversation}/export?after={after}").json()
    seqs = [message["seq"] for message in first.json()["messages"] + second["messages"]]
    assert (seqs, second["nextAfter"]) == (list(range(1, len(seqs) + 1)), None)
    assert seqs == [entry["seq"] for entry in rest.whole_log(conversation)]
    assert f"after={after}" in rest.client.get(f"conversation/{conversation}/export?format=markdown").text[-200:]


def test_a_model_names_a_conversation_after_its_first_answer(stack: DeployedStack, titles: None, rest: Rest, user: str):
    conversation = new_conversation()
    name_conversations(stack, Reply('"How magnets work."'))
    with stack.socket(conversation, user) as socket:
        assert socket.ask("How do magnets work?") == "You said: How do magnets work?"
        told = socket.receive_until(is_system("titled"))[-1]
        assert told["metadata"] == {"title": "How magnets work"}
        socket.ask("And compasses?")
        socket.drain()
    assert title_of(rest, conversation) == "How magnets work"
    assert listed(rest, q="magnets WORK") == [conversation]
    assert questions_for_titles(stack) == 1


def test_a_rename_while_the_model_thinks_wins(stack: DeployedStack, titles: None, rest: Rest, user: str):
    conversation, gate = new_conversation(), threading.Event()
    name_conversations(stack, Reply("A model's title", gate=gate))
    say(rest, "Hello", conversation)
    wait_until(lambda: questions_for_titles(stack) == 1, "the model to be asked for a title")
    change(rest, conversation, title="Mine")
    gate.set()
    wait_until(lambda: "model_title" in entry_of(stack, user, conversation), "the model's title to be written down")
    assert title_of(rest, conversation) == "Mine"
    assert change(rest, conversation, title=None)["title"] == "A model's title"


def entry_of(stack: DeployedStack, user: str, conversation: str) -> dict[str, Any]:
    """The conversation's item in its owner's list."""
    key = {"pk": {"S": f"USER#{user}"}, "sk": {"S": f"CONV#{conversation}"}}
    return stack.client("dynamodb").get_item(TableName=stack.table_name, Key=key)["Item"]


def test_a_model_that_fails_leaves_the_first_words(stack: DeployedStack, titles: None, rest: Rest):
    conversation = new_conversation()
    name_conversations(stack, *[Reply(status=400)] * 3)
    say(rest, "Hello", conversation)
    wait_until(lambda: any("title_failed" in line for line in stack.logs("turn-worker")), "the failure to be logged")
    assert title_of(rest, conversation) == "Hello"
    assert questions_for_titles(stack) == 1


def test_a_title_is_charged_to_the_owner(stack: DeployedStack, rest: Rest):
    with stack.settings("http-api", "turn-worker", AUTOMATIC_TITLES="true", TOKENS_PER_DAY="30"):
        name_conversations(stack, Reply("A title"))
        conversation = new_conversation()
        assert rest.chat("Hello", conversation).status_code == 200
        wait_until(lambda: title_of(rest, conversation) == "A title", "the title")
        refused = rest.chat("Hello again", conversation)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "token_budget_spent")
