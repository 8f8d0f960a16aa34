"""The REST side of the fake CopilotEdge: the page's document, and what it reads and writes beside the socket."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Value = dict[str, Any]


@dataclass
class Asked:
    """A request: `path` is below the page's, `query` has the first value of each name."""

    method: str
    path: str
    query: dict[str, str]
    token: str | None
    body: Value


@dataclass
class Answered:
    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_of(value: Value, status: HTTPStatus = HTTPStatus.OK) -> Answered:
    return Answered(status, json.dumps(value).encode(), {"content-type": "application/json"})


def refusal(status: HTTPStatus, code: str, message: str) -> Answered:
    return json_of({"error": {"message": message, "code": code}}, status)


@contextmanager
def serving(base: str, answer: Callable[[Asked], Answered]) -> Iterator[str]:
    """The origin, `host:port`, of a server whose pages below `base` are what `answer` says."""

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):  # whatever the method, the base class asks for one named after it
                return self._do
            raise AttributeError(name)

        def _do(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("content-length", 0))
            answered = answer(
                Asked(
                    method=self.command,
                    path=url.path.removeprefix(base).removeprefix("/"),
                    query={name: values[0] for name, values in parse_qs(url.query).items()},
                    token=self.headers.get("authorization", "").removeprefix("Bearer ") or None,
                    body=json.loads(self.rfile.read(length)) if length else {},
                )
            )
            self.send_response(answered.status)
            for name, value in {**answered.headers, "content-length": str(len(answered.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answered.body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A page that was left does not wait for its answers."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address[:2])
        server.shutdown()
        thread.join()


class Shelf:
    """The user's conversations as REST tells them, and the settings of the open one."""

    PAGE = 30

    def __init__(self) -> None:
        self.entries: dict[str, Value] = {}
        self.state: Value = {"model": "@cf/test/model", "context": {}, "messageCount": 0, "totalTokens": 0}
        self.models: list[Value] = [
            {"id": "@cf/test/model", "inputUsdPerMillion": 0.28, "outputUsdPerMillion": 0.83},
            {"id": "@cf/test/larger-model", "inputUsdPerMillion": 1.25, "outputUsdPerMillion": 10},
        ]
        self.failing: Answered | None = None  # what every one of these routes answers instead
        self.asked: list[Asked] = []

    def add(self, conversation_id: str, title: str | None = None, minutes_ago: float = 0, **facts: Any) -> None:
        then = int(time.time() * 1000 - minutes_ago * 60_000)
        self.entries[conversation_id] = {
            "conversationId": conversation_id, "title": title, "pinned": False, "archived": False, "createdAt": then,
            "lastActivity": then, "messageCount": 2, "totalTokens": 100, "totalCostUsd": 0.0001, **facts,
        }  # fmt: skip

    @property
    def paths(self) -> set[str]:
        """Of what was asked for so far."""
        return {asked.path for asked in self.asked}

    def answer(self, asked: Asked, messages: list[Value], retitle: Callable[[str, str], None]) -> Answered | None:
        """None for what is none of its business."""
        conversation_id, part = _conversation_of(asked.path)
        if asked.path not in ("conversations", "models") and part in (None, "messages"):
            return None
        self.asked.append(asked)
        match asked.method, part or asked.path:
            case _ if self.failing:
                return self.failing
            case "GET", "conversations":
                return json_of(self._page(asked.query))
            case "GET", "models":
                return json_of({"models": self.models, "default": self.models[0]["id"]})
            case "GET", "state":
                return json_of(self.state | {"conversationId": conversation_id})
            case "PUT", "state":
                self.state |= asked.body | {"context": self.state["context"] | asked.body.get("context", {})}
                return json_of({"success": True, "state": self.state})
            case "GET", "export":
                return _export(asked.query["format"], messages)
            case "PATCH", "itself" if conversation_id in self.entries:
                self.entries[conversation_id] |= asked.body
                if "title" in asked.body:
                    retitle(conversation_id, asked.body["title"])
                return json_of(self.entries[conversation_id])
            case "DELETE", "itself":
                self.entries.pop(conversation_id, None)
                return json_of({"success": True})
        return refusal(HTTPStatus.NOT_FOUND, "not_found", "There is no such conversation.")

    def _page(self, query: dict[str, str]) -> Value:
        archived, words = query.get("archived") == "true", query.get("q", "").lower()
        found = [
            entry
            for entry in self.entries.values()
            if entry["archived"] == archived and words in (entry["title"] or "").lower()
        ]
        found.sort(key=lambda entry: (not entry["pinned"], -entry["lastActivity"]))
        start, end = int(query.get("cursor", 0)), int(query.get("cursor", 0)) + self.PAGE
        return {"conversations": found[start:end], "nextCursor": str(end) if found[end:] else None}


def _conversation_of(path: str) -> tuple[str, str | None]:
    """The id in a path, and what of that conversation is meant: `itself`, or the last part of the path."""
    found = re.fullmatch(r"conversation/([^/]+)(?:/([a-z]+))?", path)
    return (unquote(found[1]), found[2] or "itself") if found else ("", None)


def _export(kind: str, messages: list[Value]) -> Answered:
    name = "conversation.json" if kind == "json" else "conversation.md"
    text = json.dumps(messages) if kind == "json" else "\n\n".join(message["content"] for message in messages)
    headers = {"content-type": "application/octet-stream", "content-disposition": f'attachment; filename="{name}"'}
    return Answered(HTTPStatus.OK, text.encode(), headers)
