"""The answer to one question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.messages import Message, Turn


class Answer:
    """Iterate over it for the text as it comes; await it, or its ``message()``, for the whole message.

    Should the server have to begin the answer anew, ``attempt`` grows and the text comes from its beginning again:
    ``text`` is always exact, and so is the message. Leaving the iteration does not stop the answer; ``cancel`` does.
    ``status`` is sending, queued, thinking, streaming, complete, incomplete, cancelled or failed.
    """

    def __init__(self, message_id: str, cancel: Callable[[Answer], None]) -> None:
        self.id = message_id
        self.turn_id = ""
        self.text = ""
        self.attempt = 0
        self.status = "sending"
        self._cancel = cancel
        self._changed = asyncio.Event()
        self._message: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        """Stop this answer; what was said so far is kept."""
        self._cancel(self)

    async def message(self) -> Message:
        """The answer as the log has it. Raises ``CopilotEdgeError``."""
        return await asyncio.shield(self._message)

    def __await__(self) -> Generator[Any, None, Message]:
        return self.message().__await__()

    async def __aiter__(self) -> AsyncIterator[str]:
        attempt, told = 0, 0
        while True:
            if attempt != self.attempt:
                attempt, told = self.attempt, 0
            fresh, told = self.text[told:], len(self.text)
            if fresh:
                yield fresh
            elif self._message.done():
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        await self.message()

    @property
    def is_over(self) -> bool:
        return self._message.done()

    def grow(self, turn: Turn) -> None:
        """Called by the chat: the text so far."""
        self.status = turn.phase
        self.attempt = max(self.attempt, turn.attempt)
        self._become(turn.text)

    def finish(self, message: Message) -> None:
        """Called by the chat: the log has it."""
        if self.is_over:
            return
        if not message.content.startswith(self.text):
            self.attempt += 1
        self.status = message.status
        self._message.set_result(message)
        self._become(message.content)

    def fail(self, error: CopilotEdgeError) -> None:
        """Called by the chat: there will be none."""
        if self.is_over:
            return
        self.status = "cancelled" if error.code in ("turn_cancelled", "message_withdrawn") else "failed"
        self._message.set_exception(error)
        self._message.exception()  # who iterates hears of it there
        self._become(self.text)

    def _become(self, text: str) -> None:
        self.text = text
        self._changed.set()
