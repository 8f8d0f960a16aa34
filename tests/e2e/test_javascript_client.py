"""The JavaScript client in Chromium, on the deployed stack."""

import random
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.clients import new_conversation
from tests.scripted_model import Reply
from tests.severing_proxy import SeveringProxy
from tests.stack import DeployedStack

CLIENT = Path(__file__).parents[2] / "client"
CUTS = 30
STORY = [f"wörd {n} 🎉👩‍👩‍👧 e\u0301 " for n in range(600)]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of another origin than the stack's, which has loaded the client as `client`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=CLIENT))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.evaluate("async () => { window.client = await import('/copilotedge.js'); }")
    yield page
    server.shutdown()
    thread.join()
    server.server_close()


def options(stack: DeployedStack, url: str = "") -> dict[str, str]:
    return {"url": url or stack.websocket_url, "conversationId": new_conversation("js"), "token": stack.token()}


TELL = """async (options) => {
    const chat = window.chat = client.connect(options);
    const seen = window.seen = { deltas: "", iterated: "", sockets: 0, messages: [] };
    chat.on("delta", ({ text }) => (seen.deltas += text));
    chat.on("message", ({ seq }) => seen.messages.push(seq));
    chat.on("connection", (state) => (seen.sockets += state === "connected"));
    const answer = chat.send("Tell me a story");
    for await (const delta of answer) seen.iterated += delta;
    const { content, status } = await answer;
    const log = chat.messages.map(({ seq }) => seq);
    return { ...seen, log, content, status, text: answer.text, attempt: answer.attempt };
}"""


def test_thirty_disconnects_while_an_answer_streams_cost_no_character(page: Page, stack: DeployedStack) -> None:
    host, port = urlsplit(stack.websocket_url).hostname or "", urlsplit(stack.websocket_url).port or 0
    with SeveringProxy(host, port, CUTS, random.Random(5)) as proxy:
        stack.model.script(Reply(chunks=STORY, delay_between=0.04, gate=proxy.spent, gate_after=len(STORY) - 20))
        told = page.evaluate(TELL, options(stack, proxy.in_front_of(stack.websocket_url)))
        assert proxy.cuts == CUTS
    text = "".join(STORY)
    assert (told["content"], told["status"], told["attempt"]) == (text, "complete", 1)
    assert told["text"] == told["iterated"] == told["deltas"] == text
    assert told["log"] == [1, 2] and told["messages"] in (
        [1, 2],
        [2],
    )  # the question may be in the first page of the log
    assert told["sockets"] > CUTS / 2  # some are cut before they are open
    assert len(stack.model.requests) == 1


def test_what_was_sent_without_a_network_is_answered_once_it_is_back(
    page: Page, context: BrowserContext, stack: DeployedStack
) -> None:
    page.evaluate("async (options) => { window.chat = client.connect(options); await chat.ready; }", options(stack))
    context.set_offline(True)
    page.evaluate("() => { chat.reconnect(); window.answer = chat.send('Hello'); }")
    page.wait_for_function("() => chat.connection === 'offline'")
    context.set_offline(False)
    assert page.evaluate("async () => (await answer).content") == "You said: Hello"


def test_an_answer_is_stopped_and_asked_for_again(page: Page, stack: DeployedStack) -> None:
    stack.model.script(Reply(chunks=["Once "] + ["upon "] * 500, delay_between=0.05), Reply("Twice."))
    contents = page.evaluate(
        """async (options) => {
            const chat = client.connect(options);
            const answer = chat.send("Tell me");
            for await (const delta of answer) answer.cancel();
            const [stopped, again] = [await answer, await chat.regenerate()];
            const { messages } = await chat.history();
            chat.close();
            return [stopped.status, again.content, messages.map(({ content }) => content)];
        }""",
        options(stack),
    )
    assert contents == ["cancelled", "Twice.", ["Tell me", "Twice."]]
