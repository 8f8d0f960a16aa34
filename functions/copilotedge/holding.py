"""The slot of a conversation in its holder's hands: whom it speaks to, what it changes, and how it lets go.

Whoever tells the sockets what has its place in the log has the slot meanwhile. So they hear one process after the
other, however long each takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from copilotedge import frames, transitions
from copilotedge.broadcast import Channel
from copilotedge.errors import Closing, Fenced, StateChanged, StoreUnavailable
from copilotedge.frames import Frame
from copilotedge.models import Change, Connection, Snapshot, State
from copilotedge.ports import Clock, ConversationStore, Gateway, Log, Waker
from copilotedge.runs import Run, run_of
from copilotedge.settings import Settings
from copilotedge.transitions import Rules
from copilotedge.values import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long sockets are waited for: without a word taken by any of them (s), and in all (s)."""

    in_silence: float
    in_all: float


WORKERS = Patience(5.0, 60.0)
CALLERS = Patience(1.0, 1.0)
"""Of those for whom somebody waits."""
LAG_SECONDS = 0.25
"""How long the next turn waits for sockets that take nothing; the others are waited for, lest they fall behind."""
MAX_LOST_RACES = 200
"""Lost compare-and-swaps before a holder gives up."""


class Holding:
    """Stateless: one instance serves any number of holders."""

    def __init__(
        self,
        store: ConversationStore,
        gateway: Gateway,
        waker: Waker,
        settings: Settings,
        rules: Rules,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._waker = waker
        self._settings = settings
        self._rules = rules
        self._clock = clock
        self._log = log

    def open(self, run: Run, also: str = "", also_ends: int = 0) -> Channel:
        """A way to the sockets, as long as the turn's lease runs. See ``TurnRunner.serve`` for ``also``."""
        channel = Channel(run.conversation_id, self._store, self._gateway, self._clock, self._log, also, also_ends)
        channel.may_speak = lambda: self._clock() < run.turn.lease_until
        return channel

    async def greet(self, run: Run, channel: Channel) -> None:
        """Meet the sockets that were there when the turn began.

        A store that stumbles here costs the sockets a moment, not the turn its life.
        """
        try:
            if run.connections is None:
                run.connections = await self._store.connections(run.conversation_id)
            await self.meet(run, channel, run.connections, run.state)
        except StoreUnavailable as exc:
            self._log.error("sockets_unknown", conversation_id=run.conversation_id, error=exc.code)

    async def meet(self, run: Run, channel: Channel, connections: Sequence[Connection], state: State) -> None:
        """Speak to these from now on; give those that came back what they have missed of the running turn."""
        await channel.meet(connections, state.members)
        if not run.turn.telling and not run.turn.closing:
            for connection in connections:
                _catch_up(run, channel, connection)

    async def change(
        self, run: Run, decide: Callable[[Snapshot], Change], channel: Channel | None = None
    ) -> tuple[Change, Snapshot]:
        """Commit what ``decide`` makes of the newest state; reads only when the state in hand may no longer be true.

        Sockets that have come meanwhile are met on ``channel``, so that they hear what follows.
        """
        seen = Snapshot(run.state, run.settings, (), run.messages, run.connections)
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

    async def let_go(self, run: Run, channel: Channel, patience: Patience = WORKERS) -> Run | None:
        """Free the slot once the sockets have heard what was said, or begin the turn of a message that came meanwhile.

        What could not be told, for the lease or the store failed, a worker tells when the lease is over.
        """
        try:
            await self._until_heard(run, channel, patience)
            return await self._release(run, channel)
        except (Fenced, StoreUnavailable) as exc:
            self._log.error("release_failed", conversation_id=run.conversation_id, error=exc.code)
            await channel.close()
            if isinstance(exc, StoreUnavailable) or self._is_late(run):
                await self._leave(run)
        return None

    async def close(self, run: Run, channel: Channel) -> Run | None:
        """A clear has ended the turn. Everybody hears of it before the slot is free for another holder."""
        while True:
            try:
                return await self._close(run, channel, run.state.epoch)
            except Closing:  # it was cleared again
                continue

    async def announce(self, run: Run, *told: Frame) -> None:
        """Tell of a change that was made without a turn, a clear included, and let go of the slot.

        Whoever has said something meanwhile is answered by a worker.
        """
        channel = self.open(run)
        try:
            await self.greet(run, channel)
            for frame in told:
                channel.send(frame)
            following = await self.let_go(run, channel, CALLERS)
            if following is not None:
                await self.try_to_hand_over(following, channel, unspoken=True)
        finally:
            await channel.close()

    async def tell_again(self, run: Run, channel: Channel) -> Run | None:
        """Say what a dead holder was about to say, perhaps has said, and let go."""
        await self.greet(run, channel)
        first, state = run.turn.question_seq, run.state
        told = await self._store.messages(
            run.conversation_id, state.epoch, after=first - 1, before=state.seq + 1, limit=state.seq, newest=False
        )
        own = [message for message in told if message.turn_id == run.turn.turn_id]
        for message in told:
            channel.send(frames.chat(message, state.epoch))
        if own:
            channel.send(frames.ended(told[0], own[-1]))
        elif run.turn.message_id:  # a regeneration that brought nothing
            channel.send(frames.status("cancelled" if run.turn.cancel else "failed", run.turn))
        return await self.let_go(run, channel)

    async def hand_over(self, run: Run, channel: Channel, *, unspoken: bool = False) -> None:
        """Let a worker go on with the turn, of which nothing has been said if it is ``unspoken``."""
        await channel.flush(LAG_SECONDS, at_most=CALLERS.in_all)
        await channel.close()
        try:
            await self.change(
                run, lambda seen: transitions.hand_over(seen.state, run.turn, self._clock(), unspoken=unspoken)
            )
        except Fenced:
            return
        await self._waker.run_turn(run.conversation_id, run.turn.turn_id)

    async def try_to_hand_over(self, run: Run, channel: Channel, *, unspoken: bool = False) -> None:
        """For a caller whose answer is there, or will be: a worker that cannot be woken is woken by who looks next."""
        try:
            await self.hand_over(run, channel, unspoken=unspoken)
        except StoreUnavailable as exc:
            self._log.error("hand_over_failed", conversation_id=run.conversation_id, error=exc.code)

    async def _release(self, run: Run, channel: Channel) -> Run | None:
        self._check_lease(run)
        try:
            change, seen = await self.change(
                run, lambda seen: transitions.release(seen, run.turn, self._rules, self._clock()), channel
            )
        except Closing:
            return await self.close(run, channel)
        return next_run(run, seen, change)

    async def _close(self, run: Run, channel: Channel, epoch: str) -> Run | None:
        run.turn = replace(run.turn, closing=True)
        channel.send(frames.system("conversation_cleared", epoch=epoch))
        await channel.flush(CALLERS.in_silence, at_most=self._rules.telling_ms / 2000)
        self._check_lease(run)
        change, seen = await self.change(
            run, lambda seen: transitions.close(seen, run.turn, epoch, self._rules, self._clock()), channel
        )
        return next_run(run, seen, change)

    def _is_late(self, run: Run) -> bool:
        return self._clock() >= run.turn.lease_until

    def _check_lease(self, run: Run) -> None:
        """Raises ``Fenced`` for who stood still until it was over, and so, perhaps, has not told it all."""
        if self._is_late(run):
            raise Fenced("The lease is over.")

    async def _leave(self, run: Run) -> None:
        """To a worker, which tells it all again when the lease is over; without one, whoever looks next wakes one."""
        try:
            await self._waker.run_turn(run.conversation_id, run.turn.turn_id)
        except StoreUnavailable as exc:
            self._log.error("wake_failed", conversation_id=run.conversation_id, error=exc.code)

    async def _until_heard(self, run: Run, channel: Channel, patience: Patience) -> None:
        """Sockets that take nothing try the ``patience``, unless somebody waits for the slot."""
        if not channel.is_open:
            await self.meet(run, channel, await self._store.connections(run.conversation_id), run.state)
        loop = asyncio.get_running_loop()
        end, silence, pause = loop.time() + patience.in_all, 0.0, min(LAG_SECONDS, patience.in_silence)
        while True:
            posted, left = channel.posted, max(0.0, end - loop.time())
            if await channel.flush(pause, at_most=min(left, self._rules.telling_ms / 4000)):
                return
            silence = silence + pause if channel.posted == posted else 0.0
            if loop.time() >= end or silence >= patience.in_silence or (silence and await self._is_waited_for(run)):
                return
            await self._prolong(run)

    async def _is_waited_for(self, run: Run) -> bool:
        """Somebody has said something, has cleared the conversation, or waits with something that cannot be queued."""
        try:
            state = await self._store.state(run.conversation_id)
        except StoreUnavailable:
            return False
        turn = state.turn if state else None
        return state is None or turn is None or state.queued > 0 or turn.has_standby or turn.closing

    async def _prolong(self, run: Run) -> None:
        """The lease, once half of it is over."""
        if run.turn.lease_until - self._clock() < self._rules.telling_ms / 2:
            change, _ = await self.change(
                run, lambda seen: transitions.renew(seen.state, run.turn, self._rules, self._clock())
            )
            run.state, run.turn = change.state, change.state.turn or run.turn

    async def _read_again(self, run: Run, channel: Channel | None) -> Snapshot:
        """When a socket has come to listen since, the sockets are met again as well."""
        seen = await self._store.snapshot(run.conversation_id, self._settings.snapshot_messages)
        if seen.state is None:
            return seen
        if channel is not None and seen.connections is not None and seen.state.listeners != run.state.listeners:
            await self.meet(run, channel, seen.connections, seen.state)
        run.state, run.connections = seen.state, seen.connections
        return seen


def next_run(run: Run, seen: Snapshot, change: Change) -> Run | None:
    """What its holder has begun along with a turn's end."""
    return run_of(run.conversation_id, seen, change) if change.state.running else None


def _catch_up(run: Run, channel: Channel, connection: Connection) -> None:
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
