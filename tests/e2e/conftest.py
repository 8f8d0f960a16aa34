"""A browser, the page's fake backend, and the page itself, open and watched."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.e2e.chat_page import CHROMIUM_OPTIONS, PHONE, ChatPage
from tests.page_backend import TOKEN, PageBackend

expect.set_options(timeout=30_000)  # milliseconds: the page draws when it can, on a slow machine late


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
    page.on("websocket", lambda socket: check_request(socket.url.replace("ws:", "http:"), backend, troubles))
    chat = ChatPage(page, backend.page_url, TOKEN)
    chat.open("test-conversation")
    backend.wait_until(lambda: bool(backend.received_commands("resume")))
    backend.wait_until(lambda: {"conversations", "conversation/test-conversation/state"} <= backend.shelf.paths)
    yield chat
    assert troubles == []
    assert page.evaluate("window.hacked") is None


def check_request(url: str, backend: PageBackend, troubles: list[str]) -> None:
    if not url.startswith((backend.page_url, backend.socket_url, "data:image/svg+xml,")):
        troubles.append(f"fetched {url}")
