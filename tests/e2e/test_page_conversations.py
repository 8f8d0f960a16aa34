"""The list of conversations on the page."""

import re

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import TOKEN, PageBackend, token_of
from tests.page_rest import refusal


@pytest.fixture
def listed(chat: ChatPage, backend: PageBackend) -> ChatPage:
    """Four conversations, the open one among them."""
    backend.shelf.add("test-conversation", "This one", minutes_ago=1)
    backend.shelf.add("robots", "Names for a robot", minutes_ago=20)
    backend.shelf.add("menu", "Weekly menu", minutes_ago=100, pinned=True)
    backend.shelf.add("untitled", None, minutes_ago=3000)
    chat.reload()
    chat.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")
    return chat


def test_the_list_tells_pinned_ones_first_and_then_the_latest_and_when_that_was(listed: ChatPage) -> None:
    abouts = listed.entries.locator(".about")
    expect(abouts).to_have_text(["Pinned, 1h ago", re.compile(r"[12]m ago"), "20m ago", "2d ago"])


def test_the_open_conversation_is_highlighted_and_names_the_page(listed: ChatPage) -> None:
    current = listed.list.locator("[aria-current=page]")
    expect(current).to_have_text(re.compile("This one"))
    expect(listed.title).to_have_text("This one")
    expect(listed.page).to_have_title("This one · CopilotEdge")


def test_opening_another_one_changes_the_address_and_back_returns(listed: ChatPage) -> None:
    listed.entries.filter(has_text="robot").click()
    listed.page.wait_for_url(re.compile(r"\?conversationId=robots$"))
    expect(listed.title).to_have_text("Names for a robot")
    listed.page.go_back()
    listed.page.wait_for_url(re.compile(r"\?conversationId=test-conversation$"))
    expect(listed.title).to_have_text("This one")


def test_the_list_stands_there_at_once_on_the_next_page(listed: ChatPage, backend: PageBackend) -> None:
    backend.shelf.failing = refusal(503, "store_unavailable", "Not now.")
    listed.page.reload()
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_a_title_is_rewritten_where_it_stands(listed: ChatPage, backend: PageBackend) -> None:
    listed.choose("Names for a robot", "Rename")
    field = listed.page.get_by_role("textbox", name="Title")
    expect(field).to_be_focused()
    expect(field).to_have_value("Names for a robot")
    field.fill("  Robots  ")
    field.press("Enter")
    listed.expect_titles("Weekly menu", "This one", "Robots", "Untitled")
    assert backend.shelf.entries["robots"]["title"] == "Robots"


def test_escape_leaves_a_title_as_it_was(listed: ChatPage, backend: PageBackend) -> None:
    listed.choose("Names for a robot", "Rename")
    field = listed.page.get_by_role("textbox", name="Title")
    field.fill("Robots")
    field.press("Escape")
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")
    expect(listed.button("More for Names for a robot")).to_be_focused()
    assert backend.shelf.entries["robots"]["title"] == "Names for a robot"


def test_an_emptied_title_is_automatic_again(listed: ChatPage, backend: PageBackend) -> None:
    listed.choose("Names for a robot", "Rename")
    listed.page.get_by_role("textbox", name="Title").fill("")
    listed.page.keyboard.press("Enter")
    listed.expect_titles("Weekly menu", "This one", "Untitled", "Untitled")
    assert backend.shelf.asked[-1].body == {"title": None}


def test_the_list_is_read_again_when_the_connection_is_back(listed: ChatPage, backend: PageBackend) -> None:
    backend.shelf.entries["robots"]["title"] = "Renamed elsewhere"
    backend.drop()
    listed.expect_titles("Weekly menu", "This one", "Renamed elsewhere", "Untitled")


def test_the_open_conversation_is_renamed_in_the_heading_too(listed: ChatPage) -> None:
    listed.choose("This one", "Rename")
    listed.page.get_by_role("textbox", name="Title").fill("That one")
    listed.page.keyboard.press("Enter")
    expect(listed.title).to_have_text("That one")


