"""axe-core's rules for WCAG 2.2 AA and its best practices, on the page in each of its states, by day and by night."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.page_backend import PageBackend

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROW = {"width": 360, "height": 700}
ANSWER = """# A heading
Some *words*, a [link](https://e.invalid), `code` and a list:

1. one
2. two

> a quote

| a | b |
|---|---|
| 1 | 2 |

```python
def answer(question="why", number=42):  # because
    return number
```
"""


def with_messages(chat: ChatPage, backend: PageBackend) -> None:
    backend.shelf.add("test-conversation", "This one")
    backend.shelf.add("robots", "Names for a robot", minutes_ago=20, pinned=True)
    backend.append("user", "Why?")
    backend.append("assistant", ANSWER, tokens=900, costUsd=0.001, model="m")
    backend.append("assistant", "", toolCalls=[{"id": "1", "name": "look", "arguments": "{}"}])
    backend.append("tool", '{"found": true}', toolCallId="1")
    backend.append("assistant", "Cut", status="failed")
    backend.broadcast({"type": "error", "error": "The model is not available.", "code": "model_unavailable"})
    chat.page.reload()
    chat.wait_for_connection()
    expect(chat.answers).to_have_count(3)
    for summary in chat.page.locator("summary").all():
        summary.click()


def with_the_list_open(chat: ChatPage, backend: PageBackend) -> None:
    with_messages(chat, backend)
    if chat.button("Conversations").is_visible():
        chat.button("Conversations").click()
    chat.button("More for This one").click()
    expect(chat.button("Rename")).to_be_visible()


def with_a_title_in_hand(chat: ChatPage, backend: PageBackend) -> None:
    with_the_list_open(chat, backend)
    chat.button("Rename").click()


def with_the_settings_open(chat: ChatPage, backend: PageBackend) -> None:
    with_messages(chat, backend)
    chat.button("Settings").click()
    expect(chat.settings.get_by_label("Model")).to_be_enabled()
    chat.settings.get_by_label("System prompt").fill("Be brief.")


def with_a_question_asked(chat: ChatPage, backend: PageBackend) -> None:
    with_messages(chat, backend)
    chat.button("Clear").click()


def with_an_answer_on_its_way(chat: ChatPage, backend: PageBackend) -> None:
    chat.send("Hello")
    backend.wait_for_turn()
    backend.say("Once upon")
    chat.send("queued")
    expect(chat.own.last).to_contain_text("Waiting")


def with_no_token(chat: ChatPage, backend: PageBackend) -> None:
    backend.expire()
    expect(chat.sign_in).to_be_visible()


def empty(chat: ChatPage, backend: PageBackend) -> None:
    expect(chat.page.get_by_role("heading", name="What would you like to talk about?")).to_be_visible()


STATES = [
    empty, with_messages, with_the_list_open, with_a_title_in_hand, with_the_settings_open, with_a_question_asked,
    with_an_answer_on_its_way, with_no_token,
]  # fmt: skip


@pytest.mark.parametrize("viewport", [None, NARROW], ids=["desktop", "phone"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing_by_day_and_by_night(
    chat: ChatPage, backend: PageBackend, state: Callable[[ChatPage, PageBackend], None], viewport: Any
) -> None:
    if viewport:
        chat.page.set_viewport_size(viewport)
    state(chat, backend)
    for scheme in SCHEMES:
        chat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # colours in motion cannot be judged
        results = Axe().run(chat.page, options={"runOnly": {"type": "tag", "values": TAGS}})
        assert results.violations_count == 0, results.generate_report()


def test_axe_would_find_something(chat: ChatPage) -> None:
    chat.page.evaluate("document.querySelector('#send').removeAttribute('aria-label')")
    chat.page.evaluate("document.querySelector('#send').removeAttribute('title')")
    assert "button-name" in Axe().run(chat.page).generate_snapshot()
