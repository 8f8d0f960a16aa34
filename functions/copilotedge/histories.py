"""Histories that clients bring along: what of them the log has already."""

from __future__ import annotations

from collections.abc import Sequence

from copilotedge.models import PromptMessage, Snapshot


def unknown_of(brought: Sequence[PromptMessage], known: Sequence[tuple[str, str]]) -> tuple[PromptMessage, ...]:
    """What of the history that a client sent along comes after what the log has.

    ``known`` are roles and texts of the log's newest messages, and of those that wait. Clients that resend everything
    may lack some of them (failed questions, what others said) and may go further back than ``known`` does. So where
    the newest do not match in one run, all up to the last message that is found, in order, is taken for known.
    """
    texts = [(role, " ".join(text.split())) for role, text in known]
    given = [(str(message.role), " ".join(message.content.split())) for message in brought]
    for end in range(len(given), 0, -1):
        overlap = min(end, len(texts))
        if overlap and given[end - overlap : end] == texts[-overlap:]:
            return tuple(brought[end:])
    last, at = -1, 0
    for number, text in enumerate(given):
        if text in texts[at:]:
            last, at = number, texts.index(text, at) + 1
    return tuple(brought[last + 1 :])


def texts_of(snapshot: Snapshot) -> list[tuple[str, str]]:
    log = [(str(message.role), message.content) for message in snapshot.messages]
    return log + [("user", queued.content) for queued in snapshot.queue]
