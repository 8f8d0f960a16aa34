"""What a person does on the chat page, and sees. Give it the URL of any deployment's page."""

import re
import uuid

from playwright.sync_api import Locator, Page, expect

CHROMIUM_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


class ChatPage:
    """One open page."""

    def __init__(self, page: Page, page_url: str, token: str | None = None) -> None:
        self.page = page
        self.page_url = page_url
        self.token = token
        self.field = page.get_by_role("textbox", name="Message")
        self.log = page.get_by_role("log", name="Conversation")
        self.answers = page.get_by_role("article", name="Assistant")
        self.own = page.get_by_role("article", name="You")
        self.scroller = page.get_by_role("region", name="Messages")
        self.problems = page.get_by_role("status", name="Problems")
        self.messages = page.get_by_role("article").locator(".body")
        self.sign_in = page.get_by_role("form", name="Sign in")
        self.token_field = page.get_by_role("textbox", name="Access token")
        self.list = page.get_by_role("navigation", name="Conversations")
        self.entries = self.list.get_by_role("link")
        self.titles = self.entries.locator(".title")
        self.title = page.get_by_role("heading", level=1)
        self.settings = page.get_by_role("dialog", name="Settings")

    def open(self, conversation_id: str = "") -> None:
        self.visit(f"?conversationId={conversation_id or uuid.uuid4()}")
        self.wait_for_connection()

    def visit(self, query: str = "") -> None:
        """Opens the page with its token in the address, as `make run` prints it."""
        self.page.goto(self.page_url + query + (f"#token={self.token}" if self.token else ""))

    def paste_token(self, token: str) -> None:
        self.token_field.fill(token)
        self.token_field.press("Enter")

    def wait_for_connection(self) -> None:
        expect(self.page.get_by_role("status").filter(has_text="Connected")).to_be_visible()

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

    def choose(self, title: str, action: str) -> None:
        """From the menu of a conversation in the list."""
        self.list.get_by_role("listitem").filter(has_text=title).hover()
        self.button(f"More for {title}").click()
        self.button(action).click()

    def expect_titles(self, *titles: str) -> None:
        expect(self.titles).to_have_text(list(titles))

    def expect_messages(self, *texts: str | re.Pattern[str]) -> None:
        expect(self.messages).to_have_text(list(texts))

    def expect_idle(self) -> None:
        expect(self.button("Stop")).to_be_hidden()
