"""The chat page in a real browser, against a fake backend that can be made to misbehave.

`ChatPage` drives any deployment of the page: give it the page's URL.
"""

import re
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.page_backend import BASE, WEB, PageBackend

CHROMIUM_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
RESPONSIVE = 3000  # milliseconds the page may be busy at a stretch, on a slow machine that has much else to do
RICH = 31_900  # characters: just below what the page still shows as Markdown

SCRIPTS = {
    "script": "<script>window.hacked = 1</script>",
    "event handler": "<img src=x onerror='window.hacked = 1'><svg onload='window.hacked = 1'>",
    "javascript link": "[click](javascript:window.hacked=1) <a href='javascript:window.hacked=1'>x</a>",
    "disguised javascript link": "[click](JaVaScRiPt:window.hacked=1) [click](\tjavascript:window.hacked=1)",
    "data link": "[click](data:text/html,<script>window.hacked=1</script>)",
    "image beacon": "![alt](http://beacon.invalid/a.png) ![alt](//beacon.invalid/b.png) ![x](data:image/png;base64,AA)",
    "linked image": "[![alt](http://beacon.invalid/a.png)](http://beacon.invalid/b)",
    "style": "<style>@import 'http://beacon.invalid/c.css'</style><link rel=stylesheet href=http://beacon.invalid/d>",
    "frame": "<iframe src=http://beacon.invalid/e></iframe><object data=http://beacon.invalid/f></object>",
    "code": "```<img src=x onerror=window.hacked=1>\n<script>window.hacked = 1</script>\n```",
    "attribute break": '[a](https://e.invalid/"onmouseover="window.hacked=1) [b](https://e.invalid "x" onclick=1)',
}
MARKUP_BOMBS = {
    "quotes in a line": "> " * 50_000,
    "quotes line by line": "\n".join("> " * (n % 300) + "x" for n in range(300)),
    "lists in a line": "- " * 50_000,
    "list items": "- a\n" * 12_000,
    "open emphasis": "*a " * 30_000,
    "mixed emphasis": "**a *b __c _d ~~e " * 5_500,
    "open brackets": "[" * 100_000,
    "open links": "[a](b" * 20_000,
    "link titles": '[a](b "' * 14_000,
    "backticks": "".join("`" * (n % 400) + "a" for n in range(480)),
    "fences": "```\n" * 25_000,
    "table": "|a" * 31 + "\n" + "|-" * 31 + "\n" + ("|a" * 31 + "\n") * 1_500,
    "nested lists": "".join("  " * (n % 9) + "- a\n" for n in range(5_000)),
    "closed emphasis": "*a*" * 30_000,
    "blank": " " * 31_000 + "x",
    "closing brackets": "http://a" + ")" * 31_000 + "a",
    "address": "https://" * 12_000,
    "backslashes": "\\" * 100_000,
    "white space in a link": "[a](b" + " " * 31_000 + "c",
}


class ChatPage:
    """What a person does on the chat page, and sees."""

    def __init__(self, page: Page, page_url: str) -> None:
        self.page = page
        self.page_url = page_url
        self.field = page.get_by_role("textbox", name="Message")
        self.log = page.get_by_role("log", name="Conversation")
        self.answers = page.get_by_role("article", name="Assistant")
        self.own = page.get_by_role("article", name="You")
        self.scroller = page.get_by_role("region", name="Messages")
        self.problems = page.get_by_role("status", name="Problems")
        self.messages = page.get_by_role("article").locator(".body")

    def open(self, conversation_id: str = "") -> None:
        self.page.goto(f"{self.page_url}?conversationId={conversation_id or uuid.uuid4()}")
        self.wait_for_connection()

    def wait_for_connection(self) -> None:
        expect(self.page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=15_000)

    def reload(self) -> None:
        self.page.reload()
        self.wait_for_connection()

    def send(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def clear(self) -> None:
        self.button("Clear").click()
        self.button("Clear conversation").click()

    def expect_messages(self, *texts: str | re.Pattern[str]) -> None:
        expect(self.messages).to_have_text(list(texts), timeout=15_000)

    def expect_idle(self) -> None:
        expect(self.button("Stop")).to_be_hidden(timeout=15_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def backend() -> Iterator[PageBackend]:
    with PageBackend().running() as backend:
        yield backend


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1000, "height": 700})
    yield context
    context.close()


@pytest.fixture
def chat(context: BrowserContext, backend: PageBackend) -> Iterator[ChatPage]:
    yield from watched(context, backend)


@pytest.fixture
def phone(chromium: Browser, backend: PageBackend) -> Iterator[ChatPage]:
    context = chromium.new_context(**PHONE)
    yield from watched(context, backend)
    context.close()


