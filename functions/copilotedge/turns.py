"""Running a turn: ask the model, stream its words, keep its answer, go on with what waits.

A turn has one holder, which may speak as long as its lease runs. While the model talks a watch looks at the state once
a second: it renews the lease, sees a cancel, a clear or a takeover, and meets the sockets that came or came back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

from copilotedge import frames, prompts, transitions
from copilotedge.broadcast import Channel
from copilotedge.errors import Closing, Fenced, ModelError, ModelTimeout, StateChanged, StoreUnavailable
from copilotedge.frames import Frame
from copilotedge.models import (
    Change,
    Connection,
    Finished,
    MessageStatus,
    Snapshot,
)
from copilotedge.ports import Clock, ConversationStore, Gateway, Log, Model, Waker
from copilotedge.runs import Run, TurnEnd, Verdict, run_of
from copilotedge.settings import Settings
from copilotedge.speech import Speech
from copilotedge.transitions import Rules

WATCH_SECONDS = 0.8
FLUSH_SECONDS = 5.0
"""How long a worker's end waits for slow sockets."""
MAX_LOST_RACES = 200
CALLER_FLUSH_SECONDS = 1.0
"""The same where a caller waits for its answer."""


class TurnRunner:
    """Runs turns on behalf of their holder. One instance serves many turns, one after the other or at once."""

    def __init__(
        self,
        store: ConversationStore,
        model: Model,
        gateway: Gateway,
        waker: Waker,
        settings: Settings,
        rules: Rules,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._model = model
        self._gateway = gateway
        self._waker = waker
        self._settings = settings
        self._rules = rules
        self._clock = clock
        self._log = log

    async def claim(self, conversation_id: str, holder: str) -> Run | None:
        """Become the holder of the running turn; None when none runs or another holder is at work on it.

        A live lease may be a dead holder's: it is waited out once, and then either renewed or ours.
        """
        waited_for: tuple[str, int] | None = None
        while True:
            snapshot = await self._store.snapshot(conversation_id, self._settings.snapshot_messages)
            turn = snapshot.state.turn if snapshot.state else None
            if turn is None:
                return None
            if turn.holder and turn.is_held(self._clock()):
                if waited_for and waited_for != (turn.turn_id, turn.lease_until):
                    return None
                waited_for = (turn.turn_id, turn.lease_until)
                await asyncio.sleep((turn.lease_until - self._clock()) / 1000)
                continue
            change = transitions.claim(snapshot.state, turn.turn_id, holder, self._rules, self._clock())
            try:
                await self._store.commit(conversation_id, change)
            except StateChanged:
                continue
            return run_of(conversation_id, snapshot, change)

    async def serve(self, run: Run | None, deadline: int, also: str = "") -> None:
        """Run a turn and what waits behind it, until ``deadline`` (ms) leaves no room for another: a fresh worker does.

        An answer that is not whole by then is kept as ``incomplete``. ``also`` is a socket that hears it all even when
        it is not listed.
        """
        if run is None:
            return
        channel = self._open(run, also)
        try:
            while run is not None:
                verdict = await self._speak(run, channel, deadline)
                end = await self._settle(run, channel, _cut(run, verdict))
                run = end.next
                if run is not None and self._clock() > deadline - self._needed_ms:
                    await self.hand_over(run)
                    return
        finally:
            await channel.flush(FLUSH_SECONDS)
            await channel.close()

    async def answer(self, run: Run, deadline: int) -> TurnEnd:
        """Run one turn for a caller that waits for it. ``out_of_time``: the turn has been handed to a worker."""
        channel = self._open(run, "")
        try:
            verdict = await self._speak(run, channel, deadline)
            if verdict == "out_of_time":
                await self.hand_over(run)
                return TurnEnd(verdict)
            end = await self._settle(run, channel, verdict)
            if end.next is not None:
                await self.hand_over(end.next)
            return end
        finally:
            await channel.flush(CALLER_FLUSH_SECONDS)
            await channel.close()

    async def give_up(self, run: Run) -> None:
        """The last attempt broke in a way that nobody foresaw: end the turn as failed, so that the next one works."""
        run.error = ModelError("The answer failed too often.", code="turn_failed")
        channel = self._open(run, "")
        try:
            await self._settle(run, channel, "failed")
        finally:
            await channel.flush(FLUSH_SECONDS)
            await channel.close()

    async def hand_over(self, run: Run) -> None:
        """Let a worker go on with the turn; nothing is lost if it cannot be woken, for the lease ends."""
        try:
            await self._change(run, lambda seen: transitions.hand_over(seen.state, run.turn, self._clock()))
        except Fenced:
            return
        await self._waker.run_turn(run.conversation_id, run.turn.turn_id)

    @property
    def _needed_ms(self) -> int:
        """A turn is not begun with less time than this: a call's silence, and room to end it."""
        return int(self._settings.model_timeout_seconds * 2000)

    def _open(self, run: Run, also: str) -> Channel:
        channel = Channel(run.conversation_id, self._store, self._gateway, self._log, also)
        channel.hold_for((run.state.voice_until - self._clock()) / 1000)
        return channel

    async def _speak(self, run: Run, channel: Channel, deadline: int) -> Verdict:
        self._log.info(
            "turn_started", conversation_id=run.conversation_id, turn_id=run.turn.turn_id, attempt=run.turn.attempt
        )
        if run.turn.closing:
            return "closing"
        if run.turn.attempt > self._rules.max_attempts:
            run.error = ModelError("The answer failed too often.", code="turn_failed")
            return "failed"
        channel.may_speak = lambda: self._clock() < run.turn.lease_until
        if not run.turn.replaces:
            channel.send(frames.chat(run.question, run.state.epoch))
        channel.send(frames.status("thinking", run.turn))
        if run.turn.cancel:
            return "cancelled"
        return await self._race(run, channel, deadline)

    async def _race(self, run: Run, channel: Channel, deadline: int) -> Verdict:
        """The model's words, against the watch and the deadline."""
        speech = Speech(run, channel, self._clock)
        listen = asyncio.create_task(self._listen(run, speech))
        watch = asyncio.create_task(self._watch(run, channel))
        seconds = max(0.0, (deadline - self._clock()) / 1000)
        try:
            done, _ = await asyncio.wait({listen, watch}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            speech.stop()
            for task in (listen, watch):
                task.cancel()
            await asyncio.gather(listen, watch, return_exceptions=True)
        if watch in done:
            return watch.result()
        return listen.result() if listen in done else "out_of_time"

    async def _listen(self, run: Run, speech: Speech) -> Verdict:
        request = prompts.for_turn(run.turn, run.settings, run.messages, self._settings)
        try:
            async with aclosing(self._model.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        run.usage, run.model, run.finish_reason = event.usage, event.model, event.finish_reason
                    else:
                        speech.say(event.text[: self._settings.max_answer_characters - len(run.text)])
                    if len(run.text) >= self._settings.max_answer_characters:
                        run.finish_reason = "length"
                        break
        except ModelError as exc:
            run.error = exc
            return "interrupted" if run.text else "failed"
        return "answered"

    async def _watch(self, run: Run, channel: Channel) -> Verdict:
        """Ends only when the turn must: ``cancelled``, ``closing`` or ``fenced``."""
        await self._try_to_meet(run, channel)
        while True:
            await asyncio.sleep(min(WATCH_SECONDS, self._rules.lease_ms / 4000))
            try:
                verdict = await self._look(run, channel)
            except StoreUnavailable:
                verdict = None
            if self._clock() >= run.turn.lease_until:
                return "fenced"
            if verdict is not None:
                return verdict

    async def _look(self, run: Run, channel: Channel) -> Verdict | None:
        """The sockets are met before the state is taken note of: a state that is known vouches for them."""
        state = await self._store.state(run.conversation_id)
        current = state.turn if state else None
        if state is None or current is None or not run.is_still_mine(current):
            return "fenced"
        await self._meet(run, channel)
        run.state, run.turn = state, current
        if current.closing:
            return "closing"
        if current.cancel:
            return "cancelled"
        if current.lease_until - self._clock() < self._rules.lease_ms / 2:
            await self._renew(run)
        return None

    async def _renew(self, run: Run) -> None:
        change = transitions.renew(run.state, run.turn, self._rules, self._clock())
        try:
            await self._store.commit(run.conversation_id, change)
        except StateChanged:
            return
        run.state, run.turn = change.state, change.state.turn or run.turn

    async def _try_to_meet(self, run: Run, channel: Channel) -> None:
        """A store that stumbles here costs the sockets a moment, not the turn its life."""
        try:
            await self._meet(run, channel)
        except StoreUnavailable as exc:
            self._log.error("sockets_unknown", conversation_id=run.conversation_id, error=exc.code)

    async def _meet(self, run: Run, channel: Channel) -> None:
        connections = await self._store.connections(run.conversation_id)
        channel.update(connections)
        for connection in connections:
            self._catch_up(run, channel, connection)

    def _catch_up(self, run: Run, channel: Channel, connection: Connection) -> None:
        """Give a socket that came back the text between what it has and what has been sent since."""
        wish = connection.resume
        if wish is None or not channel.is_new(wish):
            return
        offset = wish.offset if wish.turn_id in ("", run.turn.turn_id) else 0
        if wish.attempt not in (0, run.turn.attempt):
            offset = 0
        channel.send_to(connection.connection_id, frames.status("streaming" if run.text else "thinking", run.turn))
        if offset < run.sent:
            missed = frames.delta(run.turn, run.index - 1, offset, run.text[offset : run.sent])
            channel.send_to(connection.connection_id, missed)

    async def _settle(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        """Bring the turn's end into the store, and only then tell the sockets."""
        try:
            end = await self._end(run, channel, verdict)
        except Closing:
            return await self._settle(run, channel, "closing")
        except Fenced:
            await channel.close()
            end = TurnEnd("fenced")
            if self._clock() >= run.turn.lease_until:
                await self._waker.run_turn(run.conversation_id, run.turn.turn_id)
        self._log.info(
            "turn_ended",
            conversation_id=run.conversation_id,
            turn_id=run.turn.turn_id,
            verdict=end.verdict,
            error=end.error.code if end.error else "",
            detail=end.error.detail if end.error else "",
            tokens=end.usage.total_tokens,
        )
        return end

    async def _end(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        if verdict == "fenced":
            raise Fenced("This turn is no longer ours.")
        if not channel.is_open:
            await self._try_to_meet(run, channel)
        if verdict == "closing":
            return await self._close(run, channel)
        if run.text or verdict == "answered":
            return await self._complete(run, channel, verdict)
        return await self._abandon(run, channel, verdict)

    async def _complete(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        status = _STATUS_OF.get(verdict, "incomplete")
        model = run.model or run.turn.model or run.settings.model or self._settings.model
        change, seen = await self._change(
            run,
            lambda seen: transitions.complete(
                seen, run.turn, run.text, run.usage, status, model, self._rules, self._clock()
            ),
            channel,
        )
        answer = next(message for message in change.messages if message.role == "assistant")
        Speech(run, channel, self._clock).flush()
        told = frames.status("cancelled" if verdict == "cancelled" else "complete", run.turn)
        await self._say_last(run, channel, change, frames.chat(answer, run.state.epoch), told)
        await self._evict(run.conversation_id, change)
        return TurnEnd(verdict, answer, run.finish_reason, run.usage, run.error, _next_run(run, seen, change))

    async def _abandon(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        status: Literal["cancelled", "failed"] = "cancelled" if verdict == "cancelled" else "failed"
        change, seen = await self._change(
            run,
            lambda seen: transitions.abandon(seen, run.turn, run.question, status, self._rules, self._clock()),
            channel,
        )
        told = [frames.status(status, run.turn)]
        if run.error is not None:
            told.insert(0, frames.error(run.error, turnId=run.turn.turn_id, messageId=run.turn.message_id))
        await self._say_last(run, channel, change, *told)
        return TurnEnd(verdict, error=run.error, next=_next_run(run, seen, change))

    async def _say_last(self, run: Run, channel: Channel, change: Change, *last: Frame) -> None:
        """Tell how the turn ended, while the word is ours; later another may have it, and a worker says it in its turn.

        What is on its way to slow sockets then may arrive late, rather than not at all.
        """
        word_is_ours = change.state.turn is not None or self._clock() < change.state.voice_until
        if not word_is_ours:
            await self._waker.run_turn(run.conversation_id, run.turn.turn_id)
            return
        channel.may_speak = lambda: True
        for frame in last:
            channel.send(frame)

    async def _close(self, run: Run, channel: Channel) -> TurnEnd:
        """A clear has ended the turn. Everybody hears of it before the slot is free for another holder."""
        epoch = run.state.epoch
        channel.send(frames.system("conversation_cleared", epoch=epoch))
        await channel.flush(1.0)
        change, seen = await self._change(
            run, lambda seen: transitions.close(seen, run.turn, epoch, self._rules, self._clock())
        )
        return TurnEnd("closing", next=_next_run(run, seen, change))

    async def _change(
        self, run: Run, decide: Callable[[Snapshot], Change], channel: Channel | None = None
    ) -> tuple[Change, Snapshot]:
        """Commit what ``decide`` makes of the newest state; reads only when the state in hand may no longer be true."""
        seen = Snapshot(run.state, run.settings, (), run.messages)
        if run.state.queued:
            seen = await self._read_again(run, channel)
        for _ in range(MAX_LOST_RACES):
            change = decide(seen)
            try:
                await self._store.commit(run.conversation_id, change)
                return change, seen
            except StateChanged:
                seen = await self._read_again(run, channel)
        raise StoreUnavailable("This conversation is too busy.", code="conversation_busy", retry_after=1)

    async def _read_again(self, run: Run, channel: Channel | None) -> Snapshot:
        """A state that has changed may mean that a socket has come to listen, so the sockets are met again as well."""
        seen = await self._store.snapshot(run.conversation_id, self._settings.snapshot_messages)
        if seen.state is None or seen.state.nonce == run.state.nonce:
            return seen
        if channel is not None:
            await self._meet(run, channel)
        run.state = seen.state
        return seen

    async def _evict(self, conversation_id: str, change: Change) -> None:
        """Every so often have a worker delete what the log may no longer show."""
        if self._rules.evicts_at(change.state.seq):
            await self._waker.sweep(conversation_id)


_STATUS_OF: dict[Verdict, MessageStatus] = {"answered": "complete", "cancelled": "cancelled"}


def _cut(run: Run, verdict: Verdict) -> Verdict:
    """A worker that is out of time keeps what it has."""
    if verdict != "out_of_time":
        return verdict
    run.error = ModelTimeout("The answer took too long.")
    return "interrupted" if run.text else "failed"


def _next_run(run: Run, seen: Snapshot, change: Change) -> Run | None:
    return run_of(run.conversation_id, seen, change) if change.state.turn else None
