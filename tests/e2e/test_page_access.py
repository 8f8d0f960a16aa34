"""The page for everybody, everywhere: keyboard, phone, contrast, motion."""

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from copilotedge import page
from tests.e2e.chat_page import ChatPage
from tests.page_backend import PageBackend


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


def test_that_a_message_gets_too_long_is_announced_once(chat: ChatPage) -> None:
    announced = """() => {
        window.announced = [];
        const note = (changes) => changes.forEach(({ target }) => window.announced.push(target.textContent));
        for (const region of document.querySelectorAll(".under [role=status]"))
            new MutationObserver(note).observe(region, { childList: true, characterData: true, subtree: true });
    }"""
    chat.page.evaluate(announced)
    for length in (8_000, 9_001, 9_002, 9_003, 10_001, 10_002, 20):
        chat.field.fill("x" * length)
    assert chat.page.evaluate("window.announced") == ["The message is nearly too long.", "The message is too long.", ""]


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
    phone.page.set_viewport_size({"width": 360, "height": 640})
    assert phone.page.evaluate(widths) == [360, 360]
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
    backend.expire()
    expect(chat.sign_in).to_be_visible()
    selectors = [
        ".user .body p", ".user .byline", ".assistant .byline span", ".assistant .body p", ".body a", ".body p code",
        "blockquote p", "pre code", ".code-bar span", ".note span", ".note button", ".problem span", "#model", "#new",
        "#access-state", "#access label", "#access button", "#token-source", "#token-source code",
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
    tab = context.new_page()
    tab.goto(backend.page_url)
    tab.wait_for_url(re.compile(r"conversationId=[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))


def test_no_module_writes_markup() -> None:
    for file in page.SOURCES.iterdir():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text())
