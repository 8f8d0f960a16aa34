"""Copies of the core with one condition removed: the explorer must find each of them, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from copilotedge import conversations, transitions
from copilotedge.broadcast import Channel
from copilotedge.following import Follower
from copilotedge.models import Change
from copilotedge.settling import Settlement
from copilotedge.transitions import endings, intake, leases
from tests.memory_store import MemoryStore

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """``scenario`` names where its absence shows."""

    name: str
    scenario: str
    apply: Patch


def _no_compare_and_swap(patch: pytest.MonkeyPatch) -> None:
    commit = MemoryStore.commit

    async def careless(self: MemoryStore, conversation_id: str, change: Change) -> None:
        await commit(self, conversation_id, replace(change, expected=await self.state(conversation_id)))

    patch.setattr(MemoryStore, "commit", careless)


def _answers_after_a_clear(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(endings, "_open", leases.held)


def _anyone_may_answer(patch: pytest.MonkeyPatch) -> None:
    def careless(state, turn):
        return leases.running(state, turn.turn_id)

    patch.setattr(endings, "held", careless)


def _lease_is_no_obstacle(patch: pytest.MonkeyPatch) -> None:
    claim = leases.claim

    def careless(state, turn_id, holder, rules, now):
        return claim(state, turn_id, holder, rules, now + 1_000_000)

    patch.setattr(transitions, "claim", careless)
    patch.setattr("copilotedge.models.Turn.is_held", lambda _turn, _now: False)


def _repeats_are_new(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "_find_repeat", lambda *_: None)
    patch.setattr(intake, "_receipt", lambda *_: None)


def _queue_is_left_behind(patch: pytest.MonkeyPatch) -> None:
    end = endings._end

    def careless(snapshot, ended, *rest, heard):
        return end(snapshot, replace(ended, queued=0), *rest, heard=heard)

    patch.setattr(endings, "_end", careless)


def _nobody_revives(patch: pytest.MonkeyPatch) -> None:
    async def asleep(*_: object, **__: object) -> None:
        return

    patch.setattr(conversations.Conversations, "_revive", asleep)


def _listeners_go_unnoticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "note_listener", lambda _state: None)


def _slot_is_free_too_early(patch: pytest.MonkeyPatch) -> None:
    """Who frees the slot before it speaks: it goes on to speak, and the next one does too."""
    end, close = endings._end, Channel.close

    def careless(*args, heard):
        return end(*args, heard=False)

    async def flush_and_close(self):
        await self.flush(5.0)
        await close(self)

    patch.setattr(endings, "_end", careless)
    patch.setattr(Settlement, "_say_last", lambda _self, _run, channel, _change, *last: list(map(channel.send, last)))
    patch.setattr(Channel, "close", flush_and_close)


def _attempts_run_into_each_other(patch: pytest.MonkeyPatch) -> None:
    told = Follower.told

    def careless(self, attempt, characters):
        told(self, attempt, characters or self._told)

    patch.setattr(Follower, "told", careless)


MUTANTS = [
    Mutant("a change needs no current state", "calm", _no_compare_and_swap),
    Mutant("an answer may come after a clear", "clears", _answers_after_a_clear),
    Mutant("an answer may come from a former holder", "stalls", _anyone_may_answer),
    Mutant("a held turn may be claimed", "calm", _lease_is_no_obstacle),
    Mutant("a repeated message is a new one", "calm", _repeats_are_new),
    Mutant("a turn's end leaves the queue behind", "calm", _queue_is_left_behind),
    Mutant("nobody wakes a worker for a dead turn", "stormy", _nobody_revives),
    Mutant("a socket that comes back is not noticed", "calm", _listeners_go_unnoticed),
    Mutant("two processes may speak at once", "calm", _slot_is_free_too_early),
    Mutant("a follower joins the words of two attempts", "streams", _attempts_run_into_each_other),
]
