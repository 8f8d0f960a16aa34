"""A React page with the current CopilotKit, as npm has it, in Chromium, on the deployed stack."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.clients import new_conversation
from tests.e2e.copilot_page import CopilotPage, build, served
from tests.scripted_model import Call, Reply
from tests.stack import DeployedStack, wait_until

RED = Call("setColor", '{"color": "tomato"}')


@pytest.fixture(scope="session")
def copilot_url() -> Iterator[str]:
    with served(build()) as url:
        yield url


@pytest.fixture
def copilot(context: BrowserContext, stack: DeployedStack, copilot_url: str) -> Iterator[CopilotPage]:
    copilot = CopilotPage(context, copilot_url, stack.stream_url, stack.token(), new_conversation("copilot"))
    yield copilot
    assert copilot.troubles == []
    assert copilot.strange_fetches == []


def test_an_answer_streams_and_the_thread_is_back_after_a_reload(copilot: CopilotPage, stack: DeployedStack):
    goes_on = threading.Event()
    stack.model.script(Reply(chunks=["Once ", "upon a time"], gate=goes_on, gate_after=1))
    copilot.open()
    copilot.send("Tell me a story")
    copilot.expect_messages("Tell me a story", "Once ")
    goes_on.set()
    copilot.expect_messages("Tell me a story", "Once upon a time")
    copilot.expect_idle()
    copilot.reload()
    copilot.expect_messages("Tell me a story", "Once upon a time")
    copilot.wait_until_connected()
    copilot.send("And then?")
    copilot.expect_messages("Tell me a story", "Once upon a time", "And then?", "You said: And then?")
    assert [m["role"] for m in stack.model.requests[-1].body["messages"]] == ["user", "assistant", "user"]


def test_a_page_that_knows_one_route_only_does_the_same(copilot: CopilotPage):
    copilot.open(single="yes")
    copilot.send("Hello")
    copilot.expect_messages("Hello", "You said: Hello")
    copilot.reload()
    copilot.expect_messages("Hello", "You said: Hello")
    assert not any(url.endswith(("/info", "/run", "/connect")) for url in copilot.fetched)


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(copilot: CopilotPage, stack: DeployedStack):
    goes_on = threading.Event()
    stack.model.script(Reply(chunks=["Once ", "upon ", "a time"], gate=goes_on, gate_after=1))
    copilot.open()
    copilot.send("Tell me a story")
    copilot.expect_messages("Tell me a story", "Once ")
    copilot.reload()
    copilot.expect_messages("Tell me a story", "Once ")
    goes_on.set()
    copilot.expect_messages("Tell me a story", "Once upon a time")
    copilot.expect_idle()
    assert len(stack.model.requests) == 1


def test_stop_keeps_what_was_said_and_the_next_message_is_answered(copilot: CopilotPage, stack: DeployedStack):
    stack.model.script(Reply(chunks=["Once upon "] + ["a time "] * 300, delay_between=0.1))
    copilot.open()
    copilot.send("Tell me a story")
    expect(copilot.messages.last).to_contain_text("Once upon", timeout=30_000)
    copilot.stop_button.click()
    copilot.expect_idle()
    with stack.rest() as rest:
        wait_until(lambda: len(rest.log(copilot.thread_id)) == 2, "the answer as far as it came")
        said = rest.log(copilot.thread_id)[1][1]
    copilot.expect_messages("Tell me a story", said.strip())
    copilot.send("Thank you")
    copilot.expect_messages("Tell me a story", said.strip(), "Thank you", "You said: Thank you")
    assert rest_of_log(stack, copilot.thread_id) == ["Tell me a story", said, "Thank you", "You said: Thank you"]


def test_a_frontends_tool_is_called_and_its_result_is_used(copilot: CopilotPage, stack: DeployedStack):
    stack.model.script(Reply(calls=[RED]), Reply("It looks warm now."))
    copilot.open()
    copilot.send("Make it warmer")
    expect(copilot.main).to_have_css("background-color", "rgb(255, 99, 71)", timeout=30_000)
    copilot.expect_messages("Make it warmer", "It looks warm now.")
    asked = stack.model.requests[-1].body["messages"]
    assert asked[-1]["role"] == "tool" and asked[-1]["content"] == "The page is tomato now."
    copilot.reload()
    copilot.expect_messages("Make it warmer", "It looks warm now.")
    assert len(stack.model.requests) == 2


def rest_of_log(stack: DeployedStack, thread_id: str) -> list[str]:
    with stack.rest() as rest:
        return [content for _, content in rest.log(thread_id)]
