"""The page and its access token: where it comes from, where it goes, and what happens without one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend, token_of

RENEWED = token_of("alice", 2)
HISTORY = "conversation/test-conversation/messages"
HERE = "?conversationId=test-conversation"


@pytest.fixture
def stranger(context: BrowserContext, backend: PageBackend) -> Iterator[ChatPage]:
    """The page as somebody opens it who has no token."""
    visitor = ChatPage(context.new_page(), backend.page_url)
    visitor.visit(HERE)
    yield visitor
    assert None not in backend.credentials_of("live") + backend.credentials_of(HISTORY)  # nobody asks in vain


def expect_to_be_asked(chat: ChatPage, reason: str) -> None:
    expect(chat.sign_in).to_be_visible()
    expect(chat.page.locator("#access").get_by_role("status")).to_have_text(reason)
    expect(chat.page.get_by_role("status").filter(has_text="No access")).to_be_visible()


def test_the_token_of_the_address_opens_every_door(chat: ChatPage, backend: PageBackend) -> None:
    expect(chat.sign_in).to_be_hidden()
    assert set(backend.credentials_of("live") + backend.credentials_of(HISTORY)) == {TOKEN}


def test_the_token_does_not_stay_in_the_address(chat: ChatPage, backend: PageBackend) -> None:
    assert chat.page.url == backend.page_url + HERE
    assert chat.page.evaluate("history.length") == 2  # about:blank and this one


def test_the_token_is_kept_for_this_tab_and_for_no_other(
    chat: ChatPage, context: BrowserContext, backend: PageBackend
) -> None:
    chat.reload()
    chat.button("New chat").click()
    chat.wait_for_connection()
    assert TOKEN not in str(chat.page.evaluate("[{...localStorage}, document.cookie]"))
    other = ChatPage(context.new_page(), backend.page_url)
    other.visit()
    expect(other.sign_in).to_be_visible()


def test_without_a_token_the_page_asks_for_one_and_for_nothing_else(stranger: ChatPage, backend: PageBackend) -> None:
    expect_to_be_asked(stranger, "This chat needs an access token.")
    expect(stranger.page.get_by_text("make token USER=you")).to_be_visible()
    expect(stranger.token_field).to_have_attribute("type", "password")
    assert backend.credentials == []


def test_the_keyboard_is_enough_to_sign_in(stranger: ChatPage, backend: PageBackend) -> None:
    expect(stranger.token_field).to_be_focused()
    stranger.page.keyboard.insert_text(f"  Bearer {TOKEN}\n")
    stranger.page.keyboard.press("Enter")
    stranger.wait_for_connection()
    expect(stranger.sign_in).to_be_hidden()
    expect(stranger.field).to_be_focused()


def test_what_was_written_before_signing_in_is_there_and_is_sent_afterwards(
    stranger: ChatPage, backend: PageBackend
) -> None:
    backend.append("user", "earlier")
    stranger.send("sent")
    expect(stranger.own).to_contain_text("Will be sent when there is an access token.")
    stranger.field.fill("unfinished")
    stranger.paste_token(TOKEN)
    stranger.expect_messages("earlier", "sent", "Thinking")
    expect(stranger.field).to_have_value("unfinished")


def test_what_is_no_token_is_not_sent_anywhere(stranger: ChatPage, backend: PageBackend) -> None:
    stranger.paste_token("<img src=x onerror=alert(1)>")
    expect_to_be_asked(stranger, "That does not look like an access token.")
    expect(stranger.token_field).to_have_attribute("aria-invalid", "true")
    assert backend.credentials == []
    stranger.paste_token(TOKEN)
    stranger.wait_for_connection()


def test_a_token_that_the_server_refuses_is_asked_for_again(stranger: ChatPage, backend: PageBackend) -> None:
    stranger.paste_token(token_of("mallory"))
    expect_to_be_asked(stranger, "The server did not accept the access token.")
    expect(stranger.token_field).to_have_value("")
    stranger.paste_token(TOKEN)
    stranger.wait_for_connection()


def test_a_token_that_expires_in_the_middle_of_an_answer_costs_no_word(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Tell me")
    backend.wait_for_turn()
    backend.say("Once ")
    chat.expect_messages("Tell me", "Once")
    chat.field.fill("unfinished")
    backend.expire()
    expect_to_be_asked(chat, "The access token has expired.")
    expect(chat.field).to_have_value("unfinished")
    expect(chat.field).to_be_focused()  # who is writing is not interrupted
    backend.answer("upon a time")
    backend.tokens = {RENEWED}
    chat.paste_token(RENEWED)
    chat.expect_messages("Tell me", "Once upon a time")
    expect(chat.field).to_have_value("unfinished")


def test_a_message_that_met_an_expired_token_goes_out_with_the_next_one(chat: ChatPage, backend: PageBackend) -> None:
    backend.model_says = lambda _: ["Hi"]
    backend.refuse_with = {"error": "The token has expired.", "code": "token_expired"}
    backend.tokens = {RENEWED}
    chat.send("Hello")
    expect_to_be_asked(chat, "The access token has expired.")
    expect(chat.own).to_contain_text("Will be sent when there is an access token.")
    backend.refuse_with = None
    chat.paste_token(RENEWED)
    chat.expect_messages("Hello", "Hi")


def test_a_refused_handshake_is_not_repeated_for_ever(context: BrowserContext, backend: PageBackend) -> None:
    chat = ChatPage(context.new_page(), backend.page_url, TOKEN)
    chat.page.clock.install()
    chat.open("test-conversation")
    readings: list[Route] = []

    def hold(reading: Route) -> None:
        """Its refusal would end the trying."""
        readings.append(reading)

    chat.page.route("**/messages*", hold)
    backend.expire(told=False)
    chat.page.clock.run_for(2_000)  # reconnects, and is refused
    backend.wait_until(lambda: len(backend.credentials_of("live")) == 2)
    expect(chat.page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    chat.page.unroute_all()
    for reading in readings:
        reading.continue_()
    chat.page.clock.run_for(5_000)
    expect_to_be_asked(chat, "The server did not accept the access token.")
    asked = len(backend.credentials)
    chat.page.clock.run_for("10:00")
    assert len(backend.credentials) == asked
    backend.tokens = {RENEWED}
    chat.paste_token(RENEWED)
    chat.wait_for_connection()


def test_a_token_refused_while_reading_is_asked_for_and_the_reading_goes_on(
    chat: ChatPage, backend: PageBackend
) -> None:
    for number in range(60):
        backend.append("user", f"number {number}")
    chat.reload()
    expect(chat.own).to_have_count(50)
    backend.tokens = {RENEWED}
    chat.button("Earlier messages").dispatch_event("click")
    expect_to_be_asked(chat, "The server did not accept the access token.")
    chat.paste_token(RENEWED)
    expect(chat.own).to_have_count(60)
    chat.wait_for_connection()


def test_a_link_with_a_new_token_renews_the_open_page(chat: ChatPage, backend: PageBackend) -> None:
    backend.tokens = {TOKEN, RENEWED}
    chat.page.evaluate(f"location.hash = 'token={RENEWED}'")
    backend.wait_until(lambda: RENEWED in backend.credentials_of("live"))
    chat.wait_for_connection()
    assert chat.page.url == backend.page_url + HERE


def test_another_user_sees_nothing_of_the_last_one(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "alice's secret")
    chat.expect_messages("alice's secret")
    backend.expire()
    expect(chat.sign_in).to_be_visible()
    backend.log, backend.epoch, backend.tokens = [], "epoch-0000", {token_of("bob")}  # an older conversation
    chat.paste_token(token_of("bob"))
    chat.wait_for_connection()
    chat.expect_messages()


@pytest.fixture
def leftovers(chat: ChatPage, backend: PageBackend) -> ChatPage:
    """Alice's token has expired, and something of hers waits: a message that is not sent, and half of another."""
    backend.expire()
    expect(chat.sign_in).to_be_visible()
    chat.send("alice's plan")
    chat.field.fill("alice's thought")
    expect(chat.own).to_contain_text("Will be sent when there is an access token.")
    backend.tokens = {token_of("mallory"), RENEWED}
    return chat


