"""The page by keyboard alone: everything can be reached, seen to have the focus, and left again."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import PageBackend

FOCUSED = "node => node === document.activeElement"
RING = """node => {
    const visible = (at) => {
        const style = getComputedStyle(at);
        return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    };
    return visible(node) || visible(node.closest("form") ?? node);
}"""
NAME = """() => {
    const node = document.activeElement;
    return node.id || node.ariaLabel || node.textContent.trim();
}"""


@pytest.fixture
def listed(chat: ChatPage, backend: PageBackend) -> ChatPage:
    backend.shelf.add("test-conversation", "This one", minutes_ago=1)
    backend.shelf.add("robots", "Names for a robot", minutes_ago=20)
    backend.append("user", "Hello")
    backend.append("assistant", "Hi", toolCalls=[{"id": "1", "name": "look", "arguments": "{}"}])
    chat.reload()
    chat.expect_titles("This one", "Names for a robot")
    return chat


def walk(page: Page, key: str = "Tab") -> list[str]:
    """What gets the focus, one after the other, until the page is through."""
    names: list[str] = []
    for _ in range(60):
        page.keyboard.press(key)
        name = page.evaluate(NAME)
        if page.evaluate("document.activeElement === document.body") or (names and name == names[0]):
            break
        assert page.locator(":focus").evaluate(RING), f"{name} has the focus and does not show it"
        names.append(name)
    return names


def press_until_focused(page: Page, key: str, target: Locator) -> None:
    for _ in range(30):
        page.keyboard.press(key)
        if target.evaluate(FOCUSED):
            return
    pytest.fail(f"{key} never reached {target}")


def test_tab_reaches_everything_in_reading_order_and_always_shows_where_it_is(listed: ChatPage) -> None:
    listed.page.locator("body").evaluate(
        "body => { body.tabIndex = -1; body.focus(); body.removeAttribute('tabindex'); }"
    )
    assert walk(listed.page) == [
        "skip", "find", "This one1m ago", "More for This one", "Names for a robot20m ago", "More for Names for a robot",
        "archived", "sign-out", "new", "clear", "settings", "scroller", "Copy message", "Askedlook", "Copy answer",
        "Regenerate answer", "text",
    ]  # fmt: skip


def test_the_first_key_skips_to_the_message_field(listed: ChatPage) -> None:
    listed.page.locator("#skip").focus()
    expect(listed.button("Skip to the message field")).to_be_in_viewport()
    listed.page.keyboard.press("Enter")
    expect(listed.field).to_be_focused()


def test_a_conversation_is_opened_by_keyboard(listed: ChatPage) -> None:
    press_until_focused(listed.page, "Shift+Tab", listed.entries.last)
    listed.page.keyboard.press("Enter")
    listed.page.wait_for_url("**/?conversationId=robots")


def test_the_menu_is_walked_with_arrows_and_left_with_escape(listed: ChatPage) -> None:
    more = listed.button("More for Names for a robot")
    more.focus()
    listed.page.keyboard.press("Enter")
    expect(listed.button("Rename")).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "true")
    listed.page.keyboard.press("ArrowUp")
    expect(listed.button("Delete")).to_be_focused()
    listed.page.keyboard.press("ArrowDown")
    listed.page.keyboard.press("ArrowDown")
    expect(listed.button("Pin")).to_be_focused()
    listed.page.keyboard.press("Escape")
    expect(listed.button("Rename")).to_be_hidden()
    expect(more).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "false")


def test_a_conversation_is_renamed_by_keyboard(listed: ChatPage) -> None:
    listed.button("More for Names for a robot").focus()
    listed.page.keyboard.press("Enter")
    listed.page.keyboard.press("Enter")
    listed.page.keyboard.type("Robots")  # in place of the old title, which is selected
    listed.page.keyboard.press("Enter")
    listed.expect_titles("This one", "Robots")
    expect(listed.entries.last).to_be_focused()


def test_the_focus_stays_with_a_conversation_that_moves(listed: ChatPage) -> None:
    listed.button("More for Names for a robot").focus()
    for key in ("Enter", "ArrowDown", "Enter"):  # pin
        listed.page.keyboard.press(key)
    listed.expect_titles("Names for a robot", "This one")
    expect(listed.button("More for Names for a robot")).to_be_focused()


def test_the_focus_goes_on_to_the_next_conversation_when_one_leaves_the_list(
    listed: ChatPage, backend: PageBackend
) -> None:
    backend.shelf.add("menu", "Weekly menu", minutes_ago=5)
    listed.reload()
    listed.expect_titles("This one", "Weekly menu", "Names for a robot")
    listed.choose("Weekly menu", "Archive")
    listed.expect_titles("This one", "Names for a robot")
    expect(listed.entries.last).to_be_focused()
    listed.choose("Names for a robot", "Delete")
    listed.button("Delete conversation").click()
    listed.expect_titles("This one")
    expect(listed.page.get_by_role("searchbox")).to_be_focused()


def test_the_settings_keep_the_focus_and_give_it_back(listed: ChatPage) -> None:
    listed.button("Settings").focus()
    listed.page.keyboard.press("Enter")
    expect(listed.settings.get_by_label("Model")).to_be_enabled()
    for _ in range(12):
        listed.page.keyboard.press("Tab")
        assert listed.page.evaluate(
            "document.activeElement.closest('#panel') !== null || document.activeElement === document.body"
        )
    listed.page.keyboard.press("Escape")
    expect(listed.settings).to_be_hidden()
    expect(listed.button("Settings")).to_be_focused()


def test_settings_are_saved_by_keyboard(listed: ChatPage, backend: PageBackend) -> None:
    listed.button("Settings").click()
    expect(listed.settings.get_by_label("Model")).to_be_enabled()
    press_until_focused(listed.page, "Tab", listed.settings.get_by_label("Temperature"))
    listed.page.keyboard.type("0.5")
    listed.page.keyboard.press("Enter")
    expect(listed.settings.get_by_text("Saved.")).to_be_visible()
    assert backend.shelf.state["context"]["temperature"] == 0.5


def test_the_drawer_of_a_phone_keeps_the_focus_and_gives_it_back(phone: ChatPage, backend: PageBackend) -> None:
    opener = phone.button("Conversations")
    opener.focus()
    phone.page.keyboard.press("Enter")
    expect(phone.page.get_by_role("dialog", name="Conversations")).to_be_visible()
    for _ in range(8):
        phone.page.keyboard.press("Tab")
        assert phone.page.evaluate(
            "document.activeElement.closest('#drawer') !== null || document.activeElement === document.body"
        )
    phone.page.keyboard.press("Escape")
    expect(phone.page.get_by_role("dialog", name="Conversations")).to_be_hidden()
    expect(opener).to_be_focused()


def test_escape_in_the_drawer_leaves_one_thing_at_a_time(phone: ChatPage, backend: PageBackend) -> None:
    backend.shelf.add("robots", "Names for a robot")
    phone.reload()
    phone.button("Conversations").click()
    drawer = phone.page.get_by_role("dialog", name="Conversations")
    phone.button("More for Names for a robot").click()
    phone.page.keyboard.press("Escape")
    expect(phone.button("Rename")).to_be_hidden()
    phone.button("More for Names for a robot").click()
    phone.button("Rename").click()
    phone.page.keyboard.press("Escape")
    expect(phone.page.get_by_role("textbox", name="Title")).to_be_hidden()
    expect(drawer).to_be_visible()
    phone.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_a_tap_beside_the_drawer_closes_it(phone: ChatPage) -> None:
    phone.button("Conversations").click()
    drawer = phone.page.get_by_role("dialog", name="Conversations")
    expect(drawer).to_be_visible()
    phone.page.touchscreen.tap(380, 400)
    expect(drawer).to_be_hidden()


def test_a_phone_that_is_turned_gets_the_list_beside_the_messages(phone: ChatPage, backend: PageBackend) -> None:
    backend.shelf.add("robots", "Names for a robot")
    phone.reload()
    phone.button("Conversations").click()
    phone.page.set_viewport_size({"width": 900, "height": 420})
    expect(phone.page.get_by_role("dialog", name="Conversations")).to_be_hidden()
    phone.expect_titles("Names for a robot")
    expect(phone.titles).to_be_visible()
