"""Hearing an answer that another process gives: from its drafts while it is being written, from the log at its end."""

from __future__ import annotations

import asyncio

from copilotedge.addresses import may_hear
from copilotedge.answering import CallWords, Hear, Words
from copilotedge.conversations import Conversations
from copilotedge.errors import Conflict, NotFound
from copilotedge.models import Message, State, Turn
from copilotedge.outcomes import Outcome
from copilotedge.ports import Clock
from copilotedge.transitions import attempt_of

POLL_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Pauses between looks at a turn that another process runs; the last one repeats."""
DRAFT_SECONDS = 0.3
"""The same while somebody hears its words."""


class Follower:
    """Follows one message to its answer, for as long as ``user`` may hear it.

    Without ``hear`` nobody asks the turn's holder for drafts.
    """

    def __init__(
        self,
        conversations: Conversations,
        clock: Clock,
        user: str,
        conversation_id: str,
        message_id: str,
        hear: Hear | None,
    ) -> None:
        self._conversations = conversations
        self._clock = clock
        self._user = user
        self._conversation_id = conversation_id
        self._message_id = message_id
        self._hear = hear
        self._attempt = 0
        self._told = 0

    def told(self, attempt: int, characters: int) -> None:
        """The caller has heard so much of this attempt already."""
        self._attempt, self._told = attempt, characters

    async def outcome(self, deadline: int) -> Outcome | None:
        """How it ended; None when ``deadline`` (ms) comes first.

        Raises ``Conflict`` where no answer will come, and ``NotFound`` for who is no longer a member.
        """
        looks = 0
        while True:
            outcome = await self._conversations.outcome(self._conversation_id, self._message_id)
            check_hearing(self._user, self._conversation_id, outcome.state)
            if outcome.is_gone:
                raise Conflict("The message was withdrawn, or the conversation cleared.", code="message_withdrawn")
            if outcome.is_over:
                self._tell_rest(outcome.answer)
                return outcome
            if self._hear is not None and outcome.turn is not None:
                if not await self._hear_out(outcome.turn, deadline):
                    return None
            else:
                pause = POLL_SECONDS[min(looks, len(POLL_SECONDS) - 1)]
                if self._clock() + pause * 1000 > deadline:
                    return None
                await asyncio.sleep(pause)
                looks += 1

    async def _hear_out(self, turn: Turn, deadline: int) -> bool:
        """Tell the drafts of a running turn until it ends; False when the time is over before."""
        while True:
            state = await self._conversations.attend(self._conversation_id)
            check_hearing(self._user, self._conversation_id, state)
            current = state.running if state else None
            if current is None or current.turn_id != turn.turn_id:
                return True
            if current.attempt:
                await self._tell_drafts(current)
            if self._clock() + DRAFT_SECONDS * 1000 > deadline:
                return False
            await asyncio.sleep(DRAFT_SECONDS)

    async def _tell_drafts(self, turn: Turn) -> None:
        if turn.attempt != self._attempt:
            self.told(turn.attempt, 0)
        for draft in await self._conversations.drafts(self._conversation_id, turn, self._told):
            self._say(draft.text, draft.offset)

    def _tell_rest(self, answer: Message | None) -> None:
        if answer is None or self._hear is None:
            return
        attempt = attempt_of(answer)
        if attempt != self._attempt:
            self.told(attempt, 0)
        self._say(answer.content, 0)
        for index, call in enumerate(answer.tool_calls):
            self._hear(CallWords(index, call.arguments, call.id, call.name, attempt))

    def _say(self, text: str, offset: int) -> None:
        """What of ``text``, which begins at ``offset``, has not been told."""
        new = text[max(0, self._told - offset) :]
        if new and self._hear is not None and offset <= self._told:
            self._hear(Words(new, self._told, self._attempt))
            self._told += len(new)


def check_hearing(user: str, key: str, state: State | None) -> None:
    """Raises ``NotFound``, as the door does, for whoever may not hear (any more) what is said there."""
    if not may_hear(user, key, state.members if state else ()):
        raise NotFound("There is no such conversation.")
