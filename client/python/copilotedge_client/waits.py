"""Which answers are open, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from copilotedge_client.answers import Answer
from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.messages import Frame
from copilotedge_client.transcript import OVER, QUESTIONS, Transcript


@dataclass(eq=False, slots=True)
class Wait:
    """An answer that is open.

    ``renewed``: it is asked for once more, so neither its turn nor its message is known before it begins; ``instead``
    is the turn that it takes the place of, ``replaces`` the seq of its answer, where it has one. ``doubtful``: its turn
    began before we asked what we missed. ``error`` is what the server said of its turn.
    """

    answer: Answer
    renewed: bool = False
    instead: str = ""
    replaces: int = 0
    doubtful: bool = False
    error: CopilotEdgeError | None = None


class Waits:
    """Matches questions, turns and answers by what the transcript knows."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._waits: list[Wait] = []

    def add(self, wait: Wait) -> Answer:
        self._waits.append(wait)
        return wait.answer

    def is_open(self, message_id: str) -> bool:
        return any(wait.answer.id == message_id for wait in self._waits)

    def fail(self, wait: Wait, error: CopilotEdgeError) -> None:
        if wait in self._waits:
            self._waits.remove(wait)
            wait.answer.fail(error)

    def fail_all(self, error: CopilotEdgeError) -> None:
        for wait in list(self._waits):
            self.fail(wait, error)

    def give_up(self, message_id: str) -> None:
        error = CopilotEdgeError("It was taken back.", "message_withdrawn", message_id=message_id)
        for wait in list(self._waits):
            if wait.answer.id == message_id:
                self.fail(wait, error)

    def ask_about(self, wait: Wait) -> None:
        """It is the last question that is asked once more."""
        messages = self._transcript.messages
        question = next((message for message in reversed(messages) if message.role in QUESTIONS), None)
        if question is None:
            return
        said = (message for message in reversed(messages) if message.role == "assistant" and message.seq > question.seq)
        last = next(said, None)
        wait.answer.id = question.message_id
        wait.instead, wait.replaces = (last.turn_id, last.seq) if last else (question.turn_id, 0)

    def assign(self, frame: Frame, metadata: Mapping[str, Any]) -> None:
        """Which turn answers which question is told by statuses and by the log."""
        kind, role, turn_id = frame.get("type"), frame.get("role"), metadata.get("turnId")
        if not turn_id:
            return
        for wait in self._waits:
            answer = wait.answer
            asked = kind == "status" and metadata.get("messageId") == answer.id
            said = kind == "chat" and role == "assistant" and self._is_renewal(wait, metadata)
            if (asked or (wait.renewed and not answer.turn_id and said)) and turn_id != wait.instead:
                answer.turn_id = turn_id
        if kind == "status" and frame["status"] in OVER:
            self._turn_ended(frame["status"], turn_id)

    def follow(self) -> None:
        """Hand on what the transcript has got to know."""
        turn = self._transcript.turn
        queued = {message.id for message in self._transcript.pending if message.acknowledged}
        for wait in list(self._waits):
            answer = wait.answer
            if not answer.turn_id and not wait.renewed:
                answer.turn_id = self._transcript.turn_for(answer.id)
            message = self._transcript.answer_of(answer.turn_id)
            if message is not None:
                self._waits.remove(wait)
                answer.finish(message)
            elif turn is not None and turn.turn_id == answer.turn_id:
                answer.grow(turn)
            elif answer.id in queued:
                answer.status = "queued"

    def blame(self, error: CopilotEdgeError, turn_id: str, *, final: bool) -> None:
        """An error speaks of a question, which may be ``final``, or of the turn that answers it."""
        for wait in list(self._waits):
            if wait.answer.id != error.message_id:
                continue
            if turn_id:
                wait.error = error
            elif final and not wait.answer.turn_id:
                self.fail(wait, error)

    def doubt(self) -> None:
        """We ask what we missed: turns that began before it will have ended, or not."""
        for wait in self._waits:
            wait.doubtful = bool(wait.answer.turn_id) and not self._transcript.waits(wait.answer.id)

    def caught_up(self, turn_id: str) -> None:
        """All missed messages have been told, and which turn runs."""
        self.follow()
        for wait in list(self._waits):
            answer = wait.answer
            if wait.doubtful and answer.turn_id != turn_id:
                self.fail(wait, wait.error or CopilotEdgeError("No answer came.", "turn_failed"))
            elif wait.renewed and answer.id and not answer.turn_id and not self._is_last(answer.id):
                self.fail(wait, CopilotEdgeError("Another question has been asked.", "nothing_to_regenerate"))
            elif not (answer.turn_id or wait.renewed or self._transcript.waits(answer.id)):
                self.give_up(answer.id)

    def cleared(self) -> None:
        """What was asked of the life before is not answered; what the server had not taken yet is, in the new one."""
        for wait in list(self._waits):
            if self._transcript.waits(wait.answer.id):
                wait.answer.turn_id = ""
            else:
                self.fail(wait, CopilotEdgeError("The conversation was cleared.", "conversation_cleared"))

    def _is_last(self, question_id: str) -> bool:
        return self._transcript.question_before(self._transcript.last_seq + 1) == question_id

    def _is_renewal(self, wait: Wait, metadata: Mapping[str, Any]) -> bool:
        if wait.replaces:
            return metadata.get("replaces") == wait.replaces
        return self._transcript.question_before(metadata.get("seq") or 0) == wait.answer.id

    def _turn_ended(self, status: str, turn_id: str) -> None:
        turn = self._transcript.turn
        if status == "complete" or (turn and turn.turn_id == turn_id):  # its message has come, or is asked for
            return
        plain = ("It was stopped.", "turn_cancelled") if status == "cancelled" else ("No answer came.", "turn_failed")
        for wait in list(self._waits):
            if wait.answer.turn_id == turn_id and not self._transcript.answer_of(turn_id):
                self.fail(wait, wait.error or CopilotEdgeError(*plain, message_id=wait.answer.id))
