"""Chat for a caller that waits: over REST, with a conversation or without one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from copilotedge import prompts, transitions
from copilotedge.conversations import Conversations
from copilotedge.errors import Conflict, ModelTimeout, StoreUnavailable, TurnFailed
from copilotedge.limits import UNLIMITED, Limits, Quota
from copilotedge.models import Finished, Message, ModelRequest, PromptMessage, Role, Usage
from copilotedge.outcomes import Outcome
from copilotedge.ports import Clock, Model
from copilotedge.requests import ChatMessage, ChatRequest, system_text
from copilotedge.runs import Run, TurnEnd
from copilotedge.settings import Settings
from copilotedge.transitions import Submission
from copilotedge.turns import TurnRunner

POLL_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Pauses between looks at a turn that another process runs; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``conversation_id`` is empty for a stateless chat."""

    turn_id: str
    text: str
    model: str
    created_at: int
    conversation_id: str = ""
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    quota: Quota = UNLIMITED


@dataclass(frozen=True, slots=True)
class Pending:
    """No answer within the caller's time; it will be in the log."""

    conversation_id: str
    turn_id: str
    message_id: str
    quota: Quota = UNLIMITED


@dataclass(slots=True)
class _Heard:
    """A stateless answer, as far as it has come."""

    request: ModelRequest
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: str = ""


class Replies:
    """Answers chat requests of ``user``. ``deadline`` (ms) is when the caller has to be told something."""

    def __init__(
        self,
        conversations: Conversations,
        runner: TurnRunner,
        model: Model,
        limits: Limits,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._conversations = conversations
        self._limits = limits
        self._runner = runner
        self._model = model
        self._settings = settings
        self._clock = clock

    async def reply(
        self,
        request: ChatRequest,
        user: str,
        conversation_id: str,
        arrival: int,
        deadline: int,
        message_id: str = "",
    ) -> Reply | Pending:
        """Without a conversation nothing is read or written. ``message_id`` is the caller's idempotency key, if any.

        Raises the errors of ``errors``.
        """
        if not conversation_id:
            return await self._stateless(request, user, deadline)
        holder = transitions.new_id()
        submission = Submission(
            message_id=message_id or transitions.new_id(),
            content=request.messages[-1].text,
            arrival=arrival,
            client_id=bool(message_id),
            holder=holder,
            user=user,
            model=request.model or "",
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            instructions=system_text(request),
        )
        taken = await self._conversations.submit(conversation_id, submission, _history(request))
        if taken.run is not None:
            reply = await self._run(taken.run, deadline)
        else:
            reply = await self._wait(conversation_id, taken.turn_id, taken.message_id, deadline)
        return replace(reply, quota=taken.quota)

    async def _run(self, run: Run, deadline: int) -> Reply | Pending:
        end = await self._runner.answer(run, deadline)
        if end.verdict == "out_of_time":
            return Pending(run.conversation_id, run.turn.turn_id, run.turn.message_id)
        if end.verdict == "fenced":
            return await self._wait(run.conversation_id, run.turn.turn_id, run.turn.message_id, deadline)
        if end.verdict == "closing":
            raise Conflict("The conversation was cleared.", code="conversation_cleared")
        if end.answer is None:
            raise end.error or TurnFailed("The answer was cancelled.", code="turn_cancelled")
        return _reply(run.conversation_id, end.answer, end)

    async def _wait(self, conversation_id: str, turn_id: str, message_id: str, deadline: int) -> Reply | Pending:
        """Look at the log until another process has answered."""
        looks = 0
        while True:
            outcome = await self._conversations.outcome(conversation_id, message_id)
            if outcome.is_gone:
                raise Conflict("The message was withdrawn, or the conversation cleared.", code="message_withdrawn")
            if outcome.is_over:
                return _reply_of(conversation_id, outcome)
            pause = POLL_SECONDS[min(looks, len(POLL_SECONDS) - 1)]
            if self._clock() + pause * 1000 > deadline:
                return Pending(conversation_id, turn_id, message_id)
            await asyncio.sleep(pause)
            looks += 1

    async def _stateless(self, request: ChatRequest, user: str, deadline: int) -> Reply:
        quota = await self._limits.admit_message(user)
        heard = _Heard(self._request(request))
        try:
            async with asyncio.timeout((deadline - self._clock()) / 1000):
                await self._listen(heard)
        except TimeoutError as exc:
            raise ModelTimeout("The model took too long to answer.") from exc
        finally:
            await self._charge(user, heard)
        usage, reason = heard.usage, heard.finish_reason or "stop"
        return Reply(
            transitions.new_id(),
            heard.text,
            heard.model or heard.request.model,
            self._clock(),
            "",
            reason,
            usage,
            quota,
        )

    async def _charge(self, user: str, heard: _Heard) -> None:
        tokens = heard.usage.total_tokens or prompts.estimated_tokens(heard.request, heard.text)
        with suppress(StoreUnavailable):  # an answer that was given is not taken back
            await self._limits.charge(user, tokens)

    async def _listen(self, heard: _Heard) -> None:
        async with aclosing(self._model.stream(heard.request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    heard.usage, heard.model, heard.finish_reason = event.usage, event.model, event.finish_reason
                else:
                    heard.text += event.text[: self._settings.max_answer_characters - len(heard.text)]
                if len(heard.text) >= self._settings.max_answer_characters:
                    heard.finish_reason = "length"
                    break

    def _request(self, request: ChatRequest) -> ModelRequest:
        system = system_text(request)
        head = [PromptMessage("system", system)] if system else []
        last = PromptMessage("user", request.messages[-1].text)
        return ModelRequest(
            model=request.model or self._settings.model,
            messages=(*head, *prompts.window([*_history(request), last], self._settings)),
            max_tokens=prompts.bounded(request.max_tokens, self._settings),
            temperature=request.temperature,
        )


def _history(request: ChatRequest) -> tuple[PromptMessage, ...]:
    """What comes before the new message; system messages are instructions, not history."""
    return tuple(
        PromptMessage(_role(message), message.text)
        for message in request.messages[:-1]
        if message.role in ("user", "assistant") and message.text
    )


def _role(message: ChatMessage) -> Role:
    return "assistant" if message.role == "assistant" else "user"


def _reply(conversation_id: str, answer: Message, end: TurnEnd) -> Reply:
    reason = end.finish_reason if answer.status == "complete" and end.finish_reason else _FINISH[answer.status]
    return Reply(answer.turn_id, answer.content, answer.model, answer.timestamp, conversation_id, reason, end.usage)


def _reply_of(conversation_id: str, outcome: Outcome) -> Reply:
    if outcome.answer is None:
        cancelled = outcome.question is not None and outcome.question.status == "cancelled"
        raise TurnFailed(
            "The answer was cancelled." if cancelled else "The answer failed.",
            code="turn_cancelled" if cancelled else "turn_failed",
        )
    answer = outcome.answer
    usage = Usage(answer.prompt_tokens, answer.tokens - answer.prompt_tokens)
    finish = _FINISH[answer.status]
    return Reply(answer.turn_id, answer.content, answer.model, answer.timestamp, conversation_id, finish, usage)


_FINISH = {"complete": "stop", "incomplete": "length", "cancelled": "stop", "failed": "stop"}
