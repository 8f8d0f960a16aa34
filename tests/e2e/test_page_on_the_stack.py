"""The chat page on the deployed stack: the real functions, a scripted model."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.scripted_model import Reply
from tests.stack import DeployedStack


@pytest.fixture
def page_on_stack(context: BrowserContext, stack: DeployedStack) -> ChatPage:
    chat = ChatPage(context.new_page(), stack.endpoints.chat_page_url, stack.endpoints.token)
    chat.open()
    return chat


def test_two_exchanges_are_there_again_after_a_reload(page_on_stack: ChatPage, stack: DeployedStack) -> None:
    for text in ("one", "two"):
        page_on_stack.send(text)
        page_on_stack.expect_idle()
        expect(page_on_stack.answers.last).to_contain_text(f"You said: {text}")
    page_on_stack.reload()
    page_on_stack.expect_messages("one", "You said: one", "two", "You said: two")
    assert len(stack.model.requests[-1].body["messages"]) == 3


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(page_on_stack: ChatPage, stack: DeployedStack) -> None:
    chunks = [f"word{number} " for number in range(60)]
    stack.model.script(Reply(chunks=chunks, delay_between=0.1))
    page_on_stack.send("Tell me a story")
    expect(page_on_stack.answers).to_contain_text("word3")
    page_on_stack.reload()
    page_on_stack.expect_messages("Tell me a story", "".join(chunks).strip())


def test_stop_keeps_what_was_said(page_on_stack: ChatPage, stack: DeployedStack) -> None:
    stack.model.script(Reply(chunks=["Once upon "] + ["a time "] * 300, delay_between=0.1))
    page_on_stack.send("Tell me a story")
    expect(page_on_stack.answers).to_contain_text("Once upon")
    page_on_stack.button("Stop").click()
    page_on_stack.expect_idle()
    expect(page_on_stack.answers).to_contain_text("Once upon")
    expect(page_on_stack.answers).to_have_attribute("data-state", "cancelled")


def test_clear_empties_every_open_page(page_on_stack: ChatPage, context: BrowserContext, stack: DeployedStack) -> None:
    page_on_stack.send("Hello")
    page_on_stack.expect_messages("Hello", "You said: Hello")
    other = ChatPage(context.new_page(), stack.endpoints.chat_page_url, stack.endpoints.token)
    other.visit("?" + urlsplit(page_on_stack.page.url).query)
    other.wait_for_connection()
    other.expect_messages("Hello", "You said: Hello")
    page_on_stack.clear()
    page_on_stack.expect_messages()
    other.expect_messages()


def test_a_conversation_is_listed_renamed_and_found_again(page_on_stack: ChatPage) -> None:
    page_on_stack.send("Grow tomatoes")
    expect(page_on_stack.titles.first).to_have_text("Grow tomatoes")
    expect(page_on_stack.answers).to_contain_text(re.compile(r"\d+ tokens · \$0\.0\d+ · llama"))
    page_on_stack.choose("Grow tomatoes", "Rename")
    page_on_stack.page.get_by_role("textbox", name="Title").fill("Balcony")
    page_on_stack.page.keyboard.press("Enter")
    expect(page_on_stack.title).to_have_text("Balcony")
    page_on_stack.page.get_by_role("searchbox").fill("balc")
    page_on_stack.expect_titles("Balcony")


def test_the_settings_of_a_conversation_shape_its_next_answer(page_on_stack: ChatPage, stack: DeployedStack) -> None:
    page_on_stack.button("Settings").click()
    page_on_stack.settings.get_by_label("System prompt").fill("Answer in verse.")
    page_on_stack.settings.get_by_label("Model").select_option("@cf/openai/gpt-oss-20b")
    page_on_stack.button("Save").click()
    expect(page_on_stack.settings.get_by_text("Saved.")).to_be_visible()
    page_on_stack.button("Close settings").click()
    page_on_stack.send("Hello")
    page_on_stack.expect_messages("Hello", "You said: Hello")
    asked = stack.model.requests[-1]
    assert (asked.model, asked.body["messages"][0]["content"]) == ("@cf/openai/gpt-oss-20b", "Answer in verse.")


def test_a_conversation_is_exported(page_on_stack: ChatPage) -> None:
    page_on_stack.send("Hello")
    page_on_stack.expect_messages("Hello", "You said: Hello")
    expect(page_on_stack.answers.last).to_have_attribute("data-state", "complete")
    page_on_stack.button("Settings").click()
    with page_on_stack.page.expect_download() as download:
        page_on_stack.button("Export Markdown").click()
    assert "> You said: Hello" in Path(download.value.path()).read_text()


def test_nothing_on_the_page_breaks_its_security_policy(context: BrowserContext, stack: DeployedStack) -> None:
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda line: troubles.append(line.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    chat = ChatPage(page, stack.endpoints.chat_page_url, stack.endpoints.token)
    chat.open()
    chat.send("Hello")
    chat.expect_messages("Hello", "You said: Hello")
    assert troubles == []