def test_a_conversation_can_be_pinned_and_unpinned(listed: ChatPage) -> None:
    listed.choose("Names for a robot", "Pin")
    listed.expect_titles("Names for a robot", "Weekly menu", "This one", "Untitled")
    listed.choose("Names for a robot", "Unpin")
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_archived_ones_leave_the_list_and_can_be_taken_back(listed: ChatPage) -> None:
    listed.choose("Names for a robot", "Archive")
    listed.expect_titles("Weekly menu", "This one", "Untitled")
    listed.button("Archived").click()
    listed.expect_titles("Names for a robot")
    listed.choose("Names for a robot", "Take back")
    listed.expect_titles()
    expect(listed.list.get_by_text("Nothing is archived.")).to_be_visible()
    listed.button("Archived").click()
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_deleting_asks_first(listed: ChatPage, backend: PageBackend) -> None:
    listed.choose("Names for a robot", "Delete")
    dialog = listed.page.get_by_role("dialog", name="Delete “Names for a robot”?")
    expect(dialog).to_contain_text("This cannot be undone.")
    listed.button("Keep it").click()
    expect(listed.button("More for Names for a robot")).to_be_focused()
    listed.choose("Names for a robot", "Delete")
    listed.button("Delete conversation").click()
    listed.expect_titles("Weekly menu", "This one", "Untitled")
    assert "robots" not in backend.shelf.entries


def test_who_deletes_the_open_conversation_is_in_a_new_one(listed: ChatPage) -> None:
    listed.choose("This one", "Delete")
    listed.button("Delete conversation").click()
    listed.page.wait_for_url(re.compile(r"conversationId=[0-9a-f-]{36}$"))
    expect(listed.title).to_have_text("New chat")


def test_what_the_server_says_against_a_change_is_told(listed: ChatPage, backend: PageBackend) -> None:
    backend.shelf.failing = refusal(403, "not_owner", "Only its owner may do that.")
    listed.choose("Names for a robot", "Pin")
    expect(listed.problems).to_contain_text("Only its owner may do that.")
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_titles_are_searched(listed: ChatPage) -> None:
    field = listed.page.get_by_role("searchbox", name="Search conversations")
    field.fill("ROBOT")
    listed.expect_titles("Names for a robot")
    field.fill("nowhere")
    expect(listed.list.get_by_text("No title contains that.")).to_be_visible()
    field.fill("")
    listed.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_a_long_list_is_read_page_by_page(chat: ChatPage, backend: PageBackend) -> None:
    for number in range(70):
        backend.shelf.add(f"c{number}", f"Conversation {number}", minutes_ago=number)
    chat.reload()
    expect(chat.entries).to_have_count(30)
    chat.button("More").click()
    expect(chat.entries).to_have_count(60)
    chat.button("More").click()
    chat.expect_titles(*(f"Conversation {number}" for number in range(70)))
    expect(chat.button("More")).to_be_hidden()


def test_what_more_brings_is_not_lost_when_the_list_is_read_again_meanwhile(
    chat: ChatPage, backend: PageBackend
) -> None:
    for number in range(40):
        backend.shelf.add(f"c{number}", f"Conversation {number}", minutes_ago=number)
    chat.reload()
    expect(chat.entries).to_have_count(30)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    chat.page.route("**/conversations?*cursor=*", hold)
    chat.button("More").click()
    backend.shelf.entries["c0"]["title"] = "Renamed elsewhere"
    backend.drop()
    expect(chat.titles.first).to_have_text("Renamed elsewhere")
    held[0].continue_()
    expect(chat.entries).to_have_count(40)


def test_a_new_conversation_is_listed_after_its_first_answer_and_then_gets_its_title(
    chat: ChatPage, backend: PageBackend
) -> None:
    expect(chat.list.get_by_text("What you talk about will be listed here.")).to_be_visible()
    chat.send("Hello")
    backend.wait_for_turn()
    backend.shelf.add("test-conversation", "Hello")
    backend.answer("Hi")
    chat.expect_titles("Hello")
    backend.shelf.entries["test-conversation"]["title"] = "A greeting"
    backend.tell("titled", title="A greeting")
    chat.expect_titles("A greeting")
    expect(chat.title).to_have_text("A greeting")


