"""``copilotedge chat`` in a terminal, against the fake backend; ``copilotedge export``."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx
import pytest

from copilotedge.exports import FORMATS, Export
from copilotedge.models import Message
from copilotedge.transitions.steps import Rules, born
from copilotedge_client import CopilotEdgeError, Rest
from copilotedge_client.terminal import main, parser, printable, run_export
from tests.fakes import START
from tests.page_backend import TOKEN, PageBackend

CLIENT = Path(__file__).parents[3] / "client" / "python"
PATIENCE = 30.0


class Terminal:
    """A program at work in a terminal."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.screen = ""
        self._keyboard, inside = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "copilotedge_client", *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=os.environ | {"PYTHONPATH": str(CLIENT)} | environment,
        )
        os.close(inside)

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def wait_for(self, text: str) -> None:
        """Until it is on the screen, behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            assert select.select([self._keyboard], [], [], deadline - time.monotonic())[0], self.screen
            self.screen += self._read()
        self.screen = self.screen.partition(text)[2]

    def wait_for_end(self) -> int:
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)

    def _read(self) -> str:
        try:
            return os.read(self._keyboard, 4096).decode(errors="replace").replace("\r\n", "\n")
        except OSError:  # the program has ended
            raise AssertionError(self.screen) from None


@contextmanager
def chat_with(backend: PageBackend, *arguments: str, **environment: str) -> Iterator[Terminal]:
    terminal = Terminal("chat", "--url", backend.socket_url, *arguments, **environment)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def terminal(backend: PageBackend) -> Iterator[Terminal]:
    with chat_with(backend, "--conversation", "c") as terminal:
        terminal.wait_for("\n> ")
        yield terminal


def test_an_answer_streams_and_the_next_question_is_asked_for(backend: PageBackend, terminal: Terminal):
    terminal.type("Hallo, wörld\n")
    backend.wait_for_turn()
    backend.say("Guten ")
    terminal.wait_for("Guten ")
    backend.answer("😀 Tag")
    terminal.wait_for("😀 Tag\n> ")
    assert backend.received_chats("Hallo, wörld")
    terminal.type("/quit\n")
    assert terminal.wait_for_end() == 0


def test_what_was_said_before_is_shown(backend: PageBackend):
    backend.append("user", "earlier")
    with chat_with(backend) as terminal:
        terminal.wait_for("> earlier\n> ")


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(backend: PageBackend, terminal: Terminal):
    terminal.type("Tell me\n")
    backend.wait_for_turn()
    backend.say("Once")
    terminal.wait_for("Once")
    terminal.press_ctrl_c()
    terminal.wait_for("[Stopped.]\n> ")
    terminal.type("/retry\n")
    backend.wait_for_turn()
    backend.answer("Twice")
    terminal.wait_for("Twice\n> ")


def test_ctrl_c_twice_ends_the_chat(backend: PageBackend, terminal: Terminal):
    terminal.press_ctrl_c()
    terminal.wait_for("[Ctrl-C once more ends the chat.]")
    terminal.press_ctrl_c()
    assert terminal.wait_for_end() == 0


def test_ctrl_c_twice_ends_it_in_the_middle_of_an_answer_too(backend: PageBackend, terminal: Terminal):
    terminal.type("Tell me\n")
    backend.wait_for_turn()
    backend.deaf = True
    terminal.press_ctrl_c()
    terminal.wait_for("[Stopping. Ctrl-C once more ends the chat.]")
    terminal.press_ctrl_c()
    assert terminal.wait_for_end() == 0


def test_the_end_of_the_input_ends_the_chat(terminal: Terminal):
    terminal.type("\x04")
    assert terminal.wait_for_end() == 0


def test_clear_forgets_everything(backend: PageBackend, terminal: Terminal):
    backend.append("user", "secret")
    terminal.type("/clear\n")
    terminal.wait_for("Everything is forgotten.\n> ")
    assert backend.log == []


def test_a_failure_is_told_and_the_chat_goes_on(backend: PageBackend, terminal: Terminal):
    terminal.type("Hi\n")
    backend.wait_for_turn()
    backend.fail("The model is not available.")
    terminal.wait_for("[The model is not available. (model_unavailable)]\n> ")


def test_the_token_comes_from_the_environment(backend: PageBackend):
    backend.auth = "jwt"
    with chat_with(backend, COPILOTEDGE_TOKEN=TOKEN) as terminal:
        terminal.wait_for("> ")
    assert backend.credentials_of("live") == [TOKEN]


def test_who_is_not_let_in_is_told_why(backend: PageBackend):
    backend.auth = "jwt"
    with chat_with(backend, "--token", "wrong") as terminal:
        terminal.wait_for("copilotedge: The server does not accept the access token. (token_invalid)")
        assert terminal.wait_for_end() == 1


def test_who_cannot_connect_is_told_and_may_end_it():
    terminal = Terminal("chat", "--url", "ws://127.0.0.1:1/live")
    try:
        terminal.wait_for("[reconnecting]")
        terminal.wait_for("[No connection comes about. Trying again.]")
        terminal.press_ctrl_c()
        assert terminal.wait_for_end() == 130
    finally:
        terminal.close()


@pytest.mark.parametrize("address", ["edge.test/live", "ws:///live", "ws://edge.test:port/live", "ws://[::1/live"])
def test_an_address_that_is_none_ends_it(address: str, capsys: pytest.CaptureFixture[str]):
    assert main(["chat", "--url", address]) == 1
    assert "(invalid_address)" in capsys.readouterr().err


def test_words_do_not_command_the_terminal():
    assert printable("a\x1b[2J\x07\x9b1m\tb\r\n") == "a\ufffd[2J\ufffd\ufffd1m\tb\ufffd\n"
    assert printable("a\u202eb\u2066c\u2069") == "a\ufffdb\ufffdc\ufffd"


@pytest.mark.parametrize(("terminal", "shown"), [(True, "a\ufffd[2J"), (False, "a\x1b[2J")])
async def test_an_exported_message_does_not_command_the_terminal_either(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def export(*_: object) -> str:
        return "a\x1b[2J"

    monkeypatch.setattr(Rest, "export", export)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    await run_export(parser().parse_args(["export", "--url", "https://edge.test", "--conversation", "c"]))
    assert capsys.readouterr().out == shown


# --- REST -----------------------------------------------------------------------------------------------------------


def rest_that_answers(answer: httpx.Response, asked: list[httpx.Request]) -> Rest:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    return Rest("https://edge.test/api", "t", httpx.MockTransport(handle))


async def test_a_conversation_is_exported():
    asked: list[httpx.Request] = []
    async with rest_that_answers(httpx.Response(200, text="# Chat"), asked) as rest:
        assert await rest.export("alice~c 1") == "# Chat"
    assert str(asked[0].url) == "https://edge.test/api/conversation/alice~c%201/export?format=markdown"
    assert asked[0].headers["authorization"] == "Bearer t"


STATE = born(Rules(), START)
SAID = [
    Message(1, "user", "Hi\n\n*There is more, behind message 1: export it with `after=1`.*\n", START, "m1"),
    Message(2, "assistant", "*This goes on behind message 1.*\n\nü", START, "m2"),
    Message(3, "user", "And now?", START, "m3"),
]


def rest_of_a_long_log(*, cleared: bool = False) -> Rest:
    """The server's own exports, one message in each."""

    def handle(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get("after", 0))
        state = replace(STATE, epoch="another") if cleared and after else STATE
        part = Export(state, "Chat", (SAID[after],), after, after + 1 if after + 1 < len(SAID) else None)
        return httpx.Response(200, text=FORMATS[request.url.params["format"]].whole("c", part))

    return Rest("https://edge.test", transport=httpx.MockTransport(handle))


