"""A conversation as a state machine: what was read, and a command, give the change to commit.

Nothing here does I/O, reads a clock or waits. Three invariants carry the rest:

* every change is a compare-and-swap of the state, so all changes of a conversation form one sequence;
* the turn slot is free only when the queue is empty: a turn's end begins the next one in the same change, so a
  message can never wait in a queue that nobody looks after;
* who tells the sockets something that has its place in the log has the slot until they have heard it.

::

    intake    a message comes in: its turn begins, or it waits, or it was taken before
    leases    who may run the turn: claim, renew, hand over, cancel
    endings   a turn ends, that is told, and the next one begins
    lives     clear, delete, settings; a conversation is born
    steps     what all of them are made of
"""

from copilotedge.transitions.endings import abandon, answer_id, attempt_of, close, complete, release
from copilotedge.transitions.intake import (
    Began,
    Queued,
    Repeated,
    Submission,
    append,
    append_all,
    fingerprint,
    import_history,
    match_receipt,
    regenerate,
    submit,
    withdraw,
)
from copilotedge.transitions.leases import claim, follow, hand_over, note_listener, renew, request_cancel, wait_for
from copilotedge.transitions.lives import clear, delete, share, store_settings
from copilotedge.transitions.steps import CLAIM_GRACE_MS, FRESH_MS, LIST_EVERY_MS, Rules, new_id

__all__ = [
    "CLAIM_GRACE_MS",
    "FRESH_MS",
    "LIST_EVERY_MS",
    "Began",
    "Queued",
    "Repeated",
    "Rules",
    "Submission",
    "abandon",
    "answer_id",
    "append",
    "append_all",
    "attempt_of",
    "claim",
    "clear",
    "close",
    "complete",
    "delete",
    "fingerprint",
    "follow",
    "hand_over",
    "import_history",
    "match_receipt",
    "new_id",
    "note_listener",
    "regenerate",
    "release",
    "renew",
    "request_cancel",
    "share",
    "store_settings",
    "submit",
    "wait_for",
    "withdraw",
]
