"""The history checker: from what clients sent and saw, decide whether one total order per conversation explains it.

Feed it the final log and every frame of every socket, in the order of receipt; ``check`` gives the violations in words.
It knows nothing of how the system works inside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]
Entry = dict[str, Any]

ENDED = ("failed", "cancelled")


@dataclass
class Observed:
    """One conversation as its clients know it.

    ``log`` has the messages as ``GET .../messages`` gives them, after everything has come to rest. ``sockets`` are the
    frames of each connection. ``sent`` are the message ids each sender sent, in its order of sending, ``withdrawn``
    those that may be missing from the log (taken off the queue, cleared, or refused). ``attentive`` sockets were open
    to the end, so from the first message that they heard on they must have heard them all. ``repeated`` are the message
    ids that were sent more than once.
    """

    log: list[Entry] = field(default_factory=list)
    epoch: str = ""
    sockets: dict[str, list[Frame]] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    attentive: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)


def check(observed: Observed) -> list[str]:
    """The violations; none when one order of the conversation explains all that was seen."""
    return [
        *_log_is_a_total_order(observed.log),
        *_answers_follow_their_questions(observed.log),
        *_sent_is_kept_once_and_in_order(observed),
        *_sockets_agree_with_the_log(observed),
        *_sockets_saw_the_log_in_order(observed),
        *_attentive_sockets_heard_all(observed),
        *_deltas_make_the_answer(observed),
        *_nothing_old_after_a_clear(observed),
    ]


def assemble(frames: Iterable[Frame]) -> dict[str, str]:
    """The text that a careful client puts together, by turn: newest attempt, overlaps skipped, a hole marked ``␀``."""
    texts: dict[str, tuple[int, str]] = {}
    for frame in frames:
        metadata = frame.get("metadata", {})
        if frame["type"] not in ("delta", "status") or "attempt" not in metadata:
            continue
        attempt, text = texts.get(metadata["turnId"], (0, ""))
        if metadata["attempt"] < attempt:
            continue
        if metadata["attempt"] > attempt:
            attempt, text = metadata["attempt"], ""
        texts[metadata["turnId"]] = (attempt, text)
        if frame["type"] == "status":
            continue
        offset = metadata["offset"]
        piece = frame["content"] if offset <= len(text) else "␀" + frame["content"]
        texts[metadata["turnId"]] = (attempt, text + piece[max(0, len(text) - offset) :])
    return {turn_id: text for turn_id, (_, text) in texts.items()}


def _log_is_a_total_order(log: list[Entry]) -> Iterator[str]:
    seqs = [entry["seq"] for entry in log]
    if seqs != sorted(set(seqs)):
        yield f"the log's seqs do not strictly increase: {seqs}"


def _answers_follow_their_questions(log: list[Entry]) -> Iterator[str]:
    for number, entry in enumerate(log):
        before = log[number - 1] if number else {}
        if entry["role"] == "assistant" and entry["turnId"]:
            regenerated = before.get("messageId") and entry.get("replaces")
            if before.get("role") != "user" or not (before["turnId"] == entry["turnId"] or regenerated):
                yield f"answer {entry['seq']} does not follow its question"
        if before.get("role") == "user" == entry["role"] and before["status"] not in ENDED:
            yield f"question {before['seq']} has no answer but is marked {before['status']}"
    if log and log[-1]["role"] == "user" and log[-1]["status"] not in ENDED:
        yield f"the last question {log[-1]['seq']} has no answer but is marked {log[-1]['status']}"


def _sent_is_kept_once_and_in_order(observed: Observed) -> Iterator[str]:
    kept = [entry["messageId"] for entry in observed.log if entry["role"] == "user"]
    if len(kept) != len(set(kept)):
        yield f"a message is in the log twice: {kept}"
    for sender, ids in observed.sent.items():
        expected = [message_id for message_id in ids if message_id in kept]
        if expected != [message_id for message_id in kept if message_id in ids]:
            yield f"the messages of {sender} are out of order"
        lost = set(ids) - set(kept) - observed.withdrawn
        if lost:
            yield f"messages of {sender} are lost: {sorted(lost)}"


def _sockets_agree_with_the_log(observed: Observed) -> Iterator[str]:
    by_seq = {entry["seq"]: entry for entry in observed.log}
    replaced = {entry["replaces"] for entry in observed.log if entry.get("replaces")}
    for name, frame in _chats(observed):
        seq = frame["metadata"]["seq"]
        entry = by_seq.get(seq)
        if entry is None and seq not in replaced and not _was_replaced_later(observed, seq):
            yield f"{name} was shown {seq}, which is not in the log"
        elif entry is not None and (entry["content"], entry["role"]) != (frame["content"], frame["role"]):
            yield f"{name} was shown another {seq} than the log has"


def _was_replaced_later(observed: Observed, seq: int) -> bool:
    return any(frame["metadata"].get("replaces") == seq for _, frame in _chats(observed))


def _sockets_saw_the_log_in_order(observed: Observed) -> Iterator[str]:
    """Repeats are allowed; what is new has to come in the log's order.

    From ``resume`` to ``resumed`` a socket hears missed messages and live ones mixed. A message that was repeated is
    told again with its answer, which may be what the socket had missed of an earlier turn.
    """
    newest: dict[str, int] = defaultdict(int)
    told_again = {entry["turnId"] for entry in observed.log if entry["messageId"] in observed.repeated}
    seen = {name: _known_before(frames) for name, frames in observed.sockets.items()}
    mixed = {name: _heard_while_resuming(frames) for name, frames in observed.sockets.items()}
    for name, frame in _chats(observed):
        seq = frame["metadata"]["seq"]
        late = seq not in seen[name] and seq < newest[name]
        if late and id(frame) not in mixed[name] and frame["metadata"].get("turnId") not in told_again:
            yield f"{name} was shown {seq} after {newest[name]}"
        seen[name].add(seq)
        newest[name] = max(newest[name], seq)


def _attentive_sockets_heard_all(observed: Observed) -> Iterator[str]:
    heard: dict[str, set[int]] = defaultdict(set)
    for name, frame in _chats(observed):
        heard[name].add(frame["metadata"]["seq"])
    for name in observed.attentive & heard.keys():
        known = _brought_along(observed.sockets[name], observed.epoch)
        required = {entry["seq"] for entry in observed.log if entry["seq"] >= min(heard[name])}
        missed = required - heard[name] - known
        if missed:
            yield f"{name} never heard {sorted(missed)}"


def _brought_along(frames: list[Frame], epoch: str) -> set[int]:
    """What its client had from sockets before, as a recorder noted when the first ``resume`` was sent."""
    noted = next((frame.get("metadata", {}) for frame in frames if frame["type"] == "sent"), {})
    return set(range(1, noted["afterSeq"] + 1)) if noted.get("epoch") == epoch else set()


def _known_before(frames: list[Frame]) -> set[int]:
    """What a socket's client says it has, from sockets before: it may be told that again at any time."""
    known = [f["metadata"]["lastSeq"] for f in frames if f["type"] == "system" and f["content"] == "resumed"]
    return set(range(1, max(known, default=0) + 1))


