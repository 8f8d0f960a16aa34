"""The model's words on their way to the sockets, and to the caller who waits for them."""

from __future__ import annotations

import asyncio

from copilotedge import frames
from copilotedge.answering import CallWords, Words, add_piece
from copilotedge.broadcast import Channel
from copilotedge.models import ToolCallDelta
from copilotedge.ports import Clock
from copilotedge.runs import Run

COALESCE_SECONDS = 0.04
"""The first words go out at once; later ones are collected this long, for callbacks are billed and throttled."""


class Speech:
    """Turns the model's pieces of text into delta frames, as long as the lease of ``run`` lasts."""

    def __init__(self, run: Run, channel: Channel, clock: Clock) -> None:
        self._run = run
        self._channel = channel
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def say(self, text: str) -> None:
        run = self._run
        run.times.hear(self._clock())
        if not run.text:
            self._channel.send(frames.status("streaming", run.turn))
        run.text += text
        self._tell_words()
        if self._timer is None:
            self._send()

    def call(self, piece: ToolCallDelta) -> None:
        """Sockets hear of a tool call when it is whole, with the answer."""
        run = self._run
        run.times.hear(self._clock())
        add_piece(run.calls, piece)
        self._tell_call(piece.index)

    def stop(self) -> None:
        """Say no more; what was collected stays unsaid until ``flush``."""
        if self._timer is not None:
            self._timer.cancel()

    def flush(self) -> bool:
        """Send what was collected; False when there was nothing, or the lease has run out."""
        run = self._run
        if len(run.text) == run.sent or self._clock() >= run.turn.lease_until:
            return False
        self._channel.send(frames.delta(run.turn, run.index, run.sent, run.text[run.sent :]))
        run.sent = len(run.text)
        run.index += 1
        return True

    def _tell_words(self) -> None:
        """To the caller in this process. What a lapsed lease kept back comes when it has been renewed."""
        run = self._run
        if self._clock() < run.turn.lease_until:
            run.hear(Words(run.text[run.told :], run.told, run.turn.attempt))
            run.told = len(run.text)

    def _tell_call(self, index: int) -> None:
        """The first piece of a call has its id and its name."""
        run, call = self._run, self._run.calls[index]
        if self._clock() < run.turn.lease_until:
            first, told = index not in run.told_calls, run.told_calls.get(index, 0)
            named = (call.id, call.name) if first else ("", "")
            run.hear(CallWords(index, call.arguments[told:], *named, run.turn.attempt))
            run.told_calls[index] = len(call.arguments)

    def _send(self) -> None:
        self._timer = None
        if self.flush():
            self._timer = asyncio.get_running_loop().call_later(COALESCE_SECONDS, self._send)
