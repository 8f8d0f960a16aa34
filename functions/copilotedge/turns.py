"""Running a turn: ask the model, stream its words, keep its answer, go on with what waits.

A turn has one holder, which may speak as long as its lease runs.

::

    turns       this: claim, speak, go on           speech      words on their way to the sockets
    watching    what else happens meanwhile         broadcast   the sockets
    settling    how a turn ends                     holding     the slot: whom to speak to, and how to let go
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from copilotedge import correlation, frames, prompts, transitions
from copilotedge.broadcast import Channel
from copilotedge.charges import Charges
from copilotedge.errors import ModelError, ModelTimeout, StateChanged
from copilotedge.head_start import HeadStart
from copilotedge.holding import CALLERS, Holding
from copilotedge.models import Finished, ModelEvent, Snapshot, ToolCallDelta
from copilotedge.ports import Clock, ConversationStore, Log, Model, Waker
from copilotedge.runs import Run, TurnEnd, Verdict, run_of
from copilotedge.settings import Settings
from copilotedge.settling import Settlement
from copilotedge.speech import Speech
from copilotedge.transitions import FRESH_MS, Rules
from copilotedge.watching import Watch


class TurnRunner:
    """Runs turns on behalf of their holder. One instance serves many turns, one after the other or at once."""

    def __init__(
        self,
        store: ConversationStore,
        model: Model,
        holding: Holding,
        waker: Waker,
        charges: Charges,
        settings: Settings,
        rules: Rules,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._model = model
        self._holding = holding
        self._waker = waker
        self._charges = charges
        self._settings = settings
        self._rules = rules
        self._clock = clock
        self._log = log
        self._watch = Watch(store, holding, rules, clock)
        self._settlement = Settlement(holding, waker, charges, settings, rules, clock, log)

    async def claim(self, conversation_id: str, holder: str, begun: Snapshot | None = None) -> Run | None:
        """Become the holder of the running turn; None when none runs or another holder is at work on it.

        A live lease may be a dead holder's: it is waited out once, and then either renewed or ours. Who began the turn
        can tell how the conversation stood then (``begun``): if that was a moment ago, nothing is read unless it has
        changed since, and the model is asked while the turn is being claimed.
        """
        turn = begun.state.turn if begun and begun.state else None
        if begun is None or turn is None or self._clock() - turn.began_at > FRESH_MS:
            return await self._claim(conversation_id, holder, None, None)
        request = prompts.for_turn(turn, begun.settings, begun.messages, self._settings)
        ahead = HeadStart(self._model, turn, request, self._clock())
        try:
            run = await self._claim(conversation_id, holder, begun, ahead)
        except BaseException:
            await self._stop(ahead)
            raise
        if run is None or (run.turn.turn_id, run.turn.attempt) != (turn.turn_id, 1):
            await self._stop(ahead)
            return run
        run.ahead, run.times.asked_at = ahead, ahead.asked_at
        return run

    async def _stop(self, ahead: HeadStart) -> None:
        """The turn is not ours: nobody will hear what the model was asked for it. Doing so again changes nothing."""
        await ahead.stop()
        asked, ahead.asked = ahead.asked, None
        if asked is not None:
            self._log.info("head_start_unused", turn_id=ahead.turn.turn_id)
            characters, usage, model = ahead.said()
            await self._charges.charge(ahead.turn.user, asked, characters, usage, model)

    async def _claim(
        self, conversation_id: str, holder: str, begun: Snapshot | None, ahead: HeadStart | None
    ) -> Run | None:
        waited_for: tuple[str, int] | None = None
        while True:
            snapshot = begun or await self._store.snapshot(conversation_id, self._settings.snapshot_messages)
            begun = None
            turn = snapshot.state.turn if snapshot.state else None
            if turn is None:
                return None
            if turn.holder and turn.is_held(self._clock()):
                if waited_for and waited_for != (turn.turn_id, turn.lease_until):
                    return None
                waited_for = (turn.turn_id, turn.lease_until)
                if ahead is not None:
                    await self._stop(ahead)
                await asyncio.sleep((turn.lease_until - self._clock()) / 1000)
                continue
            change = transitions.claim(snapshot.state, turn.turn_id, holder, self._rules, self._clock())
            try:
                await self._store.commit(conversation_id, change)
            except StateChanged:
                continue
            if turn.holder:
                self._charges.count_takeover()
            return run_of(conversation_id, snapshot, change)

    async def stand_by(self, conversation_id: str, deadline: int) -> None:
        """Wait until no turn runs any more; wake a worker if a holder lets its lease run out."""
        while True:
            state = await self._store.state(conversation_id)
            turn = state.turn if state else None
            if turn is None:
                return
            if not turn.is_held(self._clock()):
                await self._waker.run_turn(conversation_id, turn.turn_id)
                return
            if turn.lease_until > deadline:
                await self._waker.stand_by(conversation_id)
                return
            await asyncio.sleep((turn.lease_until - self._clock()) / 1000)

    async def serve(self, run: Run | None, deadline: int, also: str = "", also_ends: int = 0) -> None:
        """Run a turn and what waits behind it, until ``deadline`` (ms) leaves no room for another: a fresh worker does.

        An answer that is not whole by then is kept as ``incomplete``. ``also`` is a socket that hears it all even when
        it is not listed, until its token ends (``also_ends``, ms; 0: never).
        """
        if run is None:
            return
        channel = self._holding.open(run, also, also_ends)
        try:
            while run is not None:
                run = await self._serve_one(run, channel, deadline)
                if run is not None and self._clock() > deadline - self._needed_ms:
                    await self._holding.hand_over(run, channel, unspoken=True)
                    return
        finally:
            await self._close(channel)

    async def _serve_one(self, run: Run, channel: Channel, deadline: int) -> Run | None:
        """The turn that was begun along with its end."""
        if run.turn.telling:
            return await self._holding.tell_again(run, channel)
        verdict = await self._speak(run, channel, deadline)
        return (await self._settlement.settle(run, channel, _cut(run, verdict))).next

    async def answer(self, run: Run, deadline: int) -> TurnEnd:
        """Run one turn for a caller that waits for it. ``out_of_time``: the turn has been handed to a worker."""
        channel = self._holding.open(run)
        try:
            verdict = await self._speak(run, channel, deadline)
            if verdict == "out_of_time":
                await self._settlement.charge(run)
                await self._holding.try_to_hand_over(run, channel)
                return TurnEnd(verdict)
            end = await self._settlement.settle(run, channel, verdict, CALLERS)
            if end.next is not None:
                await self._holding.try_to_hand_over(end.next, channel, unspoken=True)
            return end
        finally:
            await self._close(channel)

    async def give_up(self, run: Run) -> None:
        """The last attempt broke in a way that nobody foresaw: end the turn as failed, so that the next one works."""
        state = await self._store.state(run.conversation_id)
        if state is None or state.turn is None or not run.is_still_mine(state.turn):
            return
        run.state, run.turn = state, state.turn
        run.error = ModelError("The answer failed too often.", code="turn_failed")
        channel = self._holding.open(run)
        try:
            if run.turn.telling:
                following = await self._holding.tell_again(run, channel)
            else:
                following = (await self._settlement.settle(run, channel, "failed")).next
            if following is not None:
                await self._holding.hand_over(following, channel, unspoken=True)
        finally:
            await self._close(channel)

    @property
    def _needed_ms(self) -> int:
        """A turn is not begun with less time than this: a call's silence, and room to end it."""
        return int(self._settings.model_timeout_seconds * 2000)

    async def _close(self, channel: Channel) -> None:
        await channel.close()
        self._charges.count_post_failures(channel.failures)

    async def _speak(self, run: Run, channel: Channel, deadline: int) -> Verdict:
        correlation.follow(run.turn.turn_id)
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
            if run.turn.attempt > 1:
                _tell_the_answer_before(run, channel)
            channel.send(frames.chat(run.question, run.state.epoch))
        channel.send(frames.status("thinking", run.turn))
        if run.turn.cancel:
            return "cancelled"
        return await self._race(run, channel, deadline)

    async def _race(self, run: Run, channel: Channel, deadline: int) -> Verdict:
        """The model's words, against the watch and the deadline."""
        speech = Speech(run, channel, self._clock)
        listen = asyncio.create_task(self._listen(run, speech))
        watch = asyncio.create_task(self._watch.watch(run, channel))
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

    def _ask(self, run: Run) -> AsyncGenerator[ModelEvent, None]:
        """What the model says, which may have been asked already."""
        if run.ahead is not None:
            return run.ahead.stream()
        run.asked = prompts.for_turn(run.turn, run.settings, run.messages, self._settings)
        run.times.asked_at = self._clock()
        return self._model.stream(run.asked)

    async def _listen(self, run: Run, speech: Speech) -> Verdict:
        try:
            async with aclosing(self._ask(run)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        run.usage, run.model, run.finish_reason = event.usage, event.model, event.finish_reason
                    elif isinstance(event, ToolCallDelta):
                        speech.call(event)
                    else:
                        speech.say(event.text[: self._settings.max_answer_characters - run.length])
                    if run.length >= self._settings.max_answer_characters:
                        run.finish_reason = "length"
                        break
        except ModelError as exc:
            run.error = exc
            return "interrupted" if run.text else "failed"
        return "answered"


def _tell_the_answer_before(run: Run, channel: Channel) -> None:
    """The answer that its dead holder stored as it began this turn, in one change: perhaps it has not told that."""
    *before, answer = run.messages[:-1] or (run.question,)
    if answer.role == "assistant" and answer.timestamp == run.turn.began_at:
        channel.send(frames.chat(answer, run.state.epoch))
        channel.send(frames.ended(before[-1] if before else answer, answer))


def _cut(run: Run, verdict: Verdict) -> Verdict:
    """A worker that is out of time keeps what it has."""
    if verdict != "out_of_time":
        return verdict
    run.error = ModelTimeout("The answer took too long.")
    return "interrupted" if run.text else "failed"
