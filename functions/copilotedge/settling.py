"""The end of a turn: into the store first, then to the sockets; and when they have heard it the slot is let go."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Literal

from copilotedge import frames, transitions
from copilotedge.addresses import is_for_one_response
from copilotedge.broadcast import Channel
from copilotedge.charges import Charges
from copilotedge.errors import Closing, Fenced, StoreUnavailable
from copilotedge.frames import Frame
from copilotedge.holding import LAG_SECONDS, WORKERS, Holding, Patience, next_run
from copilotedge.models import Change, Message, MessageStatus
from copilotedge.ports import Clock, Log, Waker
from copilotedge.prices import dollars
from copilotedge.runs import Run, TurnEnd, Verdict
from copilotedge.settings import Settings
from copilotedge.speech import Speech
from copilotedge.transitions import Rules


class Settlement:
    """Stateless: one instance settles any number of runs."""

    def __init__(
        self,
        holding: Holding,
        waker: Waker,
        charges: Charges,
        settings: Settings,
        rules: Rules,
        clock: Clock,
        log: Log,
    ) -> None:
        self._holding = holding
        self._waker = waker
        self._charges = charges
        self._settings = settings
        self._rules = rules
        self._clock = clock
        self._log = log

    async def settle(self, run: Run, channel: Channel, verdict: Verdict, patience: Patience = WORKERS) -> TurnEnd:
        """Charge for it, bring the turn's end into the store, only then tell the sockets, and let go."""
        await self.charge(run)
        try:
            end = await self._end(run, channel, verdict)
        except Closing:
            return await self.settle(run, channel, "closing", patience)
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
            tokens=run.charge.usage.total_tokens,
            cost_usd=None if run.charge.cost is None else dollars(run.charge.cost),
        )
        self._count(run, end)
        if run.turn.telling and end.verdict != "fenced":
            return replace(end, next=await self._holding.let_go(run, channel, patience))
        if end.next is not None:
            await channel.flush(LAG_SECONDS, at_most=min(patience.in_all, self._rules.lease_ms / 4000))
        return end

    def _count(self, run: Run, end: TurnEnd) -> None:
        """How long the turn took; one that has become another's is measured by that one."""
        amounts = run.times.amounts(self._clock()) if end.verdict != "fenced" else {}
        if end.answer is not None and not run.turn.replaces and _is_first_answer(run):
            amounts["NewConversations"] = 1
        self._charges.count_turn(end.verdict, amounts, end.error)

    async def charge(self, run: Run) -> None:
        """Once, for a model that was asked, whatever came of it."""
        asked, run.asked = run.asked, None
        ahead, run.ahead = run.ahead, None
        if ahead is not None:
            await ahead.stop()
            asked = ahead.asked
        if asked is not None:
            run.charge = await self._charges.charge(run.turn.user, asked, run.length, run.usage, run.model)

    async def _end(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        if verdict == "fenced":
            raise Fenced("This turn is no longer ours.")
        if not channel.is_open:
            await self._holding.greet(run, channel)
        if verdict == "closing" or run.turn.closing:
            return TurnEnd("closing", next=await self._holding.close(run, channel))
        if run.text or verdict == "answered":
            return await self._complete(run, channel, verdict)
        return await self._abandon(run, channel, verdict)

    async def _complete(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        status = _STATUS_OF.get(verdict, "incomplete")
        model = run.model or self._settings.model_for(run.turn.model, run.settings.model)
        calls = tuple(run.calls) if status == "complete" and run.finish_reason != "length" else ()
        usage, cost = run.charge.usage, run.charge.cost
        change, seen = await self._holding.change(
            run,
            lambda seen: transitions.complete(
                seen,
                run.turn,
                run.text,
                usage,
                status,
                model,
                self._rules,
                self._clock(),
                calls,
                cost,
                heard=channel.is_heard,
            ),
            channel,
        )
        answer = next(message for message in change.messages if message.role == "assistant")
        Speech(run, channel, self._clock).flush()
        told = frames.status("cancelled" if verdict == "cancelled" else "complete", run.turn)
        self._say_last(run, channel, change, frames.chat(answer, run.state.epoch), told)
        await self._evict(run.conversation_id, change)
        await self._entitle(run, answer)
        return TurnEnd(verdict, answer, run.finish_reason, usage, run.error, next_run(run, seen, change))

    async def _abandon(self, run: Run, channel: Channel, verdict: Verdict) -> TurnEnd:
        status: Literal["cancelled", "failed"] = "cancelled" if verdict == "cancelled" else "failed"
        change, seen = await self._holding.change(
            run,
            lambda seen: transitions.abandon(
                seen, run.turn, run.question, status, self._rules, self._clock(), heard=channel.is_heard
            ),
            channel,
        )
        told = [frames.status(status, run.turn)]
        if run.error is not None:
            told.insert(0, frames.error(run.error, turnId=run.turn.turn_id, messageId=run.turn.message_id))
        self._say_last(run, channel, change, *told)
        return TurnEnd(verdict, error=run.error, next=next_run(run, seen, change))

    def _say_last(self, run: Run, channel: Channel, change: Change, *last: Frame) -> None:
        """Tell how the turn ended, as long as the slot is ours, which the change has prolonged."""
        turn = change.state.turn
        if turn is None:
            return
        if turn.telling:
            run.state, run.turn = change.state, turn
        channel.may_speak = lambda: self._clock() < turn.lease_until
        for frame in last:
            channel.send(frame)

    async def _evict(self, conversation_id: str, change: Change) -> None:
        """Every so often have a worker delete what the log may no longer show."""
        if self._rules.evicts_at(change.state.seq):
            await self._try_to_wake(self._waker.sweep(conversation_id), conversation_id)

    async def _entitle(self, run: Run, answer: Message) -> None:
        """The first answer of a conversation has a worker find a title for it."""
        wanted = self._settings.automatic_titles and _is_first_answer(run)
        if wanted and answer.status == "complete":
            await self._try_to_wake(self._waker.entitle(run.conversation_id), run.conversation_id)

    async def _try_to_wake(self, waking: Awaitable[None], conversation_id: str) -> None:
        """The answer is there; what else would be good to have done does not take it back."""
        try:
            await waking
        except StoreUnavailable as exc:
            self._log.error("wake_failed", conversation_id=conversation_id, error=exc.code)


_STATUS_OF: dict[Verdict, MessageStatus] = {"answered": "complete", "cancelled": "cancelled"}


def _is_first_answer(run: Run) -> bool:
    """Of a conversation that people may come back to."""
    answered_before = any(message.role == "assistant" and message.turn_id for message in run.messages)
    return not answered_before and not is_for_one_response(run.conversation_id)