def watched(context: BrowserContext, backend: PageBackend) -> Iterator[ChatPage]:
    """The open page; whatever a test does, nothing may run amok, break the security policy or call elsewhere."""
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: troubles.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    context.on("request", lambda request: check_request(request.url, backend, troubles))
    chat = ChatPage(page, backend.page_url)
    chat.open("test-conversation")
    backend.wait_until(lambda: bool(backend.received_commands("resume")))
    yield chat
    assert troubles == []
    assert page.evaluate("window.hacked") is None


def check_request(url: str, backend: PageBackend, troubles: list[str]) -> None:
    if not url.startswith((backend.page_url, "data:image/svg+xml,")):
        troubles.append(f"fetched {url}")


# --- chatting -----------------------------------------------------------------------------------------------------


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
    other = ChatPage(context.new_page(), backend.page_url)
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


# --- stopping, clearing, failing ------------------------------------------------------------------------------------


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
    other = ChatPage(context.new_page(), backend.page_url)
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


def test_retry_after_is_respected_and_the_message_goes_out_by_itself(chat: ChatPage, backend: PageBackend) -> None:
    backend.refuse_with = {"error": "Too many messages.", "code": "rate_limited", "retryAfter": 2}
    backend.model_says = lambda _: ["Hi"]
    chat.send("Hello")
    expect(chat.own).to_contain_text("Sending again in")
    assert len(backend.received_chats("Hello")) == 1
    backend.refuse_with = None
    chat.expect_messages("Hello", "Hi")
    assert len(backend.received_chats("Hello")) == 2


# --- a connection that breaks ---------------------------------------------------------------------------------------


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
    backend.deaf = False
    backend.model_says = lambda _: ["Hi"]
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
    backend.refusing = False
    backend.model_says = lambda _: ["Hi"]
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
    chat = ChatPage(page, backend.page_url)
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


# --- hostile text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_hostile_text_stays_text(chat: ChatPage, backend: PageBackend, role: str, text: str) -> None:
    backend.append(role, text)
    expect(chat.messages).to_have_count(1)
    assert chat.messages.locator("img, script, style, link, iframe, object, svg, [onerror], [onclick]").count() == 0
    for link in chat.messages.locator("a").all():
        assert re.match(r"https?://", link.get_attribute("href") or "")
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"


