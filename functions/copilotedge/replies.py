"""Chat for a caller that waits: over HTTP, with a conversation or without one, whole or piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from copilotedge import correlation, questions, transitions
from copilotedge.answering import Answering, Hear, Pending, Reply, finish_reason, nobody
from copilotedge.conversations import Conversations
from copilotedge.errors import Conflict, NotFound, TurnFailed
from copilotedge.following import Follower
from copilotedge.limits import Limits
from copilotedge.models import Message, Usage
from copilotedge.outcomes import Outcome, Submitted
from copilotedge.ports import Clock
from copilotedge.questions import Question
from copilotedge.runs import Run, TurnEnd
from copilotedge.settings import Settings
from copilotedge.stateless import StatelessChat
from copilotedge.transitions import Submission
from copilotedge.turns import TurnRunner

Work = Callable[[Hear], Coroutine[Any, Any, Reply | Pending]]


class Replies:
    """Answers questions of ``user``. ``arrival`` and ``deadline`` in ms; at its deadline a caller is told something.

    ``conversation_id`` is the key; without one ("") the chat is stateless. ``message_id`` is the caller's
    idempotency key, if any. Raises the errors of ``errors``.
    """

    def __init__(
        self,
        conversations: Conversations,
        runner: TurnRunner,
        stateless: StatelessChat,
        limits: Limits,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._conversations = conversations
        self._runner = runner
        self._stateless = stateless
        self._limits = limits
        self._settings = settings
        self._clock = clock

    async def reply(
        self, question: Question, user: str, conversation_id: str, arrival: int, deadline: int, message_id: str = ""
    ) -> Reply | Pending:
        """The whole answer."""
        questions.check(question, self._settings)
        if not conversation_id:
            asked = await self._stateless.ask(question, user)
            return await self._stateless.answer(asked, deadline, nobody)
        taken = await self._submit(question, user, conversation_id, arrival, message_id)
        return await self._answer(user, conversation_id, taken, deadline, None)

    async def open(
        self, question: Question, user: str, conversation_id: str, arrival: int, deadline: int, message_id: str = ""
    ) -> Answering:
        """The answer piece by piece. Refusals are raised here, before there is anything to hear."""
        questions.check(question, self._settings)
        if not conversation_id:
            asked = await self._stateless.ask(question, user)
            return Answering(
                lambda hear: self._stateless.answer(asked, deadline, hear),
                turn_id=asked.turn_id,
                created_at=self._clock(),
                quota=asked.quota,
                cache=asked.cache,
            )
        taken = await self._submit(question, user, conversation_id, arrival, message_id)
        return self._answering(user, conversation_id, taken, deadline)

    async def follow(
        self, user: str, conversation_id: str, message_id: str, deadline: int, *, just_asked: bool = False
    ) -> Answering:
        """The answer to a message that was taken before, from its first character.

        It counts as a socket of ``user``, unless it was ``just_asked``: that is limited already, as a message. Raises
        ``NotFound`` and ``LimitExceeded``.
        """
        outcome = await self._conversations.outcome(conversation_id, message_id)
        if outcome.is_gone:
            raise NotFound("There is no such message.")
        taken = Submitted(outcome.turn_id, message_id, repeated=True)
        correlation.follow(taken.turn_id)
        async with AsyncExitStack() as place:
            if not just_asked:
                await place.enter_async_context(self._limits.reading(user, deadline))
            return await self._listening(user, conversation_id, taken, deadline, place.pop_all())

    async def leave(
        self, question: Question, user: str, conversation_id: str, arrival: int, message_id: str = ""
    ) -> Submitted:
        """Have a worker answer; ``follow`` hears it."""
        questions.check(question, self._settings)
        taken = await self._submit(question, user, conversation_id, arrival, message_id, by_worker=True)
        if taken.begun is not None:
            await self._conversations.wake(conversation_id, taken)
        return taken

    async def regenerate(self, user: str, conversation_id: str, deadline: int) -> Answering:
        """Another answer to the last question. Raises ``Conflict`` and ``LimitExceeded``."""
        taken = await self._conversations.regenerate(conversation_id, user, transitions.new_id())
        correlation.follow(taken.turn_id)
        return self._answering(user, conversation_id, taken, deadline)

    async def _listening(
        self, user: str, conversation_id: str, taken: Submitted, deadline: int, place: AsyncExitStack
    ) -> Answering:
        """Gives ``place`` up at the end. A task that is cancelled before it began has none: so this waits for that."""
        begun = asyncio.Event()

        async def listen(hear: Hear) -> Reply | Pending:
            async with place:
                begun.set()
                return await self._answer(user, conversation_id, taken, deadline, hear)

        answering = self._answering(user, conversation_id, taken, deadline, listen)
        await begun.wait()
        return answering

    def _answering(
        self, user: str, conversation_id: str, taken: Submitted, deadline: int, work: Work | None = None
    ) -> Answering:
        return Answering(
            work or partial(self._answer, user, conversation_id, taken, deadline),
            turn_id=taken.turn_id,
            created_at=self._clock(),
            conversation_id=conversation_id,
            message_id=taken.message_id,
            quota=taken.quota,
            repeated=taken.repeated,
        )

    async def _submit(
        self,
        question: Question,
        user: str,
        conversation_id: str,
        arrival: int,
        message_id: str,
        *,
        by_worker: bool = False,
    ) -> Submitted:
        submission = Submission(
            message_id=message_id or transitions.new_id(),
            content=question.new.content,
            arrival=arrival,
            client_id=bool(message_id),
            holder="" if by_worker else transitions.new_id(),
            user=user,
            model=question.model,
            temperature=question.temperature,
            max_tokens=question.max_tokens,
            instructions=question.instructions,
            role=question.new.role,
            tool_call_id=question.new.tool_call_id,
            options=question.options,
        )
        brought = tuple(message for message in question.history if message.length)
        taken = await self._conversations.submit(conversation_id, submission, brought, all_new=question.all_new)
        correlation.follow(taken.turn_id)
        return taken

    async def _answer(
        self, user: str, conversation_id: str, taken: Submitted, deadline: int, hear: Hear | None
    ) -> Reply | Pending:
        """Run the turn if it is ours, else follow whoever does. ``hear`` is None where nobody wants the pieces."""
        follower = Follower(self._conversations, self._clock, user, conversation_id, taken.message_id, hear)
        reply: Reply | Pending | None = None
        if taken.run is not None:
            reply = await self._run(taken.run, deadline, hear, follower)
        if reply is None:
            outcome = await follower.outcome(deadline)
            reply = reply_of(conversation_id, outcome) if outcome else None
        pending = Pending(conversation_id, taken.turn_id, taken.message_id)
        return replace(reply or pending, quota=taken.quota, message_id=taken.message_id)

    async def _run(self, run: Run, deadline: int, hear: Hear | None, follower: Follower) -> Reply | Pending | None:
        """None when another process has taken the turn over."""
        run.hear = hear or nobody
        end = await self._runner.answer(run, deadline)
        if end.verdict == "out_of_time":
            return Pending(run.conversation_id, run.turn.turn_id, run.turn.message_id)
        if end.verdict == "fenced":
            follower.told(run.turn.attempt, len(run.text))
            return None
        if end.verdict == "closing":
            raise Conflict("The conversation was cleared.", code="conversation_cleared")
        if end.answer is None:
            raise end.error or TurnFailed("The answer was cancelled.", code="turn_cancelled")
        return _reply(run.conversation_id, end.answer, end)


def _reply(conversation_id: str, answer: Message, end: TurnEnd) -> Reply:
    told = _told(conversation_id, answer)
    if answer.status != "complete" or not end.finish_reason:
        return replace(told, usage=end.usage)
    return replace(told, usage=end.usage, finish_reason=finish_reason(end.finish_reason, answer.tool_calls))


def reply_of(conversation_id: str, outcome: Outcome) -> Reply:
    """What the log tells of an answer that is over. Raises ``TurnFailed``."""
    if outcome.answer is None:
        cancelled = outcome.question is not None and outcome.question.status == "cancelled"
        raise TurnFailed(
            "The answer was cancelled." if cancelled else "The answer failed.",
            code="turn_cancelled" if cancelled else "turn_failed",
        )
    return _told(conversation_id, outcome.answer)


def _told(conversation_id: str, answer: Message) -> Reply:
    """As the log tells it."""
    return Reply(
        answer.turn_id,
        answer.content,
        answer.model,
        answer.timestamp,
        conversation_id,
        "tool_calls" if answer.tool_calls else _FINISH[answer.status],
        Usage(answer.prompt_tokens, answer.tokens - answer.prompt_tokens),
        tool_calls=answer.tool_calls,
        answer_id=answer.message_id,
        status=answer.status,
        cost=answer.cost,
    )


_FINISH = {"complete": "stop", "incomplete": "length", "cancelled": "stop", "failed": "stop"}
