"""The payloads of ``events/``, served by the functions that they are for."""

from __future__ import annotations

import json
import re
from typing import Any

from local.places import CHECKOUT
from tests.emulator.functions import EmulatedFunctions
from tests.stack import key_of

EVENTS = CHECKOUT / "events"
FILES = sorted(EVENTS.glob("*.json"))
FUNCTION_OF = {
    "authorizer": "authorizer",
    "http": "http-api",
    "janitor": "janitor",
    "turn-worker": "turn-worker",
    "websocket": "websocket-api",
}
"""By how the file's name begins."""
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class Payloads:
    """Has the functions serve the files about another conversation; theirs is ``user-123`` of ``alice``."""

    def __init__(self, functions: EmulatedFunctions, conversation: str = "user-123", user: str = "alice") -> None:
        self._functions = functions
        self._names = {"user-123": conversation, "alice": user}
        self.conversation = conversation
        self.user = user
        self.key = key_of(conversation, user)

    def event(self, name: str) -> Any:
        text = (EVENTS / f"{name}.json").read_text()
        for theirs, ours in self._names.items():
            text = text.replace(theirs, ours)
        return json.loads(text)

    def send(self, name: str, connection_id: str = "", token: str = "") -> Any:
        """What the function returns; from this socket, and with this token, instead of the file's."""
        event = self.event(name)
        if connection_id:
            event["requestContext"]["connectionId"] = connection_id
        if token:
            event = json.loads(TOKEN.sub(token, json.dumps(event)))
        return self._functions[function_of(name)].invoke(event)

    def ask(self, name: str) -> Any:
        """The body of an HTTP answer that must be good."""
        answer = self.send(name)
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])


def function_of(name: str) -> str:
    return next(function for begin, function in FUNCTION_OF.items() if name.startswith(begin))
