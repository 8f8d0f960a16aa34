"""Client code of the original CopilotEdge, as its guide to Durable Objects has it; only the addresses are ours.

It knows no tokens, so the stack lets everybody in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from local.endpoints import Endpoints
from tests.clients import new_conversation
from tests.stack import DeployedStack

SEED = Path(__file__).parent / "seed_clients"
PAGES_ADDRESS = "'wss://' + location.host + '/chat-' + Date.now()"
SNIPPETS_ADDRESS = "'wss://your-worker.workers.dev/conversation/user-123'"


@pytest.fixture(scope="module")
def endpoints(stack: DeployedStack) -> Iterator[Endpoints]:
    yield stack.redeploy(AuthMode="none")
    stack.redeploy()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    assert troubles == []


def socket_address(endpoints: Endpoints, conversation: str) -> str:
    return f"'{endpoints.websocket_url}?{urlencode({'conversationId': conversation})}'"


def snippet(name: str, endpoints: Endpoints, conversation: str, base_url: str = "") -> str:
    """The guide's code, with this deployment's addresses."""
    code = (SEED / name).read_text().replace(SNIPPETS_ADDRESS, socket_address(endpoints, conversation))
    code = code.replace("fetch('/", f"fetch('{base_url or endpoints.http_url}/")
    return code.replace("/conversation/user-123/", f"/conversation/{conversation}/").replace(
        "conversationId: 'user-session-123'", f"conversationId: '{conversation}'"
    )


def evaluate(page: Page, code: str, result: str) -> Any:
    return page.evaluate(f"(async () => {{ {code}; return {result}; }})()")


def test_the_page_at_its_end_chats(page: Page, endpoints: Endpoints):
    html = (SEED / "page.html").read_text()
    assert PAGES_ADDRESS in html
    page.set_content(html.replace(PAGES_ADDRESS, socket_address(endpoints, new_conversation("seed"))))
    page.wait_for_function("ws.readyState === WebSocket.OPEN")
    field, messages = page.get_by_placeholder("Type a message..."), page.locator("#messages p")
    field.fill("Hello from the page")
    page.get_by_role("button", name="Send").click()
    expect(messages).to_have_text(
        ["user: Hello from the page", "assistant: You said: Hello from the page"], timeout=30_000
    )
    field.fill("Once more")
    field.press("Enter")
    expect(messages).to_have_count(4, timeout=30_000)


def test_the_websocket_snippet_hears_its_answer(page: Page, endpoints: Endpoints):
    with page.expect_console_message(lambda line: line.text == "Status: complete", timeout=30_000):
        lines: list[str] = []
        page.on("console", lambda line: lines.append(line.text))
        evaluate(page, snippet("websocket.js", endpoints, new_conversation("seed")), "null")
    assert "AI: You said: Hello via WebSocket!" in lines
    assert [line for line in lines if line.startswith("Status:")][:2] == ["Status: thinking", "Status: streaming"]


@pytest.mark.parametrize("door", ["http", "stream"])
def test_the_fetch_snippet_gets_an_answer_at_both_doors(page: Page, endpoints: Endpoints, door: str):
    base_url = {"http": endpoints.http_url, "stream": endpoints.stream_url}[door]
    code = snippet("chat.js", endpoints, new_conversation("seed"), base_url)
    answer = evaluate(page, code, "await response.json()")
    assert answer["choices"][0]["message"]["content"] == "You said: Hello!"


def test_history_state_and_clear_work_by_fetch(page: Page, endpoints: Endpoints):
    conversation = new_conversation("seed")
    evaluate(page, snippet("chat.js", endpoints, conversation), "response.status")
    history = evaluate(page, snippet("history.js", endpoints, conversation), "messages")
    assert [message["content"] for message in history["messages"]] == ["Hello!", "You said: Hello!"]
    evaluate(page, snippet("state.js", endpoints, conversation), "null")
    evaluate(page, snippet("clear.js", endpoints, conversation), "null")
    assert evaluate(page, snippet("history.js", endpoints, conversation), "messages")["messages"] == []
    state = page.evaluate(f"fetch('{endpoints.http_url}/conversation/{conversation}/state').then((r) => r.json())")
    assert state["context"] == {"temperature": 0.7, "systemPrompt": "You are a helpful assistant"}
    assert (state["model"], state["userId"]) == ("@cf/openai/gpt-oss-120b", "user-123")
