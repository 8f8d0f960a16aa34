"""Histories that clients bring along: what of them the log has already."""

from __future__ import annotations

from collections.abc import Sequence

from copilotedge.models import PromptMessage, Snapshot


def unknown_of(brought: Sequence[PromptMessage], known: Sequence[PromptMessage]) -> tuple[PromptMessage, ...]:
    """What of the history that a client sent along comes after what the log has.

    ``known`` are the log's newest messages, and those that wait. Clients that resend everything may lack some of them
    (failed questions, what others said) and may go further back than ``known`` does. So where the newest do not match
    in one run, all up to the last message that is found, in order, is taken for known.
    """
    marks, given = [_mark(message) for message in known], [_mark(message) for message in brought]
    for end in range(len(given), 0, -1):
        overlap = min(end, len(marks))
        if overlap and given[end - overlap : end] == marks[-overlap:]:
            return tuple(brought[end:])
    last, at = -1, 0
    for number, mark in enumerate(given):
        if mark in marks[at:]:
            last, at = number, marks.index(mark, at) + 1
    return tuple(brought[last + 1 :])


def known_of(snapshot: Snapshot) -> list[PromptMessage]:
    log = [PromptMessage(m.role, m.content, m.tool_calls, m.tool_call_id) for m in snapshot.messages]
    return log + [PromptMessage(q.role, q.content, tool_call_id=q.tool_call_id) for q in snapshot.queue]


def _mark(message: PromptMessage) -> tuple[str, ...]:
    """By what a message is known again: calls and their results by their ids, for results are often alike."""
    if message.tool_call_id or message.tool_calls:
        return message.role, message.tool_call_id, *(call.id for call in message.tool_calls)
    return message.role, " ".join(message.content.split())