def _heard_while_resuming(frames: list[Frame]) -> set[int]:
    """Identities of the frames between a ``resume`` and its ``resumed``.

    A recorder may note when its client sent ``resume`` as a frame of type ``sent``; else it was the first thing sent.
    """
    noted = any(frame["type"] == "sent" for frame in frames)
    last = max((n for n, frame in enumerate(frames) if frame.get("content") == "resumed"), default=-1)
    resuming, heard = not noted, set()
    for number, frame in enumerate(frames):
        if frame["type"] == "sent":
            resuming = True
        elif frame["type"] == "system" and frame["content"] == "resumed":
            resuming = False
        elif resuming and (noted or number < last):
            heard.add(id(frame))
    return heard


def _deltas_make_the_answer(observed: Observed) -> Iterator[str]:
    """Where a socket heard a turn from its first delta to its answer, the pieces are a beginning of the answer.

    (Not all of it: a socket that was slow or came late may lack some. Tests of resume check the whole.)
    """
    answers = {entry["turnId"]: entry["content"] for entry in observed.log if entry["role"] == "assistant"}
    for name, frames in observed.sockets.items():
        told = {f["metadata"]["turnId"] for f in frames if f["type"] == "chat" and f["role"] == "assistant"}
        for turn_id, text in assemble(frames).items():
            answer = answers.get(turn_id)
            if turn_id in told and answer is not None and "␀" not in text and not answer.startswith(text):
                yield f"{name} heard {text!r} in turn {turn_id}, whose answer is {answer!r}"


def _nothing_old_after_a_clear(observed: Observed) -> Iterator[str]:
    """An announcement that comes late, when its epoch has been heard of already, ends nothing of that epoch."""
    for name, frames in observed.sockets.items():
        epochs = {f["metadata"]["turnId"]: f["metadata"].get("epoch", "") for f in frames if f["type"] == "chat"}
        turns_before: set[str] = set()
        cleared: set[str] = set()
        for frame in frames:
            turn_id = frame.get("metadata", {}).get("turnId")
            if frame["type"] == "system" and frame["content"] == "conversation_cleared":
                epoch = frame["metadata"]["epoch"]
                cleared |= {turn for turn in turns_before if epochs.get(turn, "") < epoch}
            elif turn_id in cleared and frame["type"] in ("chat", "delta"):
                yield f"{name} heard of turn {turn_id} after the clear that ended it"
            if turn_id and frame["type"] in ("chat", "delta"):
                turns_before.add(turn_id)


def _chats(observed: Observed) -> Iterator[tuple[str, Frame]]:
    for name, frames in observed.sockets.items():
        for frame in frames:
            if frame["type"] == "chat" and frame["metadata"].get("epoch", observed.epoch) == observed.epoch:
                yield name, frame
