"""``copilotedge chat`` and ``copilotedge export``."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from copilotedge_client.answers import Answer
from copilotedge_client.chat import Chat, connect
from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.rest import Rest

VARIABLE = "COPILOTEDGE_TOKEN"
HELP = "/clear forgets everything, /retry answers once more, /quit ends; Ctrl-C stops an answer."
PROMPT = "> "
INTERRUPTED = 130  # as shells have it
CHUNK = 4096
BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They let text look like other text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all went well, 1 when the server said no."""
    chosen = parser().parse_args(arguments)
    chosen.token = chosen.token or os.environ.get(VARIABLE, "")
    try:
        status: int = asyncio.run(chosen.run(chosen))
    except CopilotEdgeError as exc:
        print(f"copilotedge: {printable(exc.message)} ({exc.code})", file=sys.stderr)
        return 1
    return status


def parser() -> argparse.ArgumentParser:
    program = argparse.ArgumentParser(prog="copilotedge", description="Talk to CopilotEdge.")
    commands = program.add_subparsers(required=True, metavar="COMMAND")
    chat = commands.add_parser("chat", help="chat in the terminal", description=HELP)
    chat.add_argument("--url", required=True, help="the WebSocket API: wss://.../live")
    chat.add_argument("--conversation", default="", metavar="ID", help="the conversation to go on with; else a new one")
    chat.set_defaults(run=run_chat)
    export = commands.add_parser("export", help="print a whole conversation")
    export.add_argument("--url", required=True, help="the HTTP API: https://...")
    export.add_argument("--conversation", required=True, metavar="ID")
    export.add_argument("--format", choices=["markdown", "json"], default="markdown")
    export.set_defaults(run=run_export)
    for command in (chat, export):
        command.add_argument("--token", default="", help=f"the access token; else the environment's {VARIABLE}")
    return program


async def run_export(chosen: argparse.Namespace) -> int:
    async with Rest(chosen.url, chosen.token) as rest:
        text = await rest.export(chosen.conversation, chosen.format)
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    return 0


async def run_chat(chosen: argparse.Namespace) -> int:
    conversation = chosen.conversation or str(uuid.uuid4())
    async with connect(chosen.url, conversation, chosen.token) as chat:
        return await Terminal(chat, conversation, sys.stdout).run()


class Terminal:
    """One chat between a keyboard and a screen."""

    def __init__(self, chat: Chat, conversation: str, screen: TextIO) -> None:
        self._chat = chat
        self._conversation = conversation
        self._screen = screen
        self._typed: asyncio.Queue[str | None] = asyncio.Queue()  # lines; None is the end
        self._answer: Answer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._warned = False  # the next Ctrl-C ends it

    async def run(self) -> int:
        chat, loop = self._chat, asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows has no such handlers: there Ctrl-C ends it at once
            loop.add_signal_handler(signal.SIGINT, self._interrupted)
        chat.on("connection", self._connection_changed)
        chat.on("error", self._told)
        self._opening = loop.create_task(chat.ready())
        await asyncio.wait([self._opening])
        if self._opening.cancelled():
            return INTERRUPTED
        self._opening.result()
        self._say(f"Conversation {self._conversation}. {HELP}\n")
        for message in chat.messages:
            self._say(f"{PROMPT if message.role == 'user' else ''}{message.content}\n")
        stop = listen_to_keyboard(loop, self._typed.put_nowait)
        try:
            while (line := await self._next_line()) is not None:
                await self._do(line.strip())
        finally:
            stop()
        self._say("\n")
        return 0

    async def _next_line(self) -> str | None:
        self._say(PROMPT)
        line = await self._typed.get()
        self._warned = False
        return None if line is not None and line.strip() == "/quit" else line

    async def _do(self, line: str) -> None:
        if line == "/clear":
            await self._try(self._chat.clear(), "Everything is forgotten.\n")
        elif line == "/retry":
            await self._show(self._chat.regenerate())
        elif line.startswith("/"):
            self._say(f"{HELP}\n")
        elif line:
            await self._show(self._chat.send(line))

    async def _try(self, work: Any, done: str) -> None:
        try:
            await work
        except CopilotEdgeError as exc:
            self._complain(exc)
        else:
            self._say(done)

    async def _show(self, answer: Answer) -> None:
        self._answer = answer
        attempt = 0
        try:
            async for delta in answer:
                if attempt and answer.attempt != attempt:
                    self._say("\n[The answer begins anew.]\n")
                attempt = answer.attempt
                self._say(delta)
            self._say({"cancelled": "\n[Stopped.]\n", "incomplete": "\n[Cut short.]\n"}.get(answer.status, "\n"))
        except CopilotEdgeError as exc:
            self._complain(exc)
        finally:
            self._answer, self._warned = None, False

    def _complain(self, error: CopilotEdgeError) -> None:
        later = f" Try again in {error.retry_after:g} s." if error.retry_after else ""
        self._say(f"[{error.message} ({error.code}){later}]\n")
        if error.code in ("closed", "token_expired", "token_invalid"):
            self._typed.put_nowait(None)

    def _interrupted(self) -> None:
        """The first Ctrl-C stops an answer; one more, or one when nothing is said, ends the chat."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            return
        if self._warned:
            self._end()
        self._warned = True
        if self._answer is not None:
            self._say("\n[Stopping. Ctrl-C once more ends the chat.]")
            self._answer.cancel()
        else:
            self._say(f"\n[Ctrl-C once more ends the chat.]\n{PROMPT}")

    def _end(self) -> None:
        self._typed.put_nowait(None)
        if self._answer is not None:
            self._answer.fail(CopilotEdgeError("The chat was ended.", "closed"))

    def _connection_changed(self, state: str) -> None:
        if state in ("reconnecting", "connected"):
            print(f"[{state}]", file=sys.stderr, flush=True)

    def _told(self, error: CopilotEdgeError) -> None:
        if error.code in ("no_connection", "not_connected"):  # of others an answer tells
            print(f"[{printable(error.message)}]", file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        self._screen.write(printable(text))
        self._screen.flush()


def listen_to_keyboard(loop: asyncio.AbstractEventLoop, typed: Callable[[str | None], None]) -> Callable[[], None]:
    """Call ``typed`` with each line, and with None at the end. In a thread that nobody has to wait for."""
    ended = threading.Event()

    def tell(line: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            if not ended.is_set():
                loop.call_soon_threadsafe(typed, line)

    def read() -> None:
        rest = b""
        while data := os.read(0, CHUNK):  # and not through sys.stdin, whose lock Python wants at its end
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                tell(line.decode(errors="replace"))
        if rest:
            tell(rest.decode(errors="replace"))
        tell(None)

    threading.Thread(target=read, daemon=True).start()
    return ended.set


def printable(text: str) -> str:
    """Without what would command the terminal: whoever wrote the text, it is only to be seen."""
    return "".join("\ufffd" if c in BIDIRECTIONAL or _commands(c) else c for c in text)


def _commands(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) == "Cc"
