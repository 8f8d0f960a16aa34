"""What was asked, and what to answer."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["", "complete", "client_closed", "cut", "stopped"]


@dataclass(eq=False)
class Request:
    """One request as it came, and what became of it. Times are in seconds since the epoch.

    ``outcome`` is "" while it is being answered; "cut" is a reset by us, "stopped" the end of the server.
    ``chunks_sent`` counts pieces of text. ``peer`` is the client's port: requests of one connection share it.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    peer: int
    started_at: float
    ended_at: float = 0.0
    outcome: Outcome = ""
    chunks_sent: int = 0

    @property
    def is_run(self) -> bool:
        return "/run/" in self.path

    @property
    def model(self) -> str:
        return self.path.partition("/run/")[2] or str(self.body.get("model", ""))

    @property
    def streaming(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def last_user_message(self) -> str:
        asked = [message["content"] for message in self.body.get("messages", []) if message["role"] == "user"]
        return asked[-1] if asked else str(self.body.get("prompt", ""))


@dataclass(frozen=True)
class Call:
    """A tool call of a reply. ``arguments`` is streamed in ``pieces``, after a first piece with id and name."""

    name: str
    arguments: str = "{}"
    id: str = "call-1"

    @property
    def pieces(self) -> list[str]:
        """A few characters each."""
        return [self.arguments[start : start + 5] for start in range(0, len(self.arguments), 5)]


@dataclass(frozen=True)
class Reply:
    """What the server does with one request. Delays are in seconds; ``n`` chunks are the first n pieces of ``text``.

    ``status``, or ``code`` alone, makes it an error: Cloudflare's body on ``/run`` and OpenAI's on ``/v1``, unless
    ``error_shape`` says. With ``error_after`` the answer begins well and the error comes in a frame after n chunks.
    ``gate`` holds the answer after ``gate_after`` chunks until the test sets it; ``stall_after`` holds it for good;
    ``cut_after`` resets the connection (-1: before the headers). ``plain`` answers a streaming request with one JSON
    body; bodies that are not streamed heed what happens after 0 chunks only. ``split_bytes`` cuts the stream into
    pieces of n bytes, ``bad_json`` begins it with a line that is cut short, ``done`` ends it with ``[DONE]``.
    ``usage`` is (prompt, completion) in tokens, None for none. ``raw`` is sent instead of the body that all this makes.
    ``calls`` come behind the text, and end it as ``tool_calls``.
    """

    text: str = ""
    chunks: Sequence[str] = ()
    calls: Sequence[Call] = ()
    reasoning: str = ""
    usage: tuple[int, int] | None = (10, 5)
    finish_reason: str = "stop"
    delay_before: float = 0.0
    delay_between: float = 0.0
    gate: threading.Event | None = None
    gate_after: int = 0
    stall_after: int | None = None
    cut_after: int | None = None
    bad_json: bool = False
    done: bool = True
    plain: bool = False
    split_bytes: int = 0
    raw: bytes | None = None
    content_type: str = ""
    status: int = 200
    code: int | str | None = None
    message: str = "scripted error"
    error_after: int | None = None
    error_shape: Literal["", "cloudflare", "openai"] = ""
    retry_after: int | str | None = None

    @property
    def pieces(self) -> list[str]:
        """The text as it is streamed: ``chunks`` as given, or the words of ``text``."""
        return list(self.chunks) or re.findall(r"\s*\S+\s*", self.text)

    @property
    def end(self) -> str:
        """Why it ends."""
        return "tool_calls" if self.calls else self.finish_reason

    @property
    def is_error(self) -> bool:
        return self.status >= 400 or (self.code is not None and self.error_after is None)


Rule = Callable[[Request], Reply | None]


def echo(request: Request) -> Reply:
    return Reply(f"You said: {request.last_user_message}")
