"""What is known of a conversation, computed from the frames that arrive: no network, no clock.

The log (every message with a ``seq``) is the truth. Behind it stand the answer that is being written (``turn``) and
messages of one's own that the log does not have yet (``pending``). Frames may come twice, late, or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from copilotedge_client.messages import Frame, Message, Page, Pending, Turn, message_of

OVER = frozenset({"complete", "cancelled", "failed"})
QUESTIONS = frozenset({"user", "tool"})  # roles of messages that are answered


class Transcript:
    """``needs_resume`` says that something is missing: send ``resume_request()``.

    ``epoch`` is this life of the conversation, None before anything is known; ``lives`` counts how often it was
    cleared. Nothing up to ``last_seq`` is missing. While ``syncing`` a resume is under way. A message that is refused
    for at most ``patience`` seconds stays pending.
    """

    def __init__(self, patience: float = 60) -> None:
        self.epoch: str | None = None
        self.lives = 0
        self.last_seq = 0
        self.has_more = False
        self.turn: Turn | None = None
        self.pending: list[Pending] = []
        self.title = ""
        self.syncing = False
        self.needs_resume = False
        self._patience = patience
        self._log: dict[int, Message] = {}
        self._answers: dict[str, Message] = {}  # by turn
        self._turns: dict[str, str] = {}  # by question
        self._parts: dict[int, dict[int, str]] = {}  # pieces of messages too long for one frame
        self._replaced: set[int] = set()
        self._newest_epoch = ""  # epochs sort by time
        self._finished: dict[str, float] = {}  # the highest attempt of each turn that is over
        self._asked_about = ""  # the turn we had when we asked to resume

    @property
    def messages(self) -> list[Message]:
        """The log as far as it is known, in order."""
        return [self._log[seq] for seq in sorted(self._log)]

    @property
    def oldest_seq(self) -> int:
        return min(self._log, default=0)

    def answer_of(self, turn_id: str) -> Message | None:
        return self._answers.get(turn_id)

    def turn_for(self, message_id: str) -> str:
        """The turn that answers that question, or "" as long as that is not known."""
        running = self.turn.turn_id if self.turn and self.turn.message_id == message_id else ""
        return self._turns.get(message_id, running)

    def question_before(self, seq: int) -> str:
        """The id of the question that the answer at that place was given to."""
        asked = (message for message in reversed(self.messages) if message.role in QUESTIONS and message.seq < seq)
        return next((message.message_id for message in asked), "")

    def waits(self, message_id: str) -> bool:
        """Whether that message of ours is not in the log yet."""
        return any(message.id == message_id for message in self.pending)

    # --- our own messages ---------------------------------------------------------------------------------------------

    def compose(self, message_id: str, content: str) -> None:
        self.pending.append(Pending(message_id, content))

    def next_to_send(self) -> Pending | None:
        """The one message to send now: the next goes out when this one is acknowledged, so order is kept."""
        return next((m for m in self.pending if not m.acknowledged and not m.rejected), None)

    def discard(self, message_id: str) -> None:
        self.pending = [message for message in self.pending if message.id != message_id]

    def reconnected(self) -> None:
        """What was queued is sent again (ids make that harmless), in case the queue was lost with the socket."""
        for message in self.pending:
            message.acknowledged = False
        self.syncing = False

    # --- history and resume -------------------------------------------------------------------------------------------

    def load(self, page: Page, *, older: bool = False) -> None:
        """Take a page: the newest one, or (``older``) one from before the oldest we have."""
        if older and page.epoch != self.epoch:
            self.needs_resume = True
            return
        if not self._enter(page.epoch):
            return
        self.epoch = self.epoch if self.epoch is not None else page.epoch
        self.has_more = page.has_more
        for message in page.messages:
            self._add(message)
        if not older:
            self.last_seq = max([self.last_seq, *(message.seq for message in page.messages)])

    def resume_request(self) -> Frame:
        self.syncing = True
        self.needs_resume = False
        self._asked_about = self.turn.turn_id if self.turn else ""
        metadata: dict[str, Any] = {"afterSeq": self.last_seq}
        if self.epoch:
            metadata["epoch"] = self.epoch
        if self.turn:
            metadata |= {"turnId": self.turn.turn_id, "attempt": self.turn.attempt, "offset": len(self.turn.text)}
        return {"type": "system", "content": "resume", "metadata": metadata}

    # --- frames -------------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> Message | None:
        """The message that the log gained by it."""
        metadata = frame.get("metadata") or {}
        match frame.get("type"), frame.get("content", ""):
            case "chat", content:
                return self._chat(frame["role"], content, metadata)
            case "delta", content:
                self._delta(content, metadata)
            case "status", _:
                self._status(frame["status"], metadata)
            case "error", _:
                self._error(frame.get("retryAfter") or 0, metadata)
            case "system", "resumed":
                self._resumed(metadata)
            case "system", "titled":
                self.title = metadata.get("title") or ""
            case "system", "history_cleared" | "conversation_cleared":
                self._clear(metadata.get("epoch"))
        return None

    def assemble(self, content: str, seq: int, metadata: Mapping[str, Any]) -> str | None:
        """A message's text, once all its parts are there."""
        if metadata.get("parts", 1) == 1:
            return content
        pieces = self._parts.setdefault(seq, {})
        pieces[metadata["part"]] = content
        if len(pieces) < metadata["parts"]:
            return None
        del self._parts[seq]
        return "".join(pieces[part] for part in sorted(pieces))

    def _chat(self, role: str, content: str, metadata: Mapping[str, Any]) -> Message | None:
        if not self._enter(metadata.get("epoch")):
            return None
        seq = metadata.get("seq") or self.last_seq + 1  # without stored conversations there is no seq
        whole = self.assemble(content, seq, metadata)
        if whole is None:
            return None
        gained = self._add(message_of(role, whole, metadata, seq))
        if self.syncing:  # older messages may still be on their way; `resumed` settles it
            return gained
        if seq > self.last_seq + 1:
            self.needs_resume = True
        else:
            self.last_seq = max(self.last_seq, seq)
        return gained

    def _add(self, message: Message) -> Message | None:
        if message.replaces:
            self._replaced.add(message.replaces)
            self._log.pop(message.replaces, None)
        if message.seq in self._replaced:
            return None
        known = message.seq in self._log
        self._log[message.seq] = message
        if message.role != "assistant":
            self.discard(message.message_id)
            if message.turn_id:
                self._turns[message.message_id] = message.turn_id
        elif message.turn_id:
            self._answers[message.turn_id] = message
            self._finish(message.turn_id, math.inf)
        return None if known else message

    def _delta(self, content: str, metadata: Mapping[str, Any]) -> None:
        turn = self._turn_of(metadata) if "offset" in metadata else None
        if turn is None:
            return
        turn.phase = "streaming"
        turn.waiting.append((metadata["offset"], content))
        turn.waiting.sort()
        while turn.waiting and turn.waiting[0][0] <= len(turn.text):
            offset, text = turn.waiting.pop(0)
            turn.text += text[len(turn.text) - offset :]
        if turn.waiting:
            self.needs_resume = True

    def _status(self, status: str, metadata: Mapping[str, Any]) -> None:
        if status == "queued":
            for message in self.pending:
                if message.id == metadata.get("messageId"):
                    message.acknowledged, message.position = True, metadata.get("position") or 0
        elif status in OVER:
            self._turn_over(status, metadata)
        else:
            turn = self._turn_of(metadata)
            if turn is not None and status == "streaming":
                turn.phase = "streaming"

    def _turn_over(self, status: str, metadata: Mapping[str, Any]) -> None:
        if status == "cancelled":
            self.discard(metadata.get("messageId") or "")  # taken off the queue
        turn, attempt = self.turn, metadata.get("attempt", math.inf)
        if turn is None or turn.turn_id != metadata.get("turnId") or turn.attempt > attempt:
            return
        # Its message should have come first: keep the text until the log says what became of it.
        if turn.text or status == "complete":
            self.needs_resume = True
        else:
            self._finish(turn.turn_id, attempt)

    def _error(self, retry_after: float, metadata: Mapping[str, Any]) -> None:
        if metadata.get("turnId"):
            return
        for message in self.pending:
            if message.id == metadata.get("messageId"):
                message.acknowledged = False
                message.rejected = not 0 < retry_after <= self._patience

    def _resumed(self, metadata: Mapping[str, Any]) -> None:
        if not self._enter(metadata.get("epoch")):
            return
        self.syncing = False
        self.last_seq = max(self.last_seq, metadata.get("lastSeq") or 0)
        turn = self.turn
        if turn is not None and turn.turn_id != metadata.get("turnId") and turn.turn_id == self._asked_about:
            self._finish(turn.turn_id, turn.attempt)
        self.needs_resume = bool(self.turn and self.turn.waiting)

    # --- epochs and turns ---------------------------------------------------------------------------------------------

    def _enter(self, epoch: str | None) -> bool:
        """False for what belongs to a life that is over."""
        if not epoch or epoch == self.epoch:
            return True
        if epoch < self._newest_epoch:
            return False
        if self.epoch:
            self._clear(epoch)
        self.epoch = self._newest_epoch = epoch
        return True

    def _clear(self, epoch: str | None) -> None:
        if epoch and (epoch < self._newest_epoch or epoch == self.epoch):
            self.needs_resume = self.needs_resume or (epoch == self.epoch and bool(self._log))  # told twice, as a rule
            return
        if self.turn:
            self._finish(self.turn.turn_id, math.inf)
        for memory in (self._log, self._answers, self._turns, self._parts, self._replaced):
            memory.clear()
        self.epoch = epoch
        self._newest_epoch = epoch or self._newest_epoch
        self.last_seq = 0
        self.lives += 1
        self.has_more = False
        self.pending = [m for m in self.pending if not m.acknowledged]  # the server's queue went with it

    def _turn_of(self, metadata: Mapping[str, Any]) -> Turn | None:
        """The running turn that a frame speaks of, begun if need be; None if that turn or attempt is over."""
        turn_id, attempt = metadata.get("turnId") or "", metadata.get("attempt", 1)
        if attempt <= self._finished.get(turn_id, 0):
            return None
        old = self.turn if self.turn and self.turn.turn_id == turn_id else None
        if old is not None and attempt < old.attempt:
            return None
        if old is None or attempt > old.attempt:
            self.turn = Turn(turn_id, attempt, old.message_id if old else "")
        turn = self.turn
        if turn is not None and not turn.message_id:
            turn.message_id = metadata.get("messageId") or ""
        return turn

    def _finish(self, turn_id: str, attempt: float) -> None:
        self._finished[turn_id] = attempt
        if self.turn is not None and self.turn.turn_id == turn_id:
            self.turn = None
