"""Clients of the deployed stack, as users write them."""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.history import Entry, Observed

Frame = dict[str, Any]
Via = Literal["header", "subprotocol", "query"]

SAID: set[str] = set()
"""Every message that a client of this session has sent or was sent, if it is long enough to be told from other text.
A test looks for them where they must not be."""
LONG_ENOUGH = 12


def new_conversation(prefix: str = "test") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Socket:
    """One WebSocket client of one conversation; keeps every frame it has received.

    Its token travels ``via`` one of the three ways there are. Raises ``InvalidStatus`` when the server refuses it.
    """

    def __init__(self, websocket_url: str, conversation_id: str, token: str = "", via: Via = "header") -> None:
        query = httpx.QueryParams({"conversationId": conversation_id} | ({"token": token} if via == "query" else {}))
        self._opening = connect(
            f"{websocket_url}?{query}",
            additional_headers=bearer(token) if via == "header" else None,
            subprotocols=[Subprotocol("bearer"), Subprotocol(token)] if via == "subprotocol" else None,
            proxy=None,
            open_timeout=60,
            ping_interval=None,
        )
        self._connection: ClientConnection = self._opening.__enter__()
        self.subprotocol = self._connection.subprotocol
        self.frames: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._opening.__exit__(None, None, None)

    def cut(self) -> None:
        """End as a machine does that loses its network: without a word."""
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def drain(self) -> None:
        """Take what has been received so far. The answer to a ping comes behind it."""
        self.command("ping")
        self.receive_until(is_system("pong"))

    def send(self, **frame: Any) -> None:
        remember(frame)
        self._connection.send(json.dumps(frame))

    def send_text(self, text: str | bytes) -> None:
        """Whatever it is; bytes go as a binary message."""
        self._connection.send(text)

    def say(self, content: str, **extra: Any) -> None:
        self.send(type="chat", role="user", content=content, **extra)

    def submit(self, content: str, message_id: str, seconds: float = 60) -> None:
        """Say something and wait until it is known to be taken: its turn has begun, or it is in the queue."""
        self.say(content, id=message_id)
        self.receive_until(lambda f: f["type"] == "status" and f["metadata"]["messageId"] == message_id, seconds)

    def command(self, content: str, **metadata: Any) -> None:
        self.send(type="system", content=content, **({"metadata": metadata} if metadata else {}))

    def receive_until(self, wanted: Callable[[Frame], bool], seconds: float = 60) -> list[Frame]:
        """The frames up to the first that is ``wanted``. Raises ``TimeoutError`` when none comes for so long."""
        start = len(self.frames)
        while True:
            frame = json.loads(self._connection.recv(timeout=seconds))
            remember(frame)
            self.frames.append(frame)
            if wanted(frame):
                return self.frames[start:]

    def receive_rest(self, seconds: float = 60) -> list[Frame]:
        """What still comes until the server ends the connection. Raises ``TimeoutError`` when it does not."""
        start = len(self.frames)
        with contextlib.suppress(ConnectionClosed):
            self.receive_until(lambda _: False, seconds)
        return self.frames[start:]

    def receive_turn(self, seconds: float = 60) -> list[Frame]:
        """All frames of a turn, up to its last status."""
        return self.receive_until(is_end, seconds)

    def receive(self, seconds: float = 60) -> Frame:
        return self.receive_until(lambda _: True, seconds)[-1]

    def ask(self, content: str, seconds: float = 60) -> str:
        """Say something and give the answer."""
        self.say(content)
        frames = self.receive_turn(seconds)
        return next(f["content"] for f in frames if f["type"] == "chat" and f["role"] == "assistant")


def is_end(frame: Frame) -> bool:
    return frame["type"] == "status" and frame["status"] in ("complete", "cancelled", "failed")


def is_status(status: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == "status" and frame["status"] == status


def is_system(content: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == "system" and frame["content"] == content


def is_delta(frame: Frame) -> bool:
    return frame["type"] == "delta"


def kinds(frames: list[Frame]) -> list[str]:
    """Frames in short, repeated deltas as one: ``chat:user``, ``status:thinking``, ``delta``, ..."""
    names = [f"{f['type']}:{f.get('role') or f.get('status') or f.get('code') or f['content']}" for f in frames]
    names = ["delta" if name.startswith("delta") else name for name in names]
    return [name for number, name in enumerate(names) if number == 0 or name != names[number - 1]]


def text_of(frames: list[Frame]) -> str:
    """The deltas joined."""
    return "".join(frame["content"] for frame in frames if is_delta(frame))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def remember(value: Any) -> None:
    """Put the texts of messages and of settings into ``SAID``."""
    SAID.update(text for text in _texts(value) if len(text) >= LONG_ENOUGH)


def remember_request(request: httpx.Request) -> None:
    with contextlib.suppress(ValueError):
        remember(json.loads(request.content))


def remember_response(response: httpx.Response) -> None:
    """Not of a stream of events: reading that would wait for its end."""
    if response.headers.get("content-type", "").startswith("application/json"):
        with contextlib.suppress(ValueError):
            remember(json.loads(response.read()))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name in ("content", "text", "systemPrompt") and isinstance(entry, str) and value.get("type") != "system":
                yield entry
            yield from _texts(entry)


def http_client(url: str, token: str = "") -> httpx.Client:
    """A client of what is below ``url``, with the token; it remembers what is said."""
    return httpx.Client(
        base_url=url + "/",
        headers=bearer(token),
        timeout=40,
        trust_env=False,
        event_hooks={"request": [remember_request], "response": [remember_response]},
    )


class Rest:
    """The REST routes of a deployed stack."""

    def __init__(self, http_url: str, token: str = "") -> None:
        self.client = http_client(http_url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def chat(self, content: str, conversation_id: str | None = None, key: str = "", **extra: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": content}]} | extra
        if conversation_id:
            body["conversationId"] = conversation_id
        return self.client.post("api/copilotedge", json=body, headers={"idempotency-key": key} if key else {})

    def history(self, conversation_id: str, query: str = "") -> dict[str, Any]:
        answer = self.client.get(f"conversation/{conversation_id}/messages{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def is_at_rest(self, conversation_id: str) -> bool:
        """Nobody speaks and nothing waits. A clear that is being told is no turn, but what waits begins at its end."""
        waiting = self.client.get(f"conversation/{conversation_id}/state").json()["queued"]
        return not waiting and self.history(conversation_id, "?limit=1")["turn"] is None

    def whole_log(self, conversation_id: str) -> list[Entry]:
        """Every message with its metadata, page by page."""
        entries: list[Entry] = []
        more = True
        while more:
            after = entries[-1]["seq"] if entries else 0
            page = self.history(conversation_id, f"?limit=100&after={after}")
            entries, more = entries + page["messages"], page["hasMore"]
        return entries

    def observed(
        self,
        conversation_id: str,
        sockets: Mapping[str, Sequence[Frame]],
        sent: Mapping[str, Sequence[str]],
        withdrawn: Iterable[str] = (),
    ) -> Observed:
        """What the history checker wants to know, once everything has come to rest."""
        return Observed(
            log=self.whole_log(conversation_id),
            epoch=self.history(conversation_id, "?limit=1")["epoch"],
            sockets={name: list(frames) for name, frames in sockets.items()},
            sent={name: list(ids) for name, ids in sent.items()},
            withdrawn=set(withdrawn),
        )

    def log(self, conversation_id: str) -> list[tuple[str, str]]:
        """Role and content of up to 100 messages."""
        return [(m["role"], m["content"]) for m in self.history(conversation_id, "?limit=100")["messages"]]
