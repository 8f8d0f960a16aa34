"""The page on a connection that breaks: nothing lost, nothing twice."""

from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend


def test_a_dropped_socket_costs_no_character_and_doubles_none(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Count")
    backend.wait_for_turn()
    words = [f"{number} 😀é " for number in range(40)]
    for at in range(0, 40, 10):
        backend.say(*words[at : at + 5])
        chat.expect_messages("Count", "".join(words[: at + 5]))
        backend.drop()
        backend.say(*words[at + 5 : at + 10])
        chat.wait_for_connection()
    backend.finish()
    chat.expect_messages("Count", "".join(words))
    chat.expect_idle()


def test_an_answer_that_ended_while_away_is_there(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    backend.wait_for_turn()
    backend.say("Once ")
    chat.expect_messages("Tell me", "Once")
    backend.refusing = True
    backend.drop()
    expect(chat.page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    backend.answer("upon a time")
    backend.refusing = False
    chat.expect_messages("Tell me", "Once upon a time")
    chat.expect_idle()


def test_a_server_that_answers_but_opens_no_socket_is_explained(chat: ChatPage, backend: PageBackend) -> None:
    backend.refusing = True
    backend.drop()
    expect(chat.problems).to_contain_text("No live connection comes about.")
    backend.refusing = False
    chat.wait_for_connection()


def test_a_message_sent_while_offline_arrives_once(chat: ChatPage, backend: PageBackend) -> None:
    backend.model_says = lambda text: [f"You said {text}"]
    backend.refusing = True
    backend.drop()
    expect(chat.page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    chat.send("one")
    chat.send("two")
    expect(chat.own.first).to_contain_text("Will be sent when the connection is back.")
    backend.refusing = False
    chat.expect_messages("one", "You said one", "two", "You said two")
    assert [len(backend.received_chats(text)) for text in ("one", "two")] == [1, 1]


def test_a_message_lost_with_its_socket_is_sent_again_under_its_id(chat: ChatPage, backend: PageBackend) -> None:
    backend.deaf = True
    chat.send("Hello")
    expect(chat.own).to_be_visible()
    backend.drop()
    backend.model_says = lambda _: ["Hi"]
    backend.deaf = False
    chat.expect_messages("Hello", "Hi")
    backend.drop()
    chat.wait_for_connection()
    chat.expect_messages("Hello", "Hi")


def test_what_was_not_sent_survives_a_reload(chat: ChatPage, backend: PageBackend) -> None:
    backend.refusing = True
    backend.drop()
    chat.send("sent")
    chat.field.fill("unfinished")
    expect(chat.own).to_be_visible()
    backend.model_says = lambda _: ["Hi"]
    backend.refusing = False
    chat.reload()
    chat.expect_messages("sent", "Hi")
    expect(chat.field).to_have_value("unfinished")


def test_a_clear_while_away_is_noticed(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "old")
    chat.expect_messages("old")
    backend.drop()
    backend.clear()
    backend.append("user", "new")
    chat.expect_messages("new")


def test_a_hole_in_the_deltas_is_filled(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Count")
    turn = backend.wait_for_turn()
    backend.say("one ")
    turn.text += "🙂two "  # said, but nobody got it
    backend.say("three")
    chat.expect_messages("Count", "one 🙂two three")


def test_a_message_that_was_never_pushed_is_fetched(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "first")
    chat.expect_messages("first")
    backend.seq = 2
    backend.log.append(backend.log[0] | {"seq": 2, "messageId": "lost", "content": "lost"})
    backend.append("user", "third")
    chat.expect_messages("first", "lost", "third")


def test_a_second_attempt_starts_the_text_afresh(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    turn = backend.wait_for_turn()
    backend.say("Onc")
    turn.attempt, turn.text = 2, ""
    backend.say("Twice")
    chat.expect_messages("Tell me", "Twice")


def test_a_silent_socket_is_pinged_and_then_replaced(context: BrowserContext, backend: PageBackend) -> None:
    page = context.new_page()
    page.clock.install()
    chat = ChatPage(page, backend.page_url, TOKEN)
    chat.open()
    backend.wait_until(lambda: len(backend.received_commands("resume")) == 1)
    page.clock.fast_forward("05:01")
    backend.wait_until(lambda: len(backend.received_commands("ping")) == 1)
    backend.deaf = True
    page.clock.fast_forward("05:01")
    page.clock.fast_forward("00:11")
    backend.deaf = False
    page.clock.fast_forward("00:31")
    backend.wait_until(lambda: len(backend.received_commands("resume")) >= 2)
