"""A fake CopilotEdge in one process, for tests of the chat page.

It serves the page's document under a base path with the page's own headers, and speaks the wire protocol for one
conversation; whatever id is asked for, it is that one. `shelf` is what REST tells beside it. Tests play the model
(`answer`), cut sockets (`drop`), refuse them (`refusing`), say which tokens are good (`tokens`, `expire`) and read what
the page sent (`received`, `credentials`).
"""

import base64
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from copilotedge import page
from copilotedge.settings import Settings
from tests.page_rest import Answered, Asked, Shelf, json_of, refusal, serving

BASE = "/_aws/execute-api/page-test/"
PATIENCE = 30.0


def token_of(user: str, number: int = 1) -> str:
    """Looks like a JWT of this user; nobody checks its signature here."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": user, "number": number}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl"


TOKEN = token_of("alice")

Frame = dict[str, Any]


@dataclass
class Turn:
    """An answer in the making."""

    message_id: str
    turn_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    attempt: int = 1
    index: int = 0
    text: str = ""
    replaces: int | None = None


class PageBackend:
    """One conversation behind HTTP and WebSocket. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.received: list[Frame] = []
        self.log: list[Frame] = []
        self.queue: list[tuple[str, str]] = []
        self.turn: Turn | None = None
        self.epoch = "epoch-0001"
        self.seq = 0
        self.refusing = False
        self.not_found = False
        self.deaf = False
        self.notice = ""
        self.conversations_enabled = True
        self.auth = "jwt"
        self.tokens = {TOKEN}
        self.credentials: list[tuple[str, str | None]] = []  # path, and the token that came with it
        self.model_says: Callable[[str], list[str]] | None = None
        self.refuse_with: Frame | None = None
        self._sockets: set[ServerConnection] = set()
        self._changed = threading.Condition(threading.RLock())
        self.shelf = Shelf()
        self.origin = ""
        self.socket_origin = ""

    # --- the outside of it ----------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator["PageBackend"]:
        sockets = serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._greet,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            max_size=None,
        )
        with sockets as server, serving(BASE, self._answer) as self.origin:
            self.socket_origin = f"127.0.0.1:{server.socket.getsockname()[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield self
            self.refusing = True
            self.drop()
            server.shutdown()
            thread.join()

    @property
    def page_url(self) -> str:
        return f"http://{self.origin}{BASE}"

    @property
    def socket_url(self) -> str:
        return f"http://{self.socket_origin}/live"

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), f"waited in vain; received: {self.received}"

    def received_chats(self, content: str) -> list[Frame]:
        return [frame for frame in self.received if frame.get("content") == content and frame["type"] == "chat"]

    def received_commands(self, content: str) -> list[Frame]:
        return [frame for frame in self.received if frame.get("content") == content and frame["type"] == "system"]

    def drop(self) -> None:
        """Cuts every socket without a closing handshake."""
        with self._changed:
            sockets, self._sockets = self._sockets, set()
        for socket in sockets:
            with suppress(OSError):
                socket.socket.shutdown(2)

    def expire(self, *, told: bool = True) -> None:
        """No token is good any more; sockets are told so and end."""
        with self._changed:
            self.tokens = set()
            if told:
                self.broadcast({"type": "error", "error": "The token has expired.", "code": "token_expired"})
            self.drop()

    def credentials_of(self, path: str) -> list[str | None]:
        """The token, or None, of every request for this path (below the page's) and every handshake (`live`)."""
        with self._changed:
            return [token for asked, token in self.credentials if asked == path]

    def broadcast(self, frame: Frame) -> None:
        with self._changed:
            for socket in list(self._sockets):
                self._post(socket, frame)

    def tell(self, content: str, **metadata: Any) -> None:
        """A system frame to every socket."""
        self.broadcast(self._system(content, **metadata))

    # --- the model, played by the test ------------------------------------------------------------------------------

    def wait_for_turn(self) -> Turn:
        self.wait_until(lambda: self.turn is not None)
        assert self.turn is not None
        return self.turn

    def say(self, *deltas: str) -> None:
        with self._changed:
            turn = self.wait_for_turn()
            for content in deltas:
                if not turn.text:
                    self.broadcast(self._status("streaming", turn))
                turn.index += 1
                offset, turn.text = len(turn.text), turn.text + content
                self.broadcast(self._delta(turn, content, offset))

    def finish(self, status: str = "complete") -> None:
        with self._changed:
            turn = self.wait_for_turn()
            self.turn = None
            if turn.text:
                replaced = {"replaces": turn.replaces} if turn.replaces else {}
                self.log = [message for message in self.log if message["seq"] != turn.replaces]
                self.append("assistant", turn.text, turnId=turn.turn_id, status=status, **replaced)
            self.broadcast(self._status("complete" if status == "incomplete" else status, turn))
            if self.queue:
                self._begin(*self.queue.pop(0))

    def answer(self, *deltas: str) -> None:
        self.say(*deltas)
        self.finish()

    def fail(self, error: str, code: str = "model_unavailable") -> None:
        with self._changed:
            turn = self.wait_for_turn()
            about = {"messageId": turn.message_id, "turnId": turn.turn_id}
            self.broadcast({"type": "error", "error": error, "code": code, "metadata": about})
            self.finish("failed")

    def append(self, role: str, content: str, **metadata: Any) -> Frame:
        """Adds a message to the log and tells every socket."""
        with self._changed:
            self.seq += 1
            message = {
                "role": role, "content": content, "timestamp": int(time.time() * 1000), "tokens": len(content) // 4,
                "messageId": uuid.uuid4().hex, "seq": self.seq, "turnId": None, "status": "complete", **metadata,
            }  # fmt: skip
            self.log.append(message)
            self.broadcast(self._chat(message))
            self._changed.notify_all()
            return message

    def clear(self) -> None:
        with self._changed:
            self.log, self.queue, self.turn, self.seq = [], [], None, 0
            self.epoch = f"epoch-{int(self.epoch.split('-')[1]) + 1:04d}"
            self.broadcast(self._system("conversation_cleared", epoch=self.epoch))

    # --- WebSocket --------------------------------------------------------------------------------------------------

    def _talk(self, socket: ServerConnection) -> None:
        with self._changed:
            self._sockets.add(socket)
        with suppress(ConnectionClosed):
            for text in socket:
                if not self.deaf:
                    self._take(socket, json.loads(text))
        with self._changed:
            self._sockets.discard(socket)

    def _take(self, socket: ServerConnection, frame: Frame) -> None:
        with self._changed:
            if socket not in self._sockets:  # it was cut, and what it had sent is lost with it
                return
            self.received.append(frame)
            metadata = frame.get("metadata", {})
            match frame["type"], frame["content"]:
                case "chat", content:
                    self._take_chat(socket, frame["id"], content)
                case _, "get_history":
                    page = self._history(metadata)
                    self._post(socket, self._system("history", **page))
                case _, "resume":
                    self._resume(socket, metadata)
                case _, "clear_history":
                    self.clear()
                    self._post(socket, self._system("history_cleared", epoch=self.epoch))
                case _, "cancel":
                    self._cancel(metadata.get("messageId"))
                case _, "regenerate":
                    self._regenerate()
                case _, "ping":
                    self._post(socket, self._system("pong"))
            self._changed.notify_all()

    def _take_chat(self, socket: ServerConnection, message_id: str, content: str) -> None:
        known = [message for message in self.log if message["messageId"] == message_id]
        if self.refuse_with:
            self._post(socket, {"type": "error", "metadata": {"messageId": message_id}, **self.refuse_with})
        elif known:
            self._post(socket, self._chat(known[0]))
        elif self.turn:
            if all(queued_id != message_id for queued_id, _ in self.queue):
                self.queue.append((message_id, content))
            about = {"messageId": message_id, "position": len(self.queue)}
            self._post(socket, {"type": "status", "status": "queued", "metadata": about})
        else:
            self._begin(message_id, content)

    def _begin(self, message_id: str, content: str, replaces: int | None = None) -> None:
        self.turn = Turn(message_id, replaces=replaces)
        if not replaces and all(message["messageId"] != message_id for message in self.log):
            self.append("user", content, messageId=message_id, turnId=self.turn.turn_id)
        self.broadcast(self._status("thinking", self.turn))
        self._changed.notify_all()
        if self.model_says:
            self.answer(*self.model_says(content))

    def _resume(self, socket: ServerConnection, metadata: Frame) -> None:
        after = metadata["afterSeq"]
        if metadata.get("epoch", self.epoch) != self.epoch:
            self._post(socket, self._system("conversation_cleared", epoch=self.epoch))
            after = 0
        for message in self.log:
            if message["seq"] > after:
                self._post(socket, self._chat(message))
        if self.turn:
            self._post(socket, self._status("streaming" if self.turn.text else "thinking", self.turn))
            offset = metadata.get("offset", 0) if metadata.get("turnId") == self.turn.turn_id else 0
            if self.turn.text[offset:]:
                self._post(socket, self._delta(self.turn, self.turn.text[offset:], offset))
        turn_id = self.turn.turn_id if self.turn else None
        self._post(socket, self._system("resumed", epoch=self.epoch, lastSeq=self.seq, turnId=turn_id))

    def _cancel(self, message_id: str | None) -> None:
        if message_id is None or (self.turn and self.turn.message_id == message_id):
            self.finish("cancelled")
            return
        self.queue = [queued for queued in self.queue if queued[0] != message_id]

    def _regenerate(self) -> None:
        last = self.log[-1]
        if last["role"] == "assistant":
            asked = self.log[-2]
            self._begin(asked["messageId"], asked["content"], replaces=last["seq"])
        else:
            self._begin(last["messageId"], last["content"])

    def _post(self, socket: ServerConnection, frame: Frame) -> None:
        with suppress(ConnectionClosed, OSError):
            socket.send(json.dumps(frame))

    def _chat(self, message: Frame) -> Frame:
        metadata = {key: value for key, value in message.items() if key not in ("role", "content")}
        metadata["epoch"] = self.epoch
        return {"type": "chat", "role": message["role"], "content": message["content"], "metadata": metadata}

    @staticmethod
    def _status(status: str, turn: Turn) -> Frame:
        about = {"turnId": turn.turn_id, "messageId": turn.message_id, "attempt": turn.attempt}
        return {"type": "status", "status": status, "metadata": about}

    @staticmethod
    def _delta(turn: Turn, content: str, offset: int) -> Frame:
        about = {"turnId": turn.turn_id, "attempt": turn.attempt, "index": turn.index, "offset": offset}
        return {"type": "delta", "content": content, "metadata": about}

    @staticmethod
    def _system(content: str, **metadata: Any) -> Frame:
        return {"type": "system", "content": content, "metadata": metadata}

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def _greet(self, _: ServerConnection, request: Request) -> Response | None:
        """None lets the socket in."""
        if refused := self._refuse("live", token_of_handshake(request)):
            return _response(refused)
        return _response(Answered(HTTPStatus.SERVICE_UNAVAILABLE)) if self.refusing else None

    def _answer(self, asked: Asked) -> Answered:
        if asked.path == "":
            return self._page()
        if refused := self._refuse(asked.path, asked.token):
            return refused
        if re.fullmatch(r"conversation/[^/]+/messages", asked.path):
            return self._miss() or json_of(self._history(asked.query))
        with self._changed:
            answered = self.shelf.answer(asked, self.log, self._retitle)
            self._changed.notify_all()
        return answered or Answered(HTTPStatus.NOT_FOUND)

    def _retitle(self, conversation_id: str, title: str) -> None:
        for socket in list(self._sockets):
            assert socket.request is not None
            if parse_qs(urlsplit(socket.request.path).query)["conversationId"] == [conversation_id]:
                self._post(socket, self._system("titled", title=title))

    def _page(self) -> Answered:
        settings = Settings(
            websocket_endpoint=self.socket_url,
            model="@cf/test/model",
            page_notice=self.notice,
            enable_conversations=self.conversations_enabled,
            auth_mode=self.auth,
        )
        document = page.document(settings)
        headers = page.headers(settings) | {"content-type": document.content_type}
        return Answered(HTTPStatus.OK, document.text.encode(), headers)

    def _miss(self) -> Answered | None:
        missing = refusal(HTTPStatus.NOT_FOUND, "not_found", "There is no such conversation.")
        return missing if self.not_found else None

    def _refuse(self, path: str, token: str | None) -> Answered | None:
        with self._changed:
            self.credentials.append((path, token))
            self._changed.notify_all()
            if token in self.tokens if self.auth != "none" else token is None:
                return None
        return refusal(HTTPStatus.UNAUTHORIZED, "token_invalid", "The token is not good.")

    def _history(self, query: dict[str, str]) -> Frame:
        with self._changed:
            limit = int(query.get("limit", 50))
            before = int(query.get("before", 1_000_000))
            messages = [message for message in self.log if message["seq"] < before]
            turn = self.turn and {
                "turnId": self.turn.turn_id, "messageId": self.turn.message_id, "attempt": self.turn.attempt,
            }  # fmt: skip
            return {
                "epoch": self.epoch, "messages": messages[-limit:], "totalTokens": 0,
                "hasMore": len(messages) > limit, "turn": turn,
            }  # fmt: skip


def token_of_handshake(request: Request) -> str | None:
    """As the subprotocol carries it, `bearer, <token>`, or a header."""
    protocol, _, token = request.headers.get("Sec-WebSocket-Protocol", "").partition(", ")
    assert protocol in ("", "bearer")
    return token or request.headers.get("Authorization", "").removeprefix("Bearer ") or None


def _response(answered: Answered) -> Response:
    about = {"content-length": str(len(answered.body)), "connection": "close"}
    return Response(answered.status.value, answered.status.phrase, Headers(about), answered.body)
