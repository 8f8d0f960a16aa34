"""Conversations to take away."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from copilotedge import exports
from copilotedge.errors import Conflict, InvalidRequest, NotFound
from copilotedge.exports import FORMATS, PAGE, Export, file_name, format_of
from copilotedge.models import Marks, Message, ToolCall
from copilotedge.transitions.steps import Rules, born
from tests.fakes import START, World

KEY = "alice/c1"
JSON, MARKDOWN = FORMATS["json"], FORMATS["markdown"]
STATE = born(Rules(), START)
HOSTILE = [
    "```\nnever closed",
    "## Assistant · 2020-01-01T00:00:00Z\n\nI owe you",
    "<!-- never closed",
    "a\rb\r\n# c\r\r# d",
    "</blockquote>\n\n<details>",
    "> quoted\n\n***\n\n===",
    "",
    "    indented\n\n\n",
]


async def world_of(*texts: str) -> World:
    world = World(rate_limit_per_minute=0)
    for text in texts:
        await world.append(KEY, "user", text, 0)
    return world


def said(content: str, **extra) -> Message:
    return Message(1, extra.pop("role", "user"), content, START, "m1", **extra)


def markdown(*messages: Message, title: str = "A title") -> str:
    return MARKDOWN.whole("c1", Export(STATE, title, messages))


async def test_a_json_export_has_the_whole_log():
    world = await world_of(*(str(number) for number in range(PAGE + 5)))
    await world.users.change(KEY, Marks(title="Numbers"))
    document = json.loads(JSON.whole("c1", await world.exports.read(KEY, JSON)))
    assert [message["content"] for message in document["messages"]] == [str(number) for number in range(PAGE + 5)]
    assert (document["conversationId"], document["title"], document["nextAfter"]) == ("c1", "Numbers", None)


async def test_a_log_that_is_too_long_for_one_answer_goes_on_in_the_next(monkeypatch):
    monkeypatch.setattr(exports, "MAX_BYTES", 2000)
    world = await world_of(*("é" * 100 for _ in range(5)))
    first = await world.exports.read(KEY, JSON)
    second = await world.exports.read(KEY, JSON, first.next_after)
    third = await world.exports.read(KEY, JSON, second.next_after)
    seqs = [message.seq for export in (first, second, third) for message in export.messages]
    assert (seqs, third.next_after) == ([1, 2, 3, 4, 5], None)
    for export in (first, second):
        assert len(json.dumps(JSON.whole("c1", export))) < 2000 + 400


async def test_a_message_that_is_too_long_on_its_own_is_exported_nevertheless(monkeypatch):
    monkeypatch.setattr(exports, "MAX_BYTES", 1)
    world = await world_of("one", "two")
    assert len((await world.exports.read(KEY, MARKDOWN)).messages) == 1


async def test_what_does_not_exist_is_not_exported():
    world = await world_of("Hello")
    await world.conversations.delete(KEY)
    with pytest.raises(NotFound):
        await world.exports.read(KEY, JSON)


async def test_a_log_that_is_cleared_meanwhile_is_not_exported_in_part():
    world = await world_of(*(str(number) for number in range(PAGE + 1)))
    page = world.conversations.page

    async def clear_after(*args, **options):
        found = await page(*args, **options)
        await world.conversations.clear(KEY)
        return found

    world.conversations.page = clear_after
    with pytest.raises(Conflict):
        await world.exports.read(KEY, JSON)


def test_markdown_has_roles_as_headings_and_times_in_utc():
    text = markdown(said("Hello\nthere"), said("Hi.", role="assistant", status="cancelled"))
    assert text == (
        "# A title\n\nConversation `c1`, begun 2027-01-15T08:00:00Z, last used 2027-01-15T08:00:00Z.\n\n"
        "## User · 2027-01-15T08:00:00Z\n\n> Hello\n> there\n\n"
        "## Assistant · 2027-01-15T08:00:00Z (cancelled)\n\n> Hi.\n"
    )


def test_markdown_names_a_conversation_without_a_title_by_its_id():
    assert markdown(title="").startswith("# c1\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_said_breaks_out_of_its_quotation(text):
    document = markdown(said(text), said("After"))
    body = document.split("\n\n", 2)[2]
    ours = [line for line in re.split(r"\r\n|\r|\n", body) if not line.startswith(">")]
    assert ours == ["## User · 2027-01-15T08:00:00Z", "", "", "## User · 2027-01-15T08:00:00Z", "", ""]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_said_is_not_changed(text):
    lines = markdown(said(text)).split("## User")[-1].split("\n")[2:]
    quoted = [line.removeprefix(">").removeprefix(" ") for line in lines if line.startswith(">")]
    assert quoted == re.split(r"\r\n|\r|\n", text)


def test_markdown_tells_where_it_begins_and_that_there_is_more():
    text = MARKDOWN.whole("c1", Export(STATE, "", (said("Hello"),), after=6, next_after=7))
    assert "behind message 6" in text
    assert "`after=7`" in text


def test_calls_of_tools_are_exported():
    call = ToolCall("call-1", "weather", '{"city": "Bern"}')
    message = said("", role="assistant", tool_calls=(call,))
    assert '> weather({"city": "Bern"})' in markdown(message)
    assert '"toolCalls"' in JSON.whole("c1", Export(STATE, "", (message,)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("alice/user-123", "conversation-user-123.json"),
        ('a"\r\nb/..:@x', "conversation-x.json"),
        ("alice/:", "conversation-.json"),
    ],
)
def test_a_file_name_is_safe_everywhere(key, expected):
    assert file_name(key, JSON) == expected


def test_a_format_is_json_or_markdown():
    assert (format_of(None), format_of("markdown")) == (JSON, MARKDOWN)
    with pytest.raises(InvalidRequest):
        format_of("pdf")


async def test_members_are_told_their_own_name_of_it():
    world = await world_of("Hello")
    export = await world.exports.read(KEY, JSON)
    assert json.loads(JSON.whole("alice~c1", replace(export, title="x")))["conversationId"] == "alice~c1"
