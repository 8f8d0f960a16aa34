"""Conversations as AG-UI's clients know them: threads, on which an agent runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from copilotedge.answering import Answering, Pending
from copilotedge.conversations import Conversations
from copilotedge.copilotkit import agui_events, agui_requests, agui_shapes
from copilotedge.copilotkit.agui_events import AnswerEvents, Event
from copilotedge.copilotkit.agui_requests import RunInput
from copilotedge.copilotkit.agui_shapes import STATE
from copilotedge.door import Door, Need
from copilotedge.errors import AnswerPending, ConversationsDisabled, CopilotEdgeError
from copilotedge.following import check_hearing
from copilotedge.models import ConversationSettings, Marks, State, Turn
from copilotedge.outcomes import Page
from copilotedge.replies import Replies
from copilotedge.requests import merge_context
from copilotedge.settings import Settings
from copilotedge.sockets import Sockets
from copilotedge.users import Users

_ARCHIVED = "archived:"
"""Begins cursors into the archived threads, which come after the others."""


class Threads:
    """Runs and replays, and the list. Stateless: one instance serves all users. Raises the errors of ``errors``."""

    def __init__(
        self,
        door: Door,
        conversations: Conversations,
        users: Users,
        sockets: Sockets,
        replies: Replies,
        settings: Settings,
    ) -> None:
        self._door = door
        self._conversations = conversations
        self._users = users
        self._sockets = sockets
        self._replies = replies
        self._settings = settings

    async def enter(self, run: RunInput, user: str, need: Need) -> str:
        """The key of the run's conversation; "" for a run that is part of none."""
        if run.asks_for_suggestions or not self._settings.enable_conversations:
            return ""
        return await self._door.open(user, run.thread_id, need)

    async def ask(self, run: RunInput, user: str, key: str, arrival: int, deadline: int) -> Answering:
        """What the run asks is asked once, however often it is sent: its message's id tells."""
        if not key:
            question = agui_requests.whole_question_of(run, self._settings)
            return await self._replies.open(question, user, "", arrival, deadline)
        question = agui_requests.question_of(run, self._settings)
        if run.agent_state:
            _, stored = await self._conversations.settings(key)
            _with_state(stored, run.agent_state)
        message_id = agui_requests.message_id_of(run)
        answering = await self._replies.open(question, user, key, arrival, deadline, message_id)
        with suppress(CopilotEdgeError):  # the answer is under way, and the next run brings its state again
            await self._keep_state(key, run.agent_state)
        return answering

    async def run(self, run: RunInput, answering: Answering, user: str) -> AsyncGenerator[Event, None]:
        yield agui_events.run_started(run.thread_id, run.run_id)
        try:
            async with aclosing(self._tell(answering, user)) as events:
                async for event in events:
                    yield event
            yield agui_events.run_finished(run.thread_id, run.run_id)
        except CopilotEdgeError as exc:
            yield agui_events.run_error(exc)

    async def refuse(self, run: RunInput, exc: CopilotEdgeError) -> AsyncGenerator[Event, None]:
        """What the client shows to its user; a status it would only quote."""
        yield agui_events.run_started(run.thread_id, run.run_id)
        yield agui_events.run_error(exc)

    async def connect(self, run: RunInput, user: str, key: str, deadline: int) -> AsyncGenerator[Event, None]:
        """What has been said, then what is being said, until nothing is. A thread that does not exist is empty.

        It ends early for a ``user`` who may hear no more, or listens too often already.
        """
        yield agui_events.run_started(run.thread_id, run.run_id)
        try:
            if key:
                async with aclosing(self._replay(user, key, deadline)) as events:
                    async for event in events:
                        yield event
            yield agui_events.run_finished(run.thread_id, run.run_id)
        except CopilotEdgeError as exc:
            yield agui_events.run_error(exc)

    async def stop(self, user: str, thread_id: str) -> dict[str, Any]:
        """Stop what runs on the thread, whoever asked for it."""
        key = await self._key(user, thread_id, "write")
        return agui_shapes.stopped(bool(await self._conversations.cancel(key)))

    async def listed(self, user: str, limit: int, cursor: str, *, archived: bool) -> dict[str, Any]:
        """The user's own, newest first; with ``archived``, those behind the others."""
        is_behind = cursor.startswith(_ARCHIVED)
        found = await self._users.conversations(user, limit, cursor.removeprefix(_ARCHIVED), archived=is_behind)
        entries, following = [*found.entries], f"{_ARCHIVED if is_behind else ''}{found.cursor}" if found.cursor else ""
        if archived and not is_behind and not following:
            behind = await self._users.conversations(user, max(limit - len(entries), 1), archived=True)
            entries += behind.entries
            following = f"{_ARCHIVED}{behind.cursor}" if behind.cursor else ""
        return {"threads": [agui_shapes.thread(entry, user) for entry in entries], "nextCursor": following or None}

    async def change(self, user: str, thread_id: str, marks: Marks) -> dict[str, Any]:
        key = await self._key(user, thread_id, "own")
        return agui_shapes.thread(await self._users.change(key, marks), user)

    async def delete(self, user: str, thread_id: str) -> dict[str, Any]:
        key = await self._key(user, thread_id, "own")
        cleared = await self._conversations.delete(key)
        await self._sockets.tell_cleared(key, cleared)
        return {"threadId": thread_id, "deleted": True}

    async def messages(self, user: str, thread_id: str) -> list[dict[str, Any]]:
        page = await self._page(await self._key(user, thread_id, "read"))
        return self._entries(page)

    async def state(self, user: str, thread_id: str) -> dict[str, Any]:
        _, settings = await self._conversations.settings(await self._key(user, thread_id, "read"))
        return agui_shapes.state_of(settings)

    async def _key(self, user: str, thread_id: str, need: Need) -> str:
        if not self._settings.enable_conversations:
            raise ConversationsDisabled("Conversations are not enabled.")
        return await self._door.open(user, thread_id, need)

    async def _replay(self, user: str, key: str, deadline: int) -> AsyncGenerator[Event, None]:
        _, settings = await self._conversations.settings(key)
        if state := agui_shapes.state_of(settings):
            yield agui_events.state_snapshot(state)
        page, told = await self._heard_page(user, key), ""
        yield self._snapshot(page)
        while (turn := _running(page.state)) and turn.turn_id != told:
            told = turn.turn_id
            answering = await self._replies.follow(user, key, turn.message_id, deadline)
            async with aclosing(self._tell(answering, user)) as events:
                async for event in events:
                    yield event
            page = await self._heard_page(user, key)
            if _running(page.state):
                yield self._snapshot(page)

    async def _tell(self, answering: Answering, user: str) -> AsyncGenerator[Event, None]:
        """However the answer ends, no message stays open. Raises why there is none, unless it was stopped."""
        key = answering.conversation_id
        try:
            told = AnswerEvents(await self._turn_of(answering), stateless=not key)
            try:
                async for piece in answering:
                    if told.begins_anew(piece):
                        for event in told.close():
                            yield event
                        yield await self._truth(user, key)
                    for event in told.piece(piece):
                        yield event
                reply = await answering.end()
                if isinstance(reply, Pending):
                    raise AnswerPending("The answer takes longer than a call may. It goes on: connect again.")
                for event in told.rest(reply):
                    yield event
                if key and told.has_said_more(reply.tool_calls):
                    yield await self._truth(user, key)
            except CopilotEdgeError as exc:
                for event in told.close():
                    yield event
                if key and told.has_said_more(()):
                    yield await self._truth(user, key)
                if exc.code != "turn_cancelled":
                    raise
        finally:
            await answering.close()

    async def _turn_of(self, answering: Answering) -> str:
        """Whose answer it is: of a question that was answered once more, it is a later turn's."""
        if not answering.repeated:
            return answering.turn_id
        outcome = await self._conversations.outcome(answering.conversation_id, answering.message_id)
        return outcome.answer.turn_id if outcome.answer else answering.turn_id

    async def _truth(self, user: str, key: str) -> Event:
        """What the log has, against what a client has heard that is not true any more."""
        return self._snapshot(await self._heard_page(user, key))

    async def _keep_state(self, key: str, state: dict[str, Any]) -> None:
        """Clients send an empty state when they have none; it replaces nothing."""
        if not state:
            return
        _, stored = await self._conversations.settings(key)
        if agui_shapes.state_of(stored) != state:
            await self._conversations.store_settings(key, lambda settings: _with_state(settings, state))

    async def _heard_page(self, user: str, key: str) -> Page:
        """For who has been listening for a while. Raises ``NotFound`` for who may do so no longer."""
        page = await self._page(key)
        check_hearing(user, key, page.state)
        return page

    async def _page(self, key: str) -> Page:
        return await self._conversations.page(key, self._settings.max_history_page)

    def _snapshot(self, page: Page) -> Event:
        return agui_events.messages_snapshot(self._entries(page))

    def _entries(self, page: Page) -> list[dict[str, Any]]:
        """As much as a client can send back, and a new message with it."""
        return agui_shapes.snapshot(page.messages, self._settings.max_request_bytes // 2)


def _with_state(settings: ConversationSettings, state: dict[str, Any]) -> ConversationSettings:
    """Raises ``RequestTooLarge`` where both do not fit."""
    return replace(settings, context=merge_context(settings.context, {STATE: state}))


def _running(state: State | None) -> Turn | None:
    """One that can be heard; what answers a question once more is not heard before it takes the answer's place."""
    turn = state.running if state else None
    return None if turn and (turn.closing or turn.replaces) else turn
