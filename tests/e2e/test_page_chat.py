"""Chatting on the page, against a fake backend."""

import re

from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend


def test_two_messages_are_exchanged_and_stream(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    chat.expect_messages("Hello", "Thinking")
    backend.say("Good ", "mor")
    chat.expect_messages("Hello", "Good mor")
    backend.answer("ning")
    chat.send("How are you?")
    backend.wait_for_turn()
    backend.answer("Fine.")
    chat.expect_messages("Hello", "Good morning", "How are you?", "Fine.")


def test_only_finished_messages_are_in_the_live_log(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    backend.say("Good ")
    chat.expect_messages("Hello", "Good")
    expect(chat.log.get_by_role("article")).to_have_count(1)
    backend.answer("day")
    expect(chat.log.get_by_role("article")).to_have_count(2)
    expect(chat.log).to_have_attribute("aria-live", "polite")


def test_a_reload_shows_the_history(chat: ChatPage, backend: PageBackend) -> None:
    backend.model_says = lambda text: [f"You said {text}"]
    chat.send("one")
    chat.expect_messages("one", "You said one")
    chat.reload()
    chat.expect_messages("one", "You said one")
    assert chat.page.url.endswith("?conversationId=test-conversation")


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    backend.wait_for_turn()
    backend.say("Once upon ")
    chat.reload()
    chat.expect_messages("Tell me", "Once upon")
    backend.answer("a time")
    chat.expect_messages("Tell me", "Once upon a time")


def test_older_messages_are_loaded_on_demand(chat: ChatPage, backend: PageBackend) -> None:
    for number in range(1, 121):
        backend.append("user", f"number {number}")
    chat.reload()
    expect(chat.own).to_have_count(50)
    chat.button("Earlier messages").dispatch_event("click")  # a real click scrolls there, and that loads them too
    expect(chat.own).to_have_count(100)
    expect(chat.button("Earlier messages")).to_be_enabled()
    chat.scroller.evaluate("node => node.scrollTop = 0")
    chat.expect_messages(*(f"number {number}" for number in range(1, 121)))
    expect(chat.button("Earlier messages")).to_be_hidden()


def test_another_client_s_messages_appear(chat: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    other = ChatPage(context.new_page(), backend.page_url, TOKEN)
    other.open("test-conversation")
    backend.model_says = lambda _: ["Hello, both"]
    chat.send("Hello")
    for page in (chat, other):
        page.expect_messages("Hello", "Hello, both")


def test_a_long_message_in_parts_is_put_together(chat: ChatPage, backend: PageBackend) -> None:
    for part, content in enumerate(("one ", "two ", "three"), 1):
        about = {"seq": 1, "epoch": backend.epoch, "messageId": "m", "part": part, "parts": 3}
        backend.broadcast({"type": "chat", "role": "assistant", "content": content, "metadata": about})
    chat.expect_messages("one two three")


def test_new_chat_opens_an_empty_conversation_and_back_returns(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "old")
    chat.button("New chat").click()
    chat.page.wait_for_url(re.compile(r"conversationId=[0-9a-f-]{36}$"))
    chat.page.go_back()
    chat.expect_messages("old")


def test_without_an_id_in_the_address_the_last_conversation_opens(chat: ChatPage, backend: PageBackend) -> None:
    chat.page.goto(backend.page_url)
    chat.wait_for_connection()
    assert chat.page.url.endswith("?conversationId=test-conversation")