@pytest.mark.parametrize("form", ["json", "markdown"])
async def test_a_long_conversation_is_exported_to_its_end(form: Literal["json", "markdown"]):
    async with rest_of_a_long_log() as rest:
        assert await rest.export("c", form) == FORMATS[form].whole("c", Export(STATE, "Chat", tuple(SAID)))


async def test_an_export_of_two_logs_is_none():
    async with rest_of_a_long_log(cleared=True) as rest:
        with pytest.raises(CopilotEdgeError) as refusal:
            await rest.export("c", "json")
    assert refusal.value.code == "conversation_cleared"


async def test_conversations_are_listed():
    asked: list[httpx.Request] = []
    page = {"conversations": [{"conversationId": "c"}], "nextCursor": None}
    async with rest_that_answers(httpx.Response(200, json=page), asked) as rest:
        assert await rest.conversations(search="garden") == page
    assert asked[0].url.params.multi_items() == [("q", "garden")]


async def test_a_refusal_over_rest_has_its_code():
    body = {"error": {"message": "Slowly.", "code": "rate_limited"}}
    answer = httpx.Response(429, json=body, headers={"retry-after": "7"})
    async with rest_that_answers(answer, []) as rest:
        with pytest.raises(CopilotEdgeError) as refusal:
            await rest.export("c")
    assert (refusal.value.code, refusal.value.retry_after) == ("rate_limited", 7)
