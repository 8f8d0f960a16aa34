"""A call of the model that begins while its turn is still being claimed, so that the claim costs the answer no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from copilotedge.models import Finished, ModelEvent, ModelRequest, TextDelta, Turn, Usage
from copilotedge.ports import Model


class HeadStart:
    """Keeps what the model says until somebody listens: whoever has claimed ``turn``, or nobody.

    ``asked`` is the request once it is on its way, None before; ``asked_at`` in ms.
    """

    def __init__(self, model: Model, turn: Turn, request: ModelRequest, asked_at: int) -> None:
        self.turn = turn
        self.asked: ModelRequest | None = None
        self.asked_at = asked_at
        self._heard: asyncio.Queue[ModelEvent | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._ask(model, request))

    async def stream(self) -> AsyncGenerator[ModelEvent, None]:
        """As ``Model.stream``. Closing it ends the call."""
        try:
            while (event := await self._heard.get()) is not None:
                yield event
            await self._task
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End the call, if it has not ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def said(self) -> tuple[int, Usage, str]:
        """What nobody has listened to: its characters, what the model counted (if it had ended), and which it was."""
        characters, usage, model = 0, Usage(), ""
        while not self._heard.empty():
            event = self._heard.get_nowait()
            if isinstance(event, Finished):
                usage, model = event.usage, event.model
            elif event is not None:
                characters += len(event.text if isinstance(event, TextDelta) else event.arguments)
        return characters, usage, model

    async def _ask(self, model: Model, request: ModelRequest) -> None:
        self.asked = request
        try:
            async with aclosing(model.stream(request)) as events:
                async for event in events:
                    self._heard.put_nowait(event)
        finally:
            self._heard.put_nowait(None)
