"""The settings panel, what turns took, the export, tools, and being offline."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import BrowserContext, Locator, Route, expect

from copilotedge.exports import FORMATS, Export
from copilotedge.models import Message
from copilotedge.transitions.steps import Rules, born
from tests.e2e.chat_page import ChatPage
from tests.fakes import START
from tests.page_backend import PageBackend
from tests.page_rest import refusal

STATE = born(Rules(), START)
CALL = {"id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'}


@pytest.fixture
def panel(chat: ChatPage) -> Locator:
    chat.button("Settings").click()
    expect(chat.settings.get_by_label("Model")).to_be_enabled()
    return chat.settings


def saved(panel: Locator) -> Locator:
    return panel.get_by_role("status").filter(has_text="Saved.")


# --- model, system prompt, temperature ------------------------------------------------------------------------------


def test_the_panel_shows_what_is_stored(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.state["context"] = {"systemPrompt": "Be brief.", "temperature": 0.3}
    chat.button("Settings").click()
    expect(chat.settings.get_by_label("System prompt")).to_have_value("Be brief.")
    expect(chat.settings.get_by_label("Temperature")).to_have_value("0.3")
    expect(chat.settings.get_by_label("Model")).to_have_value("@cf/test/model")


def test_a_model_is_picked_by_its_name_and_price(chat: ChatPage, panel: Locator, backend: PageBackend) -> None:
    expect(panel.get_by_text("$0.28 a million tokens read, $0.83 written.")).to_be_visible()
    panel.get_by_label("Model").select_option("larger-model")
    expect(panel.get_by_text("$1.25 a million tokens read, $10 written.")).to_be_visible()
    panel.get_by_role("button", name="Save").click()
    expect(saved(panel)).to_be_visible()
    assert backend.shelf.asked[-1].body == {"model": "@cf/test/larger-model"}
    expect(chat.page.locator("#model")).to_have_text("larger-model")


def test_only_what_was_changed_is_stored(panel: Locator, backend: PageBackend) -> None:
    expect(panel.get_by_role("button", name="Save")).to_be_disabled()
    panel.get_by_label("System prompt").fill("Answer in verse.")
    panel.get_by_label("Temperature").fill("1.2")
    panel.get_by_role("button", name="Save").click()
    expect(saved(panel)).to_be_visible()
    assert backend.shelf.asked[-1].body == {"context": {"systemPrompt": "Answer in verse.", "temperature": 1.2}}
    expect(panel.get_by_role("button", name="Save")).to_be_disabled()


def test_an_empty_temperature_is_the_model_s_own(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.state["context"] = {"temperature": 0}
    chat.button("Settings").click()
    field = chat.settings.get_by_label("Temperature")
    expect(field).to_have_value("0")
    field.fill("")
    chat.settings.get_by_role("button", name="Save").click()
    expect(saved(chat.settings)).to_be_visible()
    assert backend.shelf.asked[-1].body == {"context": {"temperature": None}}


def test_a_temperature_out_of_range_is_not_sent(panel: Locator, backend: PageBackend) -> None:
    asked = len(backend.shelf.asked)
    panel.get_by_label("Temperature").fill("9")
    panel.get_by_role("button", name="Save").click()
    expect(panel.locator("#temperature:invalid")).to_be_focused()
    assert len(backend.shelf.asked) == asked


def test_what_the_server_says_against_it_is_told_and_nothing_typed_is_lost(
    panel: Locator, backend: PageBackend
) -> None:
    backend.shelf.failing = refusal(403, "read_only", "You may only read this conversation.")
    panel.get_by_label("System prompt").fill("Answer in verse.")
    panel.get_by_role("button", name="Save").click()
    expect(panel.get_by_text("You may only read this conversation.")).to_be_visible()
    expect(panel.get_by_label("System prompt")).to_have_value("Answer in verse.")
    expect(panel.get_by_role("button", name="Save")).to_be_enabled()


def test_settings_that_cannot_be_read_cannot_be_overwritten(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.failing = refusal(503, "store_unavailable", "The table is not available.")
    chat.button("Settings").click()
    expect(chat.settings.get_by_text("The table is not available.")).to_be_visible()
    expect(chat.settings.get_by_label("System prompt")).to_be_disabled()


def test_what_was_typed_and_not_saved_survives_closing_the_panel(chat: ChatPage, panel: Locator) -> None:
    panel.get_by_label("System prompt").fill("half a thou")
    chat.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    chat.button("Settings").click()
    expect(panel.get_by_label("System prompt")).to_have_value("half a thou")
    expect(panel.get_by_text("Not saved yet.")).to_be_visible()


def test_without_a_list_of_models_the_one_in_use_can_be_kept(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.models = []
    chat.button("Settings").click()
    expect(chat.settings.get_by_label("Model").get_by_role("option")).to_have_text(["model"])


# --- what it took ---------------------------------------------------------------------------------------------------


def test_an_answer_tells_what_it_took(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "Hi", tokens=1849, costUsd=0.00112, model="@cf/meta/llama-3.1-8b-instruct")
    expect(chat.answers).to_contain_text("1,849 tokens · $0.0011 · llama-3.1-8b-instruct")


def test_an_answer_that_nobody_counted_tells_nothing(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "Hi", tokens=0)
    expect(chat.answers.locator(".usage")).to_be_empty()


def test_the_total_follows_each_turn(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    backend.shelf.state |= {"totalTokens": 12_345, "totalCostUsd": 0.31}
    backend.answer("Hi")
    expect(chat.page.locator("#total")).to_have_text("12,345 tokens · $0.31")
    chat.button("Settings").click()
    expect(chat.settings.get_by_text("12,345 tokens")).to_be_visible()


# --- messages -------------------------------------------------------------------------------------------------------


def test_a_message_is_copied_as_it_was_written(chat: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    backend.append("user", "a *b*")
    backend.append("assistant", "**c** `d`")
    chat.button("Copy answer").click()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "**c** `d`"
    chat.own.hover()
    chat.button("Copy message").click()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "a *b*"


def test_only_the_last_answer_can_be_regenerated(chat: ChatPage, backend: PageBackend) -> None:
    backend.model_says = lambda text: [f"First {text}"]
    chat.send("one")
    chat.send("two")
    chat.expect_messages("one", "First one", "two", "First two")
    expect(chat.button("Regenerate answer")).to_have_count(1)
    backend.model_says = lambda text: [f"Second {text}"]
    chat.answers.last.get_by_role("button", name="Regenerate answer").click()
    chat.expect_messages("one", "First one", "two", "Second two")


def test_nothing_can_be_regenerated_while_an_answer_is_written(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "old")
    expect(chat.button("Regenerate answer")).to_be_visible()
    chat.send("Hello")
    backend.wait_for_turn()
    backend.say("new")
    expect(chat.button("Regenerate answer")).to_be_hidden()
    expect(chat.answers.last.locator(".usage")).to_be_hidden()


def test_tool_calls_and_their_results_are_folded_away(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "", toolCalls=[CALL])
    backend.append("tool", '{"sky": "clear"}', toolCallId="call_1")
    summaries = chat.page.get_by_role("article").locator("summary")
    expect(summaries).to_have_text([re.compile(r"Asked\s*weather"), re.compile(r"Answer of\s*weather")])
    expect(chat.page.get_by_text('"Paris"')).to_be_hidden()
    summaries.first.click()
    expect(chat.page.get_by_text('"Paris"')).to_be_visible()


def test_a_tool_may_say_anything(chat: ChatPage, backend: PageBackend) -> None:
    hostile = "<img src=x onerror=window.hacked=1> {not json"
    backend.append("assistant", "", toolCalls=[CALL | {"name": hostile, "arguments": hostile}])
    backend.append("tool", hostile, toolCallId="call_1")
    expect(chat.page.locator("summary")).to_have_count(2)
    for summary in chat.page.locator("summary").all():
        summary.click()
    assert chat.page.locator("#log img").count() == 0
    expect(chat.page.locator("details pre").first).to_have_text(hostile)


@pytest.mark.parametrize("text", ["[" * 3_000 + "]" * 3_000, '["' + "]" * 3_000 + '",' + "[" * 3_000 + "]" * 3_001])
def test_what_a_tool_nests_deeply_is_shown_as_it_is(chat: ChatPage, backend: PageBackend, text: str) -> None:
    backend.append("tool", text, toolCallId="call_1")
    expect(chat.page.locator("details pre")).to_have_text(text)


def test_what_a_tool_says_at_length_is_cut_when_it_has_been_indented(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("tool", "[" * 40 + ",".join(["[]"] * 5_000) + "]" * 40, toolCallId="call_1")
    expect(chat.page.locator("details pre")).to_have_text(re.compile("…$"))
    assert len(chat.page.locator("details pre").text_content() or "") < 21_000


# --- export ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "name"), [("Export JSON", "conversation.json"), ("Export Markdown", "conversation.md")]
)
def test_a_conversation_is_exported_with_the_token(
    chat: ChatPage, panel: Locator, backend: PageBackend, button: str, name: str
) -> None:
    backend.append("user", "Hello")
    with chat.page.expect_download() as download:
        chat.button(button).click()
    assert download.value.suggested_filename == name
    text = Path(download.value.path()).read_text()
    assert (json.loads(text)[0]["content"] if name.endswith("json") else text) == "Hello"


@pytest.mark.parametrize("form", ["json", "markdown"])
def test_a_long_conversation_is_exported_to_its_end(chat: ChatPage, panel: Locator, form: str) -> None:
    texts = (
        "Hi\n\n*There is more, behind message 1: export it with `after=1`.*\n",
        "*This goes on behind message 1.*",
        "ü",
    )
    said = [Message(number, "user", text, START, f"m{number}") for number, text in enumerate(texts, 1)]

    def fulfill(route: Route) -> None:
        """As the server does, one message in each part."""
        after = int(parse_qs(route.request.url).get("after", ["0"])[0])
        part = Export(STATE, "Chat", (said[after],), after, after + 1 if after < 2 else None)
        route.fulfill(body=FORMATS[form].whole("c", part))

    chat.page.route("**/export?**", fulfill)
    with chat.page.expect_download() as download:
        panel.get_by_role("button", name=f"Export {form}").click()
    read = json.loads if form == "json" else str
    whole = FORMATS[form].whole("c", Export(STATE, "Chat", tuple(said)))
    assert read(Path(download.value.path()).read_text()) == read(whole)


def test_an_export_of_two_logs_is_none(chat: ChatPage, panel: Locator) -> None:
    parts = [
        FORMATS["json"].whole("c", Export(STATE, "Chat", (), 0, 1)),
        FORMATS["json"].whole("c", Export(replace(STATE, epoch="another"), "Chat", (), 1)),
    ]
    chat.page.route("**/export?**", lambda route: route.fulfill(body=parts["after=" in route.request.url]))
    panel.get_by_role("button", name="Export JSON").click()
    expect(panel.get_by_text("The conversation was cleared meanwhile.")).to_be_visible()


def test_an_export_that_fails_is_told(panel: Locator, backend: PageBackend) -> None:
    backend.shelf.failing = refusal(404, "not_found", "There is no such conversation.")
    panel.get_by_role("button", name="Export JSON").click()
    expect(panel.get_by_text("There is no such conversation.")).to_be_visible()


# --- offline --------------------------------------------------------------------------------------------------------


def test_being_offline_is_told_and_over_when_it_is_over(
    chat: ChatPage, context: BrowserContext, backend: PageBackend
) -> None:
    context.set_offline(True)
    backend.drop()
    expect(chat.page.get_by_text("You are offline.")).to_be_visible()
    chat.send("Hello")
    expect(chat.own).to_contain_text("Will be sent when the connection is back.")
    backend.model_says = lambda _: ["Hi"]
    context.set_offline(False)
    chat.expect_messages("Hello", "Hi")
    expect(chat.page.get_by_text("You are offline.")).to_be_hidden()