def test_a_message_that_reads_like_a_title_frame_is_none(listed: ChatPage, backend: PageBackend) -> None:
    backend.append("user", "titled", title="Hijacked")
    listed.expect_messages("titled")
    expect(listed.title).to_have_text("This one")


def test_tabs_of_one_user_show_the_same_list(listed: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    other = ChatPage(context.new_page(), backend.page_url, TOKEN)
    other.open("robots")
    other.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")
    backend.wait_until(lambda: "conversation/robots/state" in backend.shelf.paths)  # the last that it asks for
    asked = len(backend.shelf.asked)
    listed.choose("Weekly menu", "Unpin")
    listed.choose("Untitled", "Delete")
    listed.button("Delete conversation").click()
    other.expect_titles("This one", "Names for a robot", "Weekly menu")
    assert {request.method for request in backend.shelf.asked[asked:]} == {"PATCH", "DELETE"}  # nobody looks again


def test_a_tab_of_another_user_hears_nothing(listed: ChatPage, context: BrowserContext, backend: PageBackend) -> None:
    bob = token_of("bob")
    backend.tokens.add(bob)
    other = ChatPage(context.new_page(), backend.page_url, bob)
    other.open("robots")
    other.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")
    listed.choose("Untitled", "Delete")
    listed.button("Delete conversation").click()
    listed.expect_titles("Weekly menu", "This one", "Names for a robot")
    other.expect_titles("Weekly menu", "This one", "Names for a robot", "Untitled")


def test_without_the_list_the_page_still_chats(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.failing = refusal(404, "conversations_disabled", "Conversations are switched off.")
    chat.reload()
    expect(chat.list.get_by_text("The list is not available just now.")).to_be_visible()
    backend.model_says = lambda _: ["Hi"]
    chat.send("Hello")
    chat.expect_messages("Hello", "Hi")


def test_hostile_titles_stay_text_and_reorder_nothing(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.add("test-conversation", "<img src=x onerror=window.hacked=1>\u202eevil \u05d0\u05d1")
    backend.shelf.add("../../x?a=b#c", '"><script>window.hacked=1</script>')
    chat.reload()
    expect(chat.entries).to_have_count(2)
    assert chat.list.locator("img, script").count() == 0
    styles = "nodes => nodes.map(node => getComputedStyle(node).unicodeBidi)"
    assert set(chat.page.locator("h1, .title").evaluate_all(styles)) == {"isolate"}
    chat.choose('"><script>window.hacked=1</script>', "Pin")
    expect(chat.entries.locator(".about").first).to_contain_text("Pinned")


# --- who it is ------------------------------------------------------------------------------------------------------


def test_the_page_shows_whose_token_it_has(context: BrowserContext, backend: PageBackend) -> None:
    token = token_of("zoë <b>")
    backend.tokens = {token}
    chat = ChatPage(context.new_page(), backend.page_url, token)
    chat.open()
    expect(chat.page.locator("#user")).to_contain_text("Signed in as zoë <b>")


def test_signing_out_leaves_nothing_in_the_tab(listed: ChatPage, backend: PageBackend) -> None:
    listed.field.fill("unfinished")
    listed.button("Sign out").click()
    expect(listed.sign_in).to_be_visible()
    listed.expect_titles()
    assert "Weekly menu" not in listed.page.content()
    assert listed.page.evaluate("JSON.stringify(sessionStorage)") == "{}"
    assert "test-conversation" not in listed.page.evaluate("JSON.stringify(localStorage)") + listed.page.url


def test_where_everybody_is_nobody_no_name_is_shown(context: BrowserContext, backend: PageBackend) -> None:
    backend.auth = "none"
    chat = ChatPage(context.new_page(), backend.page_url)
    chat.open()
    expect(chat.button("Sign out")).to_be_hidden()
