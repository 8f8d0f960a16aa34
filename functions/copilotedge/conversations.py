"""What clients ask of a conversation, apart from the words of the model.

Each command reads, decides (``transitions``) and commits; where another change came first it reads again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from copilotedge import transitions
from copilotedge.admission import Admission, admission
from copilotedge.errors import ReceiptExists, StateChanged, StillTelling, StoreUnavailable
from copilotedge.histories import known_of, unknown_of
from copilotedge.limits import Limits
from copilotedge.models import (
    Change,
    Connection,
    ConversationSettings,
    Draft,
    MemberRole,
    Message,
    PromptMessage,
    Resume,
    Role,
    Snapshot,
    State,
    Turn,
)
from copilotedge.outcomes import Appended, Cancelled, Cleared, Outcome, Page, Submitted
from copilotedge.ports import Clock, ConversationStore, Log, Waker
from copilotedge.runs import Run, run_of
from copilotedge.transitions import Began, Queued, Repeated, Rules, Submission

MAX_LOST_RACES = 100
"""Lost compare-and-swaps before a command gives up; under 16 simultaneous senders a dozen is normal."""

IMPATIENT = 4
"""So many tries (a tenth of a second, perhaps) somebody who only tells is left in peace."""

LOOK_MS = 250
"""How often a repeated message looks whether its turn has been claimed."""
MOST_BACKOFF_SECONDS = 0.8
"""So long at most a loser waits, at random: a crowd whose tries take 50 ms each then gets in one after the other."""

IMPORT_BATCH = 90
"""Messages that a client brings along are stored so many at once: a transaction holds 100 items."""

_Outcome = TypeVar("_Outcome")


class Conversations:
    """Commands and queries of clients. Stateless: one instance serves all conversations."""

    def __init__(
        self,
        store: ConversationStore,
        waker: Waker,
        limits: Limits,
        rules: Rules,
        window: int,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._waker = waker
        self._limits = limits
        self._rules = rules
        self._window = window
        self._clock = clock
        self._log = log

    async def submit(
        self,
        conversation_id: str,
        submission: Submission,
        brought: Sequence[PromptMessage] = (),
        *,
        all_new: bool = False,
    ) -> Submitted:
        """Take a user message: its turn begins, or it waits in the queue, or it was taken before.

        ``brought`` is history that the client sent along; what of it the log has already is not stored again, unless it
        is ``all_new``.
        Raises ``Conflict`` and ``LimitExceeded``.
        """
        async with admission(self._limits, submission.user) as admitted:
            return await self._submit(conversation_id, submission, brought, all_new, admitted)

    async def _submit(
        self,
        conversation_id: str,
        submission: Submission,
        brought: Sequence[PromptMessage],
        all_new: bool,
        admitted: Admission,
    ) -> Submitted:
        left = list(brought)

        def decide(snapshot: Snapshot) -> tuple[Began | Queued | Repeated | None, Change | None]:
            new = tuple(left) if all_new else unknown_of(brought, known_of(snapshot))
            if len(new) > IMPORT_BATCH:
                repeated = transitions.submit(snapshot, submission, self._rules, self._clock())
                if isinstance(repeated, Repeated):
                    return repeated, None
                return None, transitions.import_history(snapshot, new[:IMPORT_BATCH], self._rules, self._clock())
            outcome = transitions.submit(snapshot, replace(submission, context=new), self._rules, self._clock())
            return outcome, None if isinstance(outcome, Repeated) else outcome.change

        try:
            outcome, change, snapshot = await self._swap(conversation_id, decide, admitted)
            while outcome is None:
                del left[:IMPORT_BATCH]
                outcome, change, snapshot = await self._swap(conversation_id, decide)
        except ReceiptExists:
            outcome, change = await self._find_receipt(conversation_id, submission), None
            snapshot = Snapshot()
        if isinstance(outcome, Repeated):
            await self._see_it_claimed(conversation_id, snapshot.state)
        await self._revive(conversation_id, snapshot.state, change)
        return replace(_submitted(conversation_id, submission, outcome, snapshot), quota=await admitted)

    async def wake(self, conversation_id: str, taken: Submitted, connection: Connection | None = None) -> None:
        """Have the turn run that ``taken`` began; ``connection`` hears it."""
        heard_by = (connection.connection_id, connection.token_expires) if connection else ("", 0)
        await self._waker.run_turn(conversation_id, taken.turn_id, *heard_by, taken.begun)

    async def regenerate(self, conversation_id: str, user: str = "", holder: str = "") -> Submitted:
        """Begin a turn that answers the last question once more. Raises ``Conflict`` and ``LimitExceeded``."""
        turn_id = transitions.new_id()

        def decide(snapshot: Snapshot) -> tuple[Began, Change]:
            began = transitions.regenerate(snapshot, turn_id, holder, user, self._rules, self._clock())
            return began, began.change

        async with admission(self._limits, user) as admitted:
            began, _, snapshot = await self._swap(conversation_id, decide, admitted)
        run = run_of(conversation_id, snapshot, began.change)
        return _begun(run, began.turn.message_id)

    async def cancel(self, conversation_id: str, message_id: str = "") -> Cancelled:
        """Stop the running turn, or take the waiting message ``message_id`` off the queue."""

        def decide(snapshot: Snapshot) -> tuple[Cancelled, Change | None]:
            turn = snapshot.state.running if snapshot.state else None
            if message_id and (turn is None or turn.message_id != message_id):
                change = transitions.withdraw(snapshot, message_id)
                return Cancelled(withdrawn=change.dequeued[0] if change else None), change
            return Cancelled(stopping=turn is not None), transitions.request_cancel(snapshot.state)

        stopped, change, snapshot = await self._swap(conversation_id, decide)
        await self._revive(conversation_id, snapshot.state, change)
        return stopped

    async def clear(self, conversation_id: str) -> Cleared:
        """Forget all messages."""
        return await self._empty(conversation_id, transitions.clear)

    async def delete(self, conversation_id: str) -> Cleared:
        """End the conversation, settings included."""
        return await self._empty(conversation_id, transitions.delete)

    async def sweep(self, conversation_id: str) -> None:
        """Have what the log no longer shows deleted, some time soon."""
        await self._waker.sweep(conversation_id)

    async def listen(
        self,
        conversation_id: str,
        connection: Connection,
        turn_id: str = "",
        offset: int | None = None,
        attempt: int = 0,
    ) -> Page:
        """List a socket that came (back), so that the running turn cannot end without it.

        With an ``offset`` the turn's holder also gives it the text from there on (from 0 if ``turn_id`` is another
        turn). What the holder sends and what the log holds when this returns leave no gap between them.
        """
        wish = None if offset is None else Resume(transitions.new_id(), turn_id, offset, attempt)
        await self._store.connect(conversation_id, replace(connection, resume=wish))

        def decide(snapshot: Snapshot) -> tuple[State | None, Change | None]:
            return snapshot.state, transitions.note_listener(snapshot.state)

        _, change, snapshot = await self._swap(conversation_id, decide)
        await self._revive(conversation_id, snapshot.state, change)
        return Page(change.state if change else snapshot.state, snapshot.messages, False)

    async def attend(self, conversation_id: str) -> State | None:
        """The state as it is; the holder of the turn that runs is asked to keep drafts for us."""
        state = await self._store.state(conversation_id)
        change = transitions.follow(state, self._clock())
        if change is not None:
            try:
                await self._store.commit(conversation_id, change)
            except StateChanged:
                change = None
        await self._revive(conversation_id, state, change)
        return state

    async def drafts(self, conversation_id: str, turn: Turn, offset: int) -> tuple[Draft, ...]:
        """What of the running turn's answer is kept as drafts, from ``offset`` on."""
        return await self._store.drafts(conversation_id, turn.turn_id, turn.attempt, offset)

    async def append(self, conversation_id: str, role: Role, content: str, tokens: int, user: str = "") -> Appended:
        """Store a message without answering it; the caller announces it.

        Raises ``Conflict`` while a turn runs, and ``LimitExceeded``.
        """
        holder = transitions.new_id()

        def decide(snapshot: Snapshot) -> Change:
            return transitions.append(snapshot, role, content, tokens, holder, self._rules, self._clock())

        return await self._append(conversation_id, decide, user)

    async def append_all(self, conversation_id: str, messages: Sequence[PromptMessage], user: str = "") -> Appended:
        """The same for up to ``IMPORT_BATCH`` messages, all or none; they count as one."""

        holder = transitions.new_id()

        def decide(snapshot: Snapshot) -> Change:
            return transitions.append_all(snapshot, messages, holder, self._rules, self._clock())

        return await self._append(conversation_id, decide, user)

    async def _append(self, conversation_id: str, decide: Callable[[Snapshot], Change], user: str) -> Appended:
        def once(snapshot: Snapshot) -> tuple[Change, Change]:
            change = decide(snapshot)
            return change, change

        async with admission(self._limits, user) as admitted:
            change, _, snapshot = await self._swap(conversation_id, once, admitted)
        if any(self._rules.evicts_at(message.seq) for message in change.messages):
            await self._try_to_sweep(conversation_id)
        run = run_of(conversation_id, snapshot, change) if change.state.turn else None
        return Appended(change.messages, change.state, run, await admitted)

    async def _try_to_sweep(self, conversation_id: str) -> None:
        """The messages are there, and have to be told."""
        try:
            await self._waker.sweep(conversation_id)
        except StoreUnavailable as exc:
            self._log.error("wake_failed", conversation_id=conversation_id, error=exc.code)

    async def settings(self, conversation_id: str) -> tuple[State | None, ConversationSettings]:
        snapshot = await self._store.snapshot(conversation_id, 0)
        if snapshot.state is not None and snapshot.state.is_deleted:
            return None, ConversationSettings()
        return snapshot.state, snapshot.settings

    async def store_settings(
        self, conversation_id: str, update: Callable[[ConversationSettings], ConversationSettings]
    ) -> tuple[State, ConversationSettings]:
        def decide(snapshot: Snapshot) -> tuple[tuple[State, ConversationSettings], Change]:
            settings = update(snapshot.settings)
            change = transitions.store_settings(snapshot, settings, self._rules, self._clock())
            return (change.state, settings), change

        stored, _, _ = await self._swap(conversation_id, decide)
        return stored

    async def members(self, conversation_id: str) -> Mapping[str, MemberRole]:
        state = await self._store.state(conversation_id)
        return state.members if state else {}

    async def share(self, conversation_id: str, members: Mapping[str, MemberRole]) -> None:
        """Let exactly these users in, besides the owner. Whose sockets have to go is the caller's matter."""

        def decide(snapshot: Snapshot) -> tuple[None, Change]:
            return None, transitions.share(snapshot, members, self._rules, self._clock())

        await self._swap(conversation_id, decide)

    async def page(self, conversation_id: str, limit: int, before: int = 0, after: int | None = None) -> Page:
        """The newest ``limit`` messages; those before ``before``, or the oldest ones after ``after``, if given."""
        if not before and after is None:
            snapshot = await self._store.snapshot(conversation_id, limit + 1)
            state, found = snapshot.state, snapshot.messages
        else:
            state = await self._store.state(conversation_id)
            found = await self._range(conversation_id, state, limit + 1, before, after)
        await self._revive(conversation_id, state)
        found = tuple(message for message in found if message.seq > self.floor(state))
        kept = found[:limit] if after is not None else found[-limit:]
        return Page(state, kept, len(found) > limit)

    async def outcome(self, conversation_id: str, message_id: str) -> Outcome:
        """How the user message ``message_id`` fares. Looks through the newest messages first, then through all."""
        snapshot = await self._store.snapshot(conversation_id, self._window)
        state = snapshot.state
        found = _exchange(snapshot.messages, message_id)
        turn = state.running if state and state.running and state.running.message_id == message_id else None
        queued = next((queued for queued in snapshot.queue if queued.message_id == message_id), None)
        if found == (None, None) and state and not turn and not queued:
            everything = await self._store.messages(
                conversation_id, state.epoch, after=0, before=state.seq + 1, limit=state.seq, newest=False
            )
            found = _exchange(everything, message_id)
        await self._revive(conversation_id, state)
        return Outcome(turn, *found, state, queued)

    def floor(self, state: State | None) -> int:
        """Messages up to this seq are evicted, deleted or not."""
        return state.seq - self._rules.max_stored if state else 0

    async def _range(
        self, conversation_id: str, state: State | None, limit: int, before: int, after: int | None
    ) -> tuple[Message, ...]:
        if state is None:
            return ()
        return await self._store.messages(
            conversation_id,
            state.epoch,
            after=max(after or 0, self.floor(state), 0),
            before=before or state.seq + 1,
            limit=limit,
            newest=after is None,
        )

    async def _swap(
        self,
        conversation_id: str,
        decide: Callable[[Snapshot], tuple[_Outcome, Change | None]],
        admitted: Admission | None = None,
    ) -> tuple[_Outcome, Change | None, Snapshot]:
        """Read, decide, commit; again where another change came first. ``decide`` gives None for nothing to change.

        Nothing is decided before the user is admitted, which goes on beside the first read. Who has the slot only to
        tell of what was before is waited for, and told to hurry; if it is dead another tells.
        """
        for lost in range(MAX_LOST_RACES):
            snapshot = await self._store.snapshot(conversation_id, self._window)
            if admitted is not None:
                await admitted
            try:
                outcome, change = decide(snapshot)
                if change is not None:
                    await self._store.commit(conversation_id, change)
                return outcome, change, snapshot
            except StateChanged as exc:
                if lost == IMPATIENT and isinstance(exc, StillTelling):
                    await self._hurry(conversation_id, snapshot.state)
                await asyncio.sleep(random.uniform(0, min(0.01 * 2**lost, MOST_BACKOFF_SECONDS)))
        raise StoreUnavailable("This conversation is too busy.", code="conversation_busy", retry_after=1)

    async def _hurry(self, conversation_id: str, state: State | None) -> None:
        change = transitions.wait_for(state) if state else None
        try:
            if change is not None:
                await self._store.commit(conversation_id, change)
            await self._revive(conversation_id, state, change)
        except StateChanged:
            return

    async def _empty(
        self, conversation_id: str, transition: Callable[[Snapshot, str, Rules, int], Change | None]
    ) -> Cleared:
        holder = transitions.new_id()

        def decide(snapshot: Snapshot) -> tuple[None, Change | None]:
            return None, transition(snapshot, holder, self._rules, self._clock())

        _, change, snapshot = await self._swap(conversation_id, decide)
        await self._revive(conversation_id, snapshot.state, change)
        if change is None:
            return Cleared("")
        turn = change.state.turn
        is_ours = turn is not None and turn.holder == holder
        return Cleared(change.state.epoch, run_of(conversation_id, snapshot, change) if is_ours else None)

    async def _find_receipt(self, conversation_id: str, submission: Submission) -> Repeated:
        receipt = await self._store.receipt(conversation_id, submission.message_id)
        if receipt is None:
            raise StoreUnavailable("This conversation is too busy.", code="conversation_busy", retry_after=1)
        return transitions.match_receipt(receipt, submission)

    async def _see_it_claimed(self, conversation_id: str, seen: State | None) -> None:
        """For a client that repeats itself: perhaps no worker could be woken, or who should have woken one has died.

        The worker that was woken, if one was, is given the time to claim the turn: two would ask the model twice.
        """
        turn = seen.turn if seen else None
        if turn is None or turn.holder or not turn.is_held(self._clock()):
            return
        left = min(transitions.FRESH_MS, max(0, turn.began_at + transitions.FRESH_MS - self._clock()))
        while True:
            await asyncio.sleep(min(left, LOOK_MS) / 1000)
            state = await self._store.state(conversation_id)
            now = state.turn if state else None
            if now is None or now.turn_id != turn.turn_id or now.holder:
                return
            if left <= LOOK_MS:
                break
            left -= LOOK_MS
        await self._wake_for(conversation_id, turn)

    async def _revive(self, conversation_id: str, before: State | None, change: Change | None = None) -> None:
        """Whoever meets a turn whose lease has run out wakes a worker for it: that is how crashes heal.

        A lease that still runs may be a dead holder's. The first to wait for such a turn (``change``) sends a standby.
        """
        state = change.state if change else before
        turn = state.turn if state else None
        if turn is None:
            return
        if not turn.is_held(self._clock()):
            await self._wake_for(conversation_id, turn)
        elif turn.has_standby and not (before and before.turn and before.turn.has_standby):
            await self._waker.stand_by(conversation_id)

    async def _wake_for(self, conversation_id: str, turn: Turn) -> None:
        self._log.info("turn_revived", conversation_id=conversation_id, turn_id=turn.turn_id)
        await self._waker.run_turn(conversation_id, turn.turn_id)


def _submitted(
    conversation_id: str,
    submission: Submission,
    outcome: Began | Queued | Repeated,
    snapshot: Snapshot,
) -> Submitted:
    message_id = submission.message_id
    if isinstance(outcome, Began):
        return _begun(run_of(conversation_id, snapshot, outcome.change), message_id)
    if isinstance(outcome, Queued):
        return Submitted(outcome.turn_id, message_id, position=outcome.position)
    return Submitted(outcome.turn_id, message_id, repeated=True)


def _begun(run: Run, message_id: str) -> Submitted:
    """For who holds the turn, or who wakes a worker for it."""
    if run.turn.holder:
        return Submitted(run.turn.turn_id, message_id, run=run)
    begun = Snapshot(run.state, run.settings, (), run.messages, run.connections)
    return Submitted(run.turn.turn_id, message_id, begun=begun)


def _exchange(messages: Sequence[Message], message_id: str) -> tuple[Message | None, Message | None]:
    """A question and the answer that follows it, as far as they are there."""
    for number, message in enumerate(messages):
        if message.message_id == message_id:
            following = messages[number + 1] if number + 1 < len(messages) else None
            return message, following if following and following.role == "assistant" else None
    return None, None
