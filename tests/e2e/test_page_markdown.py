"""Markdown on the page."""

from playwright.sync_api import BrowserContext, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import PageBackend

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
OUTLINE = """body => {
    const outline = (node) => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        const inside = inner(node);
        return ["BUTTON", "SPAN", "PRE", "DIV"].includes(node.tagName) || node.closest(".code")
            ? inside : `${node.tagName.toLowerCase()}(${inside})`;
    };
    const blocks = /^(LI|UL|OL|P|BLOCKQUOTE|TR|T[HD]|TBODY|THEAD|PRE|DIV|BUTTON|SPAN)$/;
    const inner = (node) => [...node.childNodes].map((child, at) =>
        (at && blocks.test(child.tagName) ? " " : "") + outline(child)).join("");
    return [...body.children].map((node) => `${node.tagName.toLowerCase()}:${inner(node)}`).join("|");
}"""


def test_markdown_becomes_the_right_elements(chat: ChatPage, backend: PageBackend) -> None:
    for text, _ in MARKDOWN.values():
        backend.append("assistant", text)
    expect(chat.messages).to_have_count(len(MARKDOWN))
    outlines = [body.evaluate(OUTLINE) for body in chat.messages.all()]
    assert dict(zip(MARKDOWN, outlines, strict=True)) == {name: outline for name, (_, outline) in MARKDOWN.items()}


def test_code_can_be_copied(chat: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    backend.append("assistant", "```sh\nmake run\n```")
    chat.button("Copy").click()
    expect(chat.button("Copied")).to_be_visible()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "make run"
