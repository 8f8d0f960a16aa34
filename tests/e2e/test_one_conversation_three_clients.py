"""One conversation in the chat page, over OpenAI's API and in CopilotKit: each sees all messages, in one order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import OpenAI
from playwright.sync_api import BrowserContext, expect

from tests.clients import new_conversation
from tests.e2e.chat_page import ChatPage
from tests.e2e.copilot_page import CopilotPage
from tests.e2e.test_copilotkit_page import copilot_url
from tests.scripted_model import Reply
from tests.stack import DeployedStack

__all__ = ["copilot_url"]


@pytest.fixture
def openai(stack: DeployedStack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.stream_url}/v1", api_key=stack.token(), max_retries=0) as client:
        yield client


def stream(client: OpenAI, text: str, conversation: str) -> str:
    """The answer to one streaming call, joined."""
    chunks = client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": text}],
        metadata={"conversationId": conversation},
        stream=True,
    )
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_three_clients_in_turn_see_all_messages_in_one_order(
    context: BrowserContext, stack: DeployedStack, copilot_url: str, openai: OpenAI
):
    conversation = new_conversation("three")
    page = ChatPage(context.new_page(), stack.endpoints.chat_page_url, stack.token())
    page.open(conversation)
    copilot = CopilotPage(context, copilot_url, stack.stream_url, stack.token(), conversation)
    copilot.open()

    page.send("From the page")
    page.expect_messages("From the page", "You said: From the page")
    assert stream(openai, "From OpenAI", conversation) == "You said: From OpenAI"
    copilot.reload()
    copilot.wait_until_connected()
    copilot.send("From CopilotKit")

    everything = [
        text
        for client in ("the page", "OpenAI", "CopilotKit")
        for text in (f"From {client}", f"You said: From {client}")
    ]
    copilot.expect_messages(*everything)
    copilot.expect_idle()
    page.expect_messages(*everything)
    items = openai.conversations.items.list(conversation, order="asc", limit=100)
    assert [part.text for item in items for part in item.content] == everything
    assert [message["content"] for message in stack.model.requests[-1].body["messages"]] == everything[:-1]


def test_three_clients_at_once_are_answered_one_after_the_other(
    context: BrowserContext, stack: DeployedStack, copilot_url: str, openai: OpenAI
):
    conversation, goes_on = new_conversation("three"), threading.Event()
    page = ChatPage(context.new_page(), stack.endpoints.chat_page_url, stack.token())
    page.open(conversation)
    copilot = CopilotPage(context, copilot_url, stack.stream_url, stack.token(), conversation)
    copilot.open()
    stack.model.script(Reply(chunks=["First ", "of all"], gate=goes_on, gate_after=1))
    with ThreadPoolExecutor(1) as pool:
        page.send("From the page")
        expect(page.answers).to_contain_text("First", timeout=15_000)
        called = pool.submit(stream, openai, "From OpenAI", conversation)
        copilot.send("From CopilotKit")
        goes_on.set()
        assert called.result(timeout=60) == "You said: From OpenAI"
    copilot.expect_idle()
    with stack.rest() as rest:
        log = [content for _, content in rest.log(conversation)]
    assert log[:2] == ["From the page", "First of all"]
    assert {*log[2::2]} == {"From OpenAI", "From CopilotKit"}
    assert log[3::2] == [f"You said: {asked}" for asked in log[2::2]]
    page.expect_messages(*log)
    copilot.reload()
    copilot.expect_messages(*log)