def test_a_streamed_script_stays_text(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    backend.answer("<scr", "ipt>window.hacked", "=1</script><img src=x one", "rror=window.hacked=1>")
    chat.expect_messages("Hello", "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>")


def test_an_image_is_shown_as_its_description_and_address(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "Look: ![a cat](https://beacon.invalid/cat.png)!")
    chat.expect_messages("Look: a cat (https://beacon.invalid/cat.png)!")


def test_bidirectional_controls_do_not_leave_their_paragraph(chat: ChatPage, backend: PageBackend) -> None:
    backend.append("assistant", "\u202ereversed\n\nnext `\u202ecode` [\u202elink](https://e.invalid)")
    backend.append("user", "\u2066\u202e unbalanced")
    expect(chat.messages).to_have_count(2)
    styles = "nodes => nodes.map(node => getComputedStyle(node).unicodeBidi)"
    kinds = chat.messages.locator("p, code, a").evaluate_all(styles)
    assert set(kinds) <= {"isolate", "plaintext"} and len(kinds) == 5


@pytest.mark.parametrize("text", MARKUP_BOMBS.values(), ids=MARKUP_BOMBS.keys())
def test_pathological_markup_leaves_the_page_responsive(chat: ChatPage, backend: PageBackend, text: str) -> None:
    watch_pauses(chat.page)
    backend.append("assistant", text[:RICH])
    expect(chat.messages).to_have_count(1)
    assert longest_pause(chat.page) < RESPONSIVE


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_megabyte_of_nested_quotes_leaves_the_page_responsive(
    chat: ChatPage, backend: PageBackend, role: str
) -> None:
    watch_pauses(chat.page)
    backend.append(role, "> " * 500_000)
    expect(chat.messages).to_have_count(1)
    chat.field.fill("still alive")
    assert longest_pause(chat.page) < RESPONSIVE


def test_a_long_rich_answer_streams_without_a_pause(chat: ChatPage, backend: PageBackend) -> None:
    watch_pauses(chat.page)
    chat.send("Go")
    backend.wait_for_turn()
    backend.answer(*["> > - **bold** [link](https://e.invalid) `code`\n> > - again\n\n"] * 500)
    chat.expect_idle()
    expect(chat.answers.locator("blockquote").first).to_be_attached()
    assert longest_pause(chat.page) < RESPONSIVE


def watch_pauses(page: Page) -> None:
    page.evaluate("""() => {
        let last = performance.now();
        window.longestPause = 0;
        setInterval(() => {
            window.longestPause = Math.max(window.longestPause, performance.now() - last);
            last = performance.now();
        }, 10);
    }""")


def longest_pause(page: Page) -> float:
    """Milliseconds; up to the second frame from now, so that what is on its way to the screen counts."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"
    )
    return float(page.evaluate("window.longestPause"))


# --- Markdown -------------------------------------------------------------------------------------------------------

MARKDOWN = {
    "paragraphs": ("one\ntwo\n\nthree", "p:one\ntwo|p:three"),
    "heading": ("# Title #tag\ntext", "h3:Title #tag|p:text"),
    "emphasis": ("**b** *i* ***bi*** __b__ _i_ ~~d~~", "p:strong(b) em(i) strong(em(bi)) strong(b) em(i) del(d)"),
    "no emphasis": ("2 * 3 * 4 snake_case_name **open *x", "p:2 * 3 * 4 snake_case_name **open *x"),
    "code span": ("a `x*y*` ``a`b`` `open", "p:a code(x*y*) code(a`b) `open"),
    "escapes": (r"\*not\* \[a\](b)", "p:*not* [a](b)"),
    "fence": ("```py\na = 1\n\n  b\n```\nafter", "div:py Copy a = 1\n\n  b|p:after"),
    "open fence": ("```\na", "div: Copy a"),
    "list": ("- a\n- b\n  - c\n\n- d", "ul:li(p(a)) li(p(b) ul(li(p(c)))) li(p(d))"),
    "numbered list": ("3. a\n4. b", "ol:li(p(a)) li(p(b))"),
    "quote": ("> a\n> > b", "blockquote:p(a) blockquote(p(b))"),
    "rule": ("a\n\n---\n\nb", "p:a|hr:|p:b"),
    "table": (
        "x:\n| a | b |\n|---|:-:|\n| 1 | **2** |",
        "p:x:|div:table(thead(tr(th(a) th(b))) tbody(tr(td(1) td(strong(2)))))",
    ),
    "links": (
        "[a](https://e.invalid/x_(y)) <https://e.invalid> https://e.invalid/b_c. (https://e.invalid)",
        "p:a(a) a(https://e.invalid) a(https://e.invalid/b_c). (a(https://e.invalid))",
    ),
    "no links": ("[a](/relative) [b](ftp://e.invalid) [c]", "p:[a](/relative) [b](ftp://e.invalid) [c]"),
}  # fmt: skip
OUTLINE = """async ([base, text]) => {
    const { renderMarkdown } = await import(base + "assets/markdown.js");
    const outline = (node) => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        const inside = inner(node);
        return ["BUTTON", "SPAN", "PRE", "DIV"].includes(node.tagName) || node.closest(".code")
            ? inside : `${node.tagName.toLowerCase()}(${inside})`;
    };
    const blocks = /^(LI|UL|OL|P|BLOCKQUOTE|TR|T[HD]|TBODY|THEAD|PRE|DIV|BUTTON|SPAN)$/;
    const inner = (node) => [...node.childNodes].map((child, at) =>
        (at && blocks.test(child.tagName) ? " " : "") + outline(child)).join("");
    const container = document.createElement("div");
    renderMarkdown(container, text);
    return [...container.children].map((node) => `${node.tagName.toLowerCase()}:${inner(node)}`).join("|");
}"""


def test_markdown_becomes_the_right_elements(chat: ChatPage) -> None:
    outlines = {name: chat.page.evaluate(OUTLINE, [BASE, text]) for name, (text, _) in MARKDOWN.items()}
    assert outlines == {name: outline for name, (_, outline) in MARKDOWN.items()}


def test_code_can_be_copied(chat: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    backend.append("assistant", "```sh\nmake run\n```")
    chat.button("Copy").click()
    expect(chat.button("Copied")).to_be_visible()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "make run"


# --- everybody, everywhere ------------------------------------------------------------------------------------------


def test_the_keyboard_is_enough(chat: ChatPage, backend: PageBackend) -> None:
    keyboard = chat.page.keyboard
    expect(chat.field).to_be_focused()
    keyboard.type("first line")
    keyboard.press("Shift+Enter")
    keyboard.type("second line")
    keyboard.press("Enter")
    backend.wait_for_turn()
    backend.say("Once")
    expect(chat.button("Stop")).to_be_visible()
    keyboard.press("Escape")
    expect(chat.answers).to_contain_text("Stopped.")
    keyboard.press("Shift+Tab")  # Retry
    keyboard.press("Enter")
    backend.wait_for_turn()
    backend.answer("Twice")
    chat.expect_messages("first line\nsecond line", "Twice")
    press_until_focused(chat.page, "Shift+Tab", chat.button("Clear"))
    keyboard.press("Enter")
    press_until_focused(chat.page, "Tab", chat.button("Clear conversation"))
    keyboard.press("Enter")
    chat.expect_messages()
    expect(chat.field).to_be_focused()


def press_until_focused(page: Page, key: str, target: Locator) -> None:
    for _ in range(12):
        page.keyboard.press(key)
        if target.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"{key} never reached {target}")


def test_enter_that_ends_a_composition_does_not_send(chat: ChatPage, backend: PageBackend) -> None:
    chat.field.fill("にほん")
    chat.field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(chat.field).to_have_value("にほん")
    assert backend.received_chats("にほん") == []


def test_too_long_a_message_cannot_be_sent(chat: ChatPage, backend: PageBackend) -> None:
    chat.field.fill("😀" * 10_001)
    expect(chat.button("Send")).to_be_disabled()
    expect(chat.page.get_by_text("10,001 of 10,000 characters")).to_be_visible()
    chat.field.fill("😀" * 10_000)
    expect(chat.button("Send")).to_be_enabled()


def test_who_reads_above_is_not_dragged_down(chat: ChatPage, backend: PageBackend) -> None:
    for number in range(40):
        backend.append("user", f"number {number}")
    at_end = "node => node.scrollHeight - node.scrollTop - node.clientHeight < 2"
    expect(chat.own).to_have_count(40)
    assert chat.scroller.evaluate(at_end)
    chat.scroller.evaluate("node => node.scrollTop = 300")
    expect(chat.button("Jump to latest")).to_be_visible()
    backend.append("user", "below")
    expect(chat.own).to_have_count(41)
    assert chat.scroller.evaluate("node => node.scrollTop") == 300
    chat.button("Jump to latest").click()
    expect(chat.button("Jump to latest")).to_be_hidden()
    assert chat.scroller.evaluate(at_end)


def test_a_phone_never_scrolls_sideways(phone: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "w" * 500)
    backend.append(
        "assistant", f"```\n{'code ' * 100}\n```\n\n| {'| '.join(['column'] * 20)} |\n|{'-|' * 20}\n\n{'x' * 400}"
    )
    phone.field.fill("a long message " * 40)
    expect(phone.answers).to_be_visible()
    widths = "() => [document.documentElement.scrollWidth, document.querySelector('#scroller').scrollWidth]"
    assert phone.page.evaluate(widths) == [390, 390]
    assert float(phone.field.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")) >= 16  # no zoom on focus
    expect(phone.button("Send")).to_be_in_viewport()
    expect(phone.button("Clear")).to_be_in_viewport()


CONTRAST = """selectors => selectors.map(selector => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const luminance = (...colours) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const node = document.querySelector(selector);
    const backgrounds = [];
    for (let at = node; at; at = at.parentElement) backgrounds.unshift(getComputedStyle(at).backgroundColor);
    const paper = luminance(...backgrounds);
    const ink = luminance(...backgrounds, getComputedStyle(node).color);
    return [selector, (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05)];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(chat: ChatPage, backend: PageBackend, scheme: Any) -> None:
    chat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    backend.append("user", "question")
    backend.append("assistant", "a [link](https://e.invalid) `code`\n\n> quote\n\n```py\ncode\n```", status="failed")
    backend.broadcast({"type": "error", "error": "Oh.", "code": "oh"})
    expect(chat.problems).to_contain_text("Oh.")
    expect(chat.answers).to_be_visible()
    selectors = [
        ".user .body p", ".user .byline", ".assistant .byline span", ".assistant .body p", ".body a", ".body p code",
        "blockquote p", "pre code", ".code-bar span", ".note span", ".note button", ".problem span", "#model", "#new",
    ]  # fmt: skip
    ratios = dict(chat.page.evaluate(CONTRAST, selectors))
    assert {selector: ratio for selector, ratio in ratios.items() if ratio < 4.5} == {}


def test_dark_mode_follows_the_system(chat: ChatPage) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = chat.page.evaluate(background)
    chat.page.emulate_media(color_scheme="dark")
    assert chat.page.evaluate(background) != light


def test_reduced_motion_is_respected(chat: ChatPage, backend: PageBackend) -> None:
    chat.page.emulate_media(reduced_motion="reduce")
    chat.send("Hello")
    backend.wait_for_turn()
    expect(chat.answers).to_contain_text("Thinking")
    assert chat.page.evaluate("document.getAnimations().length") == 0


def test_an_id_is_made_where_the_page_is_no_secure_context(context: BrowserContext, backend: PageBackend) -> None:
    context.add_init_script("delete Crypto.prototype.randomUUID")
    page = context.new_page()
    page.goto(backend.page_url)
    page.wait_for_url(
        re.compile(r"conversationId=[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
    )


def test_no_module_writes_markup() -> None:
    for file in WEB.iterdir():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text())
