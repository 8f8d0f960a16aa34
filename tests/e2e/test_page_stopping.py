"""Stopping, clearing and failing on the page."""

from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend


def test_stop_ends_the_answer_and_keeps_what_was_said(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    backend.wait_for_turn()
    backend.say("Once")
    chat.button("Stop").click()
    expect(chat.answers).to_contain_text("Stopped.")
    chat.expect_idle()
    chat.expect_messages("Tell me", "Once")


def test_retry_replaces_a_stopped_answer(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    backend.wait_for_turn()
    backend.say("Once")
    chat.button("Stop").click()
    chat.button("Retry").click()
    backend.wait_for_turn()
    chat.expect_messages("Tell me", "Thinking")
    backend.answer("Twice")
    chat.expect_messages("Tell me", "Twice")


def test_a_failed_turn_is_told_and_can_be_tried_again(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    backend.fail("The model is not available.")
    expect(chat.problems).to_contain_text("The model is not available.")
    expect(chat.own).to_contain_text("No answer came.")
    chat.button("Dismiss").click()
    expect(chat.problems).to_be_empty()
    chat.button("Retry").click()
    backend.wait_for_turn()
    backend.answer("Here I am")
    chat.expect_messages("Hello", "Here I am")


def test_a_message_without_answer_can_be_retried_after_a_reload(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "Anybody there?")
    chat.reload()
    chat.button("Retry").click()
    backend.wait_for_turn()
    backend.answer("Yes")
    chat.expect_messages("Anybody there?", "Yes")


def test_clear_asks_first_and_then_empties_the_page_everywhere(
    chat: ChatPage, context: BrowserContext, backend: PageBackend
) -> None:
    other = ChatPage(context.new_page(), backend.page_url, TOKEN)
    other.open("test-conversation")
    backend.append("user", "secret")
    chat.button("Clear").click()
    chat.button("Keep it").click()
    chat.expect_messages("secret")
    chat.clear()
    for page in (chat, other):
        page.expect_messages()
    expect(chat.page.get_by_role("heading", name="What would you like to talk about?")).to_be_visible()


def test_clear_during_an_answer_shows_nothing_of_it_any_more(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    turn = backend.wait_for_turn()
    backend.say("Once")
    chat.clear()
    chat.expect_messages()
    straggler = {"turnId": turn.turn_id, "attempt": 1, "index": 9, "offset": 4}
    backend.broadcast({"type": "delta", "content": " upon", "metadata": straggler})
    backend.model_says = lambda _: ["fresh"]
    chat.send("again")
    chat.expect_messages("again", "fresh")


def test_a_queued_message_says_so_and_can_be_removed(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("first")
    backend.wait_for_turn()
    chat.send("second")
    chat.send("third")
    expect(chat.own.last).to_contain_text("number 2")
    chat.button("Remove").first.click()
    backend.wait_until(lambda: len(backend.queue) == 1)
    backend.answer("to the first")
    backend.wait_until(lambda: backend.turn is not None)
    backend.answer("to the third")
    chat.expect_messages("first", "to the first", "third", "to the third")


def test_a_message_that_the_server_could_not_read_is_not_sent_for_ever(chat: ChatPage, backend: PageBackend) -> None:
    backend.refuse_with = {"error": "This is too large.", "code": "message_too_large", "metadata": {}}
    chat.send("Hello")
    expect(chat.own).to_contain_text("Not sent.")
    chat.button("Remove").click()
    chat.expect_messages()


def test_the_page_says_so_where_conversations_are_switched_off(chat: ChatPage, backend: PageBackend) -> None:
    backend.conversations_enabled = False
    chat.page.reload()
    expect(chat.page.get_by_text("Conversations are switched off on this server")).to_be_visible()
    chat.field.fill("Hello")
    expect(chat.button("Send")).to_be_disabled()


def test_the_server_s_notice_is_shown(chat: ChatPage, backend: PageBackend) -> None:
    backend.notice = "A tiny model answers."
    chat.reload()
    expect(chat.page.get_by_text("A tiny model answers.")).to_be_visible()


def test_a_refused_message_is_kept_for_another_try(chat: ChatPage, backend: PageBackend) -> None:
    backend.refuse_with = {"error": "This message is too long.", "code": "message_too_long"}
    chat.send("Hello")
    expect(chat.problems).to_contain_text("This message is too long.")
    expect(chat.own).to_contain_text("Not sent.")
    backend.refuse_with = None
    backend.model_says = lambda _: ["Hi"]
    chat.button("Retry").click()
    chat.expect_messages("Hello", "Hi")


def test_who_has_spent_the_day_s_tokens_is_told_until_when_and_may_try_again(
    chat: ChatPage, backend: PageBackend
) -> None:
    backend.refuse_with = {"error": "Spent.", "code": "token_budget_spent", "retryAfter": 40_000}
    chat.send("Hello")
    expect(chat.problems).to_contain_text("Spent. (Try again in 12 hours.)")
    expect(chat.own).to_contain_text("Not sent.")
    expect(chat.sign_in).to_be_hidden()
    backend.refuse_with = None
    backend.model_says = lambda _: ["Hi"]
    chat.button("Retry").click()
    chat.expect_messages("Hello", "Hi")


def test_retry_after_is_respected_and_the_message_goes_out_by_itself(chat: ChatPage, backend: PageBackend) -> None:
    backend.refuse_with = {"error": "Too many messages.", "code": "rate_limited", "retryAfter": 60}
    backend.model_says = lambda _: ["Hi"]
    chat.page.clock.install()
    chat.send("Hello")
    expect(chat.own).to_contain_text("Sending again in")
    assert len(backend.received_chats("Hello")) == 1
    backend.refuse_with = None
    chat.page.clock.fast_forward("01:10")
    chat.expect_messages("Hello", "Hi")
    assert len(backend.received_chats("Hello")) == 2