def expect_a_fresh_page(chat: ChatPage, backend: PageBackend) -> None:
    chat.wait_for_connection()
    backend.wait_until(lambda: token_of("mallory") in backend.credentials_of("live"))
    expect(chat.field).to_have_value("")
    chat.expect_messages()
    chat.send("mine")
    backend.wait_until(lambda: bool(backend.received_chats("mine")))
    assert backend.received_chats("alice's plan") == []


def test_what_waits_is_not_sent_with_the_token_that_somebody_else_pastes(
    leftovers: ChatPage, backend: PageBackend
) -> None:
    leftovers.paste_token(token_of("mallory"))
    expect_a_fresh_page(leftovers, backend)


@pytest.mark.parametrize("reloads", [True, False])
def test_what_waits_is_not_sent_with_the_token_of_a_link(
    leftovers: ChatPage, backend: PageBackend, reloads: bool
) -> None:
    if reloads:
        leftovers.page.goto("about:blank")
    leftovers.page.goto(f"{backend.page_url}{HERE}#token={token_of('mallory')}")
    expect_a_fresh_page(leftovers, backend)


def test_a_link_gets_nothing_of_what_was_written_before_anybody_signed_in(
    stranger: ChatPage, backend: PageBackend
) -> None:
    backend.tokens = {token_of("mallory")}
    stranger.send("alice's plan")
    stranger.field.fill("alice's thought")
    stranger.page.evaluate(f"location.hash = 'token={token_of('mallory')}'")
    expect_a_fresh_page(stranger, backend)


def test_what_waits_is_sent_when_its_writer_is_back(leftovers: ChatPage, backend: PageBackend) -> None:
    leftovers.page.reload()
    expect(leftovers.sign_in).to_be_visible()
    expect(leftovers.field).to_have_value("")
    leftovers.paste_token(RENEWED)
    leftovers.expect_messages("alice's plan", "Thinking")
    expect(leftovers.field).to_have_value("alice's thought")


def test_where_no_token_is_needed_none_is_asked_for_and_none_is_sent(
    context: BrowserContext, backend: PageBackend
) -> None:
    backend.auth = "none"
    chat = ChatPage(context.new_page(), backend.page_url, TOKEN)
    chat.open("test-conversation")
    expect(chat.sign_in).to_be_hidden()
    assert set(backend.credentials_of("live") + backend.credentials_of(HISTORY)) == {None}
    assert "#" not in chat.page.url


def test_where_an_identity_provider_issues_tokens_the_page_says_so(
    context: BrowserContext, backend: PageBackend
) -> None:
    backend.auth = "oidc"
    chat = ChatPage(context.new_page(), backend.page_url)
    chat.visit()
    expect(chat.page.get_by_text("Your identity provider issues one.")).to_be_visible()


def test_a_door_that_stays_shut_for_another_reason_is_explained(chat: ChatPage, backend: PageBackend) -> None:
    backend.refusing = True
    backend.not_found = True
    backend.drop()
    expect(chat.problems).to_contain_text("There is no such conversation.")
    expect(chat.sign_in).to_be_hidden()
