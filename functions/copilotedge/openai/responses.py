"""Responses, as OpenAI's Responses API has them: turns of conversations, read, resumed, cancelled one by one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator

from copilotedge import frames, transitions
from copilotedge.addresses import FOR_ONE_RESPONSE, is_for_one_response
from copilotedge.answering import Answering, Pending
from copilotedge.conversations import Conversations
from copilotedge.door import Door, Need
from copilotedge.errors import Conflict, ConversationsDisabled, CopilotEdgeError, InvalidRequest, NotFound
from copilotedge.following import Follower
from copilotedge.openai import response_ids, response_shapes
from copilotedge.openai.response_events import Event, ResponseEvents
from copilotedge.openai.response_requests import ResponseRequest
from copilotedge.openai.response_shapes import Response, ResponseHead
from copilotedge.outcomes import Outcome
from copilotedge.ports import Clock, Log
from copilotedge.replies import reply_of
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets
from copilotedge.values import dataclass

CANCEL_MS = 5_000
"""How long a cancelled answer is waited for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation as the caller calls it, and its key; both empty for none."""

    known_as: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A response of a conversation, and how it fares. ``model`` is the deployment's."""

    response_id: str
    message_id: str
    place: Place
    outcome: Outcome
    model: str

    @property
    def head(self) -> ResponseHead:
        """What its conversation shows; instructions and tools are never shown."""
        asked = self.outcome.question
        waiting, turn, answer = self.outcome.queued, self.outcome.turn, self.outcome.answer
        model = answer.model if answer else turn.model if turn else waiting.model if waiting else ""
        created_at = asked.timestamp if asked else waiting.arrival if waiting else 0
        return ResponseHead(self.response_id, created_at, self.place.known_as, model or self.model)


class Responses:
    """Stateless: one instance serves all users. Raises the errors of ``errors``.

    A response of which somebody may not know reads like one that does not exist.
    """

    def __init__(
        self, door: Door, conversations: Conversations, sockets: Sockets, settings: Settings, clock: Clock, log: Log
    ) -> None:
        self._door = door
        self._conversations = conversations
        self._sockets = sockets
        self._settings = settings
        self._clock = clock
        self._log = log

    async def place(self, request: ResponseRequest, user: str, message_id: str = "") -> Place:
        """Where the answer is to be kept; with the client's ``message_id`` ("": none) always the same place."""
        if not self._settings.enable_conversations:
            if request.background or request.known_as or request.previous_response_id:
                raise ConversationsDisabled("Conversations are not enabled.")
            return Place()
        if request.store is False:
            return Place()
        if request.previous_response_id:
            return await self._behind(user, request.previous_response_id, message_id)
        known_as = request.known_as or _own_name(message_id)
        return Place(known_as, await self._door.open(user, known_as, "write"))

    def head(self, request: ResponseRequest, place: Place, message_id: str, created_at: int) -> ResponseHead:
        """Of a response that is just being asked for; without a conversation ``message_id`` is the turn's id."""
        question = request.question
        return ResponseHead(
            response_ids.encode(place.known_as, message_id),
            created_at,
            place.known_as,
            question.model or self._settings.model,
            question.instructions,
            question.options,
            question.temperature,
            question.max_tokens,
            request.previous_response_id or "",
            bool(request.background),
            request.metadata or {},
        )

    async def find(self, user: str, response_id: str, need: Need = "read") -> Found:
        known_as, message_id = response_ids.decode(response_id)
        try:
            key = await self._door.open(user, known_as, need)
        except (NotFound, InvalidRequest) as exc:
            raise response_ids.no_response() from exc
        outcome = await self._conversations.outcome(key, message_id)
        if outcome.is_gone or not outcome.turn_id:
            raise response_ids.no_response()
        return Found(response_id, message_id, Place(known_as, key), outcome, self._settings.model)

    def shown(self, found: Found) -> Response:
        if not found.outcome.is_over:
            return response_shapes.unfinished(found.head, "queued" if found.outcome.queued else "in_progress")
        try:
            return response_shapes.ended(found.head, reply_of(found.place.key, found.outcome))
        except CopilotEdgeError as exc:
            return response_shapes.failed(found.head, exc)

    async def cancel(self, user: str, response_id: str) -> Response:
        """The response as it is then; one that has ended stays as it is."""
        found = await self.find(user, response_id, "write")
        cancelled = await self._conversations.cancel(found.place.key, found.message_id)
        if cancelled.withdrawn is not None:
            news = frames.withdrawn(cancelled.withdrawn.turn_id, cancelled.withdrawn.message_id)
            await self._sockets.announce(found.place.key, news)
            return response_shapes.unfinished(found.head, "cancelled")
        follower = Follower(self._conversations, self._clock, user, found.place.key, found.message_id, None)
        await follower.outcome(self._clock() + CANCEL_MS)
        return self.shown(await self.find(user, response_id))

    async def delete(self, user: str, response_id: str) -> None:
        """Deletes the conversation that was made for this response. Raises ``Conflict`` where it is part of more."""
        found = await self.find(user, response_id, "own")
        page = await self._conversations.page(found.place.key, self._settings.max_stored_messages)
        own = ("", found.outcome.turn_id)  # what came with the question is of no turn
        alone = all(message.turn_id in own for message in page.messages)
        if page.more or not alone or not is_for_one_response(found.place.key):
            raise Conflict("It is part of a conversation: delete that.", code="response_in_conversation")
        cleared = await self._conversations.delete(found.place.key)
        await self._sockets.tell_cleared(found.place.key, cleared)

    async def events(self, answering: Answering, head: ResponseHead, after: int = -1) -> AsyncGenerator[Event, None]:
        """The response's stream, behind the event number ``after``; closing it closes ``answering``."""
        events = ResponseEvents(head, answering.turn_id, after)
        try:
            for event in events.begin():
                yield event
            async for piece in answering:
                for event in events.piece(piece):
                    yield event
            reply = await answering.end()
            for event in [events.pending()] if isinstance(reply, Pending) else events.end(reply):
                yield event
        except CopilotEdgeError as exc:
            self._log.info("response_failed", code=exc.code, detail=getattr(exc, "detail", ""))
            for event in events.fail(exc):
                yield event
        finally:
            await answering.close()

    async def _behind(self, user: str, response_id: str, message_id: str) -> Place:
        """The conversation of a response that is the last one there, but for ``message_id``: a log has no branches."""
        found = await self.find(user, response_id, "write")
        state, turn, answer = found.outcome.state, found.outcome.turn, found.outcome.answer
        last = answer or found.outcome.question
        runs = turn is not None and state is not None and not state.queued
        ended = (
            state is not None
            and state.running is None
            and not state.queued
            and last is not None
            and last.seq == state.seq
        )
        if not runs and not ended and not await self._took(found.place.key, message_id):
            raise InvalidRequest("Something was said after that response.", code="previous_response_not_last")
        return found.place

    async def _took(self, key: str, message_id: str) -> bool:
        return bool(message_id) and not (await self._conversations.outcome(key, message_id)).is_gone


def _own_name(message_id: str) -> str:
    """Of a response's own conversation: of each message id one, so that a repeated message finds it."""
    unique = hashlib.sha256(message_id.encode()).hexdigest()[:32] if message_id else transitions.new_id()
    return FOR_ONE_RESPONSE + unique
