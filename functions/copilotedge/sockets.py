"""What a socket may ask, and what it is told at once; the words of a turn come from its holder (``turns``)."""

from __future__ import annotations

from collections.abc import Mapping

from copilotedge import correlation, frames
from copilotedge.addresses import address_of_key
from copilotedge.broadcast import Channel
from copilotedge.conversations import Conversations
from copilotedge.door import Door, Need
from copilotedge.errors import Conflict, CopilotEdgeError
from copilotedge.frame_requests import ChatFrame, FrameMetadata, SystemFrame, message_id_of, parse_frame
from copilotedge.frames import Frame
from copilotedge.holding import WORKERS, Holding
from copilotedge.limits import Limits
from copilotedge.models import Connection, MemberRole, State
from copilotedge.outcomes import Cleared, Page, Submitted
from copilotedge.ports import Clock, ConversationStore, Gateway, Log
from copilotedge.runs import Run
from copilotedge.settings import Settings
from copilotedge.transitions import Submission, new_id

RESUME_PAGE = 100
"""Messages read at once for a socket that missed some."""


class Sockets:
    """Connections of all conversations and their frames. Stateless: one instance serves them all."""

    def __init__(
        self,
        conversations: Conversations,
        store: ConversationStore,
        gateway: Gateway,
        holding: Holding,
        door: Door,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        log: Log,
    ) -> None:
        self._conversations = conversations
        self._store = store
        self._holding = holding
        self._door = door
        self._limits = limits
        self._gateway = gateway
        self._settings = settings
        self._clock = clock
        self._log = log

    async def connect(self, conversation_id: str, connection: Connection) -> None:
        """Raises ``NotFound`` and ``LimitExceeded``."""
        await self._door.check(connection.user, conversation_id, "read")
        await self._limits.admit_socket(
            connection.user, conversation_id, connection.connection_id, connection.token_expires
        )
        try:
            await self._store.connect(conversation_id, connection)
        except CopilotEdgeError:
            await self._limits.release_socket(connection.user, connection.connection_id)
            raise

    async def disconnect(self, conversation_id: str, connection: Connection) -> None:
        await self._store.disconnect(conversation_id, connection.connection_id)
        await self._limits.release_socket(connection.user, connection.connection_id)

    async def close_all(self, conversation_id: str) -> None:
        for connection in await self._store.connections(conversation_id):
            await self._close(conversation_id, connection)

    async def turn_away(self, conversation_id: str, connection: Connection, reason: CopilotEdgeError) -> None:
        """Tell a socket why it has to go, and close it."""
        await self._tell(connection, frames.error(reason))
        await self._close(conversation_id, connection)

    async def share(self, conversation_id: str, members: Mapping[str, MemberRole]) -> None:
        """Let exactly these users in, and close the sockets of those who are no longer among them."""
        await self._conversations.share(conversation_id, members)
        allowed = {address_of_key(conversation_id).owner, *members}
        for connection in await self._store.connections(conversation_id):
            if connection.user not in allowed:
                await self._close(conversation_id, connection)

    async def receive(self, conversation_id: str, connection: Connection, body: str, arrival: int) -> str:
        """Serve one frame; whatever is wrong with it is told to its sender. The error's code, or an empty string."""
        try:
            frame = parse_frame(body, self._settings, frames.MAX_FRAME_BYTES)
            await self._door.check(connection.user, conversation_id, _need(frame))
            if isinstance(frame, ChatFrame):
                await self._chat(conversation_id, connection, frame, arrival)
            else:
                await self._system(conversation_id, connection, frame.content, frame.metadata)
        except CopilotEdgeError as exc:
            await self._tell(connection, frames.error(exc, messageId=message_id_of(body)))
            return exc.code
        return ""

    async def tell_cleared(self, conversation_id: str, cleared: Cleared) -> None:
        """Tell everybody, unless somebody else will; then have it all deleted."""
        await self.tell(cleared.run)
        if cleared.epoch:
            await self._conversations.sweep(conversation_id)

    async def tell(self, run: Run | None, *told: Frame) -> None:
        """Tell every socket of a change that has given us the slot to do so (``run``), a clear included."""
        if run is not None:
            await self._holding.announce(run, *told)

    async def announce(self, conversation_id: str, *announced: Frame) -> None:
        """Tell every socket what has no place in the log's order."""
        channel = Channel(conversation_id, self._store, self._gateway, self._clock, self._log)
        try:
            audience = await self._store.audience(conversation_id)
            await channel.meet(audience.connections, audience.state.members if audience.state else {})
            for frame in announced:
                channel.send(frame)
            await channel.flush(WORKERS.in_silence)
        finally:
            await channel.close()

    async def _close(self, conversation_id: str, connection: Connection) -> None:
        await self._store.disconnect(conversation_id, connection.connection_id)
        try:
            await self._gateway.disconnect(connection.connection_id)
        except OSError as exc:
            self._log.error("disconnect_failed", connection_id=connection.connection_id, error=type(exc).__name__)

    async def _tell(self, connection: Connection, *told: Frame) -> None:
        """To one socket; it is its own loss when it cannot be reached."""
        try:
            for frame in told:
                for data in frames.encode(frame):
                    await self._gateway.post(connection.connection_id, data)
        except OSError as exc:
            self._log.error("post_failed", connection_id=connection.connection_id, error=type(exc).__name__)

    async def _chat(self, conversation_id: str, connection: Connection, frame: ChatFrame, arrival: int) -> None:
        submission = Submission(
            frame.id or new_id(), frame.content, arrival, client_id=frame.id is not None, user=connection.user
        )
        taken = await self._conversations.submit(conversation_id, submission)
        correlation.follow(taken.turn_id)
        if taken.repeated:
            await self._repeat(conversation_id, connection, taken)
        elif taken.begun is not None:
            await self._conversations.wake(conversation_id, taken, connection)
        elif taken.position:
            await self._tell(connection, frames.queued(taken.turn_id, taken.message_id, taken.position))

    async def _repeat(self, conversation_id: str, connection: Connection, taken: Submitted) -> None:
        """The message was taken before: its answer again, or the running turn's text so far, or its place.

        What a turn that ran a moment ago has to say its holder says, in the right order.
        """
        page = await self._conversations.listen(conversation_id, connection, offset=0)
        running = page.state.running if page.state else None
        runs = running is not None and running.turn_id == taken.turn_id
        outcome = await self._conversations.outcome(conversation_id, taken.message_id)
        if outcome.state is None or outcome.is_gone:
            await self._tell(connection, frames.withdrawn(taken.turn_id, taken.message_id))
            return
        if outcome.question is None:
            await self._tell(connection, frames.queued(taken.turn_id, taken.message_id, 1))
            return
        told = [frames.chat(outcome.question, outcome.state.epoch)]
        if outcome.answer is not None and not runs:
            told.append(frames.chat(outcome.answer, outcome.state.epoch))
        if outcome.is_over and not runs:
            told.append(frames.ended(outcome.question, outcome.answer or outcome.question))
        await self._tell(connection, *told)

    async def _system(
        self, conversation_id: str, connection: Connection, command: str, metadata: FrameMetadata
    ) -> None:
        if command == "ping":
            await self._store.connect(conversation_id, connection)
            await self._tell(connection, frames.system("pong"))
        elif command == "get_history":
            await self._history(conversation_id, connection, metadata)
        elif command == "clear_history":
            await self._clear(conversation_id, connection)
        elif command == "cancel":
            await self._cancel(conversation_id, metadata.message_id or "")
        elif command == "regenerate":
            taken = await self._conversations.regenerate(conversation_id, connection.user)
            correlation.follow(taken.turn_id)
            await self._conversations.wake(conversation_id, taken, connection)
        else:
            await self._resume(conversation_id, connection, metadata)

    async def _history(self, conversation_id: str, connection: Connection, metadata: FrameMetadata) -> None:
        if not metadata.before:
            await self._conversations.listen(conversation_id, connection)
        page = await self._conversations.page(conversation_id, metadata.limit, before=metadata.before)
        entries = [frames.history_entry(message) for message in page.messages]
        kept = page.messages[-frames.fitting(reversed(entries)) :] if entries else ()
        epoch, total = (page.state.epoch, page.state.total_tokens) if page.state else ("", 0)
        more = page.more or len(kept) < len(page.messages)
        known_as = address_of_key(conversation_id).seen_by(connection.user)
        await self._tell(connection, frames.history(known_as, epoch, kept, total, more))

    async def _clear(self, conversation_id: str, connection: Connection) -> None:
        cleared = await self._conversations.clear(conversation_id)
        await self._tell(connection, frames.system("history_cleared", epoch=cleared.epoch))
        await self.tell_cleared(conversation_id, cleared)

    async def _cancel(self, conversation_id: str, message_id: str) -> None:
        cancelled = await self._conversations.cancel(conversation_id, message_id)
        if not cancelled:
            raise Conflict("There is no answer to stop.", code="nothing_to_cancel")
        if cancelled.withdrawn is not None:
            await self.announce(
                conversation_id, frames.withdrawn(cancelled.withdrawn.turn_id, cancelled.withdrawn.message_id)
            )

    async def _resume(self, conversation_id: str, connection: Connection, metadata: FrameMetadata) -> None:
        page = await self._conversations.listen(
            conversation_id, connection, metadata.turn_id or "", metadata.offset, metadata.attempt
        )
        epoch = page.state.epoch if page.state else ""
        after = metadata.after_seq
        if metadata.epoch and metadata.epoch != epoch:
            await self._tell(connection, frames.system("conversation_cleared", epoch=epoch))
            after = 0
        last = await self._missed(conversation_id, connection, after, page.state)
        turn_id = page.state.running.turn_id if page.state and page.state.running else None
        await self._tell(connection, frames.system("resumed", epoch=epoch, lastSeq=last, turnId=turn_id))

    async def _missed(self, conversation_id: str, connection: Connection, after: int, seen: State | None) -> int:
        """The messages after ``after``, as ``chat`` frames; the last one's seq.

        Only those that were there when the socket was listed (``seen``): who adds others tells it of them, in order.
        """
        more = seen is not None
        while seen is not None and more:
            page: Page = await self._conversations.page(conversation_id, RESUME_PAGE, after=after)
            if page.state is None or page.state.epoch != seen.epoch:
                return after
            missed = [message for message in page.messages if message.seq <= seen.seq]
            await self._tell(connection, *(frames.chat(message, seen.epoch) for message in missed))
            after = missed[-1].seq if missed else after
            more = page.more and len(missed) == len(page.messages)
        return after


def _need(frame: ChatFrame | SystemFrame) -> Need:
    reads = isinstance(frame, SystemFrame) and frame.content in ("get_history", "resume", "ping")
    return "read" if reads else "write"
