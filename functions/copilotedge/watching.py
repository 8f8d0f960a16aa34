"""The watch beside a turn: about once a second it looks at the state and at the sockets.

It renews the lease, sees a cancel, a clear or a takeover, and meets the sockets that came or came back.
"""

from __future__ import annotations

import asyncio

from copilotedge import transitions
from copilotedge.broadcast import Channel
from copilotedge.errors import StateChanged, StoreUnavailable
from copilotedge.holding import Holding
from copilotedge.models import Draft
from copilotedge.ports import Clock, ConversationStore
from copilotedge.runs import Run, Verdict
from copilotedge.transitions import Rules

WATCH_SECONDS = 0.8
DRAFT_SECONDS = 0.3
"""The same while somebody follows the answer over HTTP."""


class Watch:
    """Stateless: one instance watches any number of runs."""

    def __init__(self, store: ConversationStore, holding: Holding, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._holding = holding
        self._rules = rules
        self._clock = clock

    async def watch(self, run: Run, channel: Channel) -> Verdict:
        """Ends only when the turn must: ``cancelled``, ``closing`` or ``fenced``."""
        await self._holding.greet(run, channel)
        while True:
            await asyncio.sleep(min(self._pause(run), self._rules.lease_ms / 4000))
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
        audience = await self._store.audience(run.conversation_id)
        state = audience.state
        current = state.turn if state else None
        if state is None or current is None or not run.is_still_mine(current):
            return "fenced"
        await self._holding.meet(run, channel, audience.connections, state)
        run.connections = audience.connections
        run.state, run.turn = state, current
        if current.closing:
            return "closing"
        if current.cancel:
            return "cancelled"
        if current.lease_until - self._clock() < self._rules.lease_ms / 2:
            await self._renew(run)
        if self._is_followed(run):
            await self._draft(run)
        return None

    def _pause(self, run: Run) -> float:
        return DRAFT_SECONDS if self._is_followed(run) else WATCH_SECONDS

    def _is_followed(self, run: Run) -> bool:
        return run.state.followed_until > self._clock()

    async def _draft(self, run: Run) -> None:
        """Keep what has been said since the last draft, for those who follow."""
        text = run.text[run.drafted :]
        if text:
            draft = Draft(run.turn.turn_id, run.turn.attempt, run.drafted, text)
            await self._store.write_draft(run.conversation_id, run.state.epoch, draft)
            run.drafted += len(text)

    async def _renew(self, run: Run) -> None:
        change = transitions.renew(run.state, run.turn, self._rules, self._clock())
        try:
            await self._store.commit(run.conversation_id, change)
        except StateChanged:
            return
        run.state, run.turn = change.state, change.state.turn or run.turn
