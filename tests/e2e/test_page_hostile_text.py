"""Hostile text on the page: nothing executes, nothing is fetched, nothing hangs."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend

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
HOSTILE_WORDS = [
    "<script>window.hacked = 1</script>",
    "\"><img src=x onerror='window.hacked = 1'>",
    "javascript:window.hacked=1//",
    "</script><script>window.hacked=1</script>",
    "../../health?",
    "..",
    "a\r\nX-Injected: 1",
    "a.b.c, d.e.f",
    "\u202eevil\u0000",
    "x" * 5_000,
]
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
    "tildes": "~" * 31_000 + "`",
    "white space in a heading": "# " + " " * 31_000 + "\u2028x",
    "code behind a space": "` " + "x" * 31_000 + "`",
}


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


def test_bidirectional_controls_do_not_reorder_the_page_s_own_words(chat: ChatPage, backend: PageBackend) -> None:
    hostile = "\u202e\u2067\u2066\u202b evil \u05d0\u05d1\u05d2"
    backend.append("user", hostile)
    backend.append("assistant", f"```{hostile}\ncode {hostile}\n```\n{hostile}", status="cancelled")
    backend.broadcast({"type": "error", "error": hostile, "code": hostile})
    expect(chat.messages).to_have_count(2)
    expect(chat.problems).to_be_visible()
    words = ["You", "Assistant", "Stopped.", "Retry", "Copy", "Dismiss", "Clear", "Connected"]
    assert {word: chat.page.evaluate(READS_FORWARD, word) for word in words} == dict.fromkeys(words, True)


READS_FORWARD = """word => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const placeOf = (node, at) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect();
    };
    let found = 0;
    while (walker.nextNode()) {
        const node = walker.currentNode;
        if (node.data !== word || !placeOf(node, 0).width) continue;
        found += 1;
        for (let at = 1; at < word.length; at += 1)
            if (placeOf(node, at).left < placeOf(node, at - 1).right - 1) return false;
    }
    return found > 0;
}"""


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
    chat.button("Clear").click(timeout=RESPONSIVE)
    expect(chat.button("Keep it")).to_be_visible(timeout=RESPONSIVE)


def test_a_megabyte_of_nested_quotes_may_stream(chat: ChatPage, backend: PageBackend) -> None:
    watch_pauses(chat.page)
    chat.send("Go")
    backend.wait_for_turn()
    backend.answer(*["> " * 10_000] * 50)
    expect(chat.answers).to_have_attribute("data-state", "complete")
    chat.expect_idle()
    assert longest_pause(chat.page) < RESPONSIVE
    chat.button("Clear").click(timeout=RESPONSIVE)
    expect(chat.button("Keep it")).to_be_visible(timeout=RESPONSIVE)


def test_a_long_rich_answer_streams_without_a_pause(chat: ChatPage, backend: PageBackend) -> None:
    watch_pauses(chat.page)
    chat.send("Go")
    backend.wait_for_turn()
    backend.answer(*["> > - **bold** [link](https://e.invalid) `code`\n> > - again\n\n"] * 500)
    expect(chat.answers).to_have_attribute("data-state", "complete")
    chat.expect_idle()
    expect(chat.answers.locator("blockquote").first).to_be_attached()
    assert longest_pause(chat.page) < RESPONSIVE


@pytest.mark.parametrize("hostile", HOSTILE_WORDS)
def test_a_hostile_address_opens_a_fresh_conversation_and_no_door(
    chat: ChatPage, backend: PageBackend, hostile: str
) -> None:
    chat.page.evaluate("sessionStorage.clear(); localStorage.clear()")
    chat.page.goto("about:blank")
    backend.credentials.clear()
    chat.page.goto(f"{backend.page_url}?conversationId={quote(hostile)}#token={quote(hostile)}")
    expect(chat.sign_in).to_be_visible()
    assert re.fullmatch(re.escape(backend.page_url) + r"\?conversationId=[0-9a-f-]{36}", chat.page.url)
    assert backend.credentials == []
    chat.paste_token(TOKEN)
    chat.wait_for_connection()


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
