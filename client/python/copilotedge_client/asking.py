"""What the server is asked: to do something, or for pages of messages."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.messages import Frame, Message, Page, message_of
from copilotedge_client.transcript import Transcript

Send = Callable[[Frame], None]


@dataclass(eq=False, slots=True)
class _Command:
    id: str
    content: str
    metadata: Mapping[str, Any]
    done: Callable[[], bool]
    settled: asyncio.Future[None]
    sent: bool = True
    repeated: bool = False


class Commands:
    """Each is repeated on the next connection until it is ``done``. An error that speaks of one names its id."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._commands: list[_Command] = []

    def ask(self, content: str, metadata: Mapping[str, Any], done: Callable[[], bool]) -> asyncio.Future[None]:
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        command = _Command(str(uuid.uuid4()), content, metadata, done, settled)
        self._commands.append(command)
        self._post(command)
        return settled

    def reconnected(self) -> None:
        for command in self._commands:
            command.sent = False

    def repeat(self) -> None:
        for command in self._commands:
            if not command.sent and not command.done():
                command.repeated = True
                self._post(command)

    def settle(self) -> None:
        for command in [command for command in self._commands if command.done()]:
            self._commands.remove(command)
            if not command.settled.done():
                command.settled.set_result(None)

    def refuse(self, command_id: str, error: CopilotEdgeError) -> bool:
        """Whether it was one of these. That there is nothing to stop is what was wanted."""
        command = next((command for command in self._commands if command.id == command_id), None)
        if command is None:
            return False
        self._commands.remove(command)
        if error.code == "nothing_to_cancel" and not command.settled.done():
            command.settled.set_result(None)
        else:
            reject(command.settled, error)
        return True

    def postpone(self, command_id: str) -> bool:
        """Whether it was one that had been sent before, so that what is in its way may be its own doing."""
        for command in self._commands:
            if command.id == command_id and command.repeated:
                command.sent = False
                return True
        return False

    def end(self, error: CopilotEdgeError) -> None:
        for command in self._commands:
            reject(command.settled, error)
        self._commands.clear()

    def _post(self, command: _Command) -> None:
        command.sent = True
        content, metadata = command.content, command.metadata
        self._send({"type": "system", "content": content, "id": command.id, "metadata": metadata})


@dataclass(eq=False, slots=True)
class _Reading:
    id: str
    metadata: Mapping[str, Any]
    page: asyncio.Future[Page]


class Readings:
    """Pages are asked for one after the other: nothing in a page says which question it answers."""

    def __init__(self, send: Send, transcript: Transcript) -> None:
        self._send = send
        self._transcript = transcript
        self._readings: list[_Reading] = []

    async def read(self, limit: int, before: int) -> Page:
        metadata = {"limit": limit} | ({"before": before} if before else {})
        reading = _Reading(str(uuid.uuid4()), metadata, asyncio.get_running_loop().create_future())
        self._readings.append(reading)
        if len(self._readings) == 1:
            self.ask()
        return await reading.page

    def ask(self) -> None:
        for reading in self._readings[:1]:
            metadata = reading.metadata
            self._send({"type": "system", "content": "get_history", "id": reading.id, "metadata": metadata})

    def receive(self, metadata: Mapping[str, Any]) -> None:
        messages: list[Message] = []
        for entry in metadata["messages"]:
            content = self._transcript.assemble(entry["content"], entry["seq"], entry)
            if content is None:  # a part is still to come
                return
            messages.append(message_of(entry["role"], content, entry, entry["seq"]))
        for reading in self._readings[:1]:
            self._readings.remove(reading)
            if not reading.page.done():
                totals = metadata["hasMore"], metadata["totalTokens"]
                reading.page.set_result(Page(tuple(messages), metadata["epoch"], *totals))
        self.ask()

    def refuse(self, reading_id: str, error: CopilotEdgeError) -> bool:
        """Whether it was one of these."""
        if not self._readings or self._readings[0].id != reading_id:
            return False
        reject(self._readings.pop(0).page, error)
        self.ask()
        return True

    def end(self, error: CopilotEdgeError) -> None:
        for reading in self._readings:
            reject(reading.page, error)
        self._readings.clear()


def reject(future: asyncio.Future[Any], error: CopilotEdgeError) -> None:
    """Who does not wait for it hears of it elsewhere."""
    if not future.done():
        future.set_exception(error)
        future.exception()
