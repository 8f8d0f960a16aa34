"""A snapshot in an event: what arrives is what was sent, and what another version sent does no harm."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from copilotedge.models import Connection, ConversationSettings, Message, Resume, Snapshot, ToolCall, Turn
from copilotedge.parcels import pack, unpack
from copilotedge.transitions.steps import Rules, born
from tests.fakes import START

TURN = Turn("t1", "m2", 2, temperature=0.5, max_tokens=9, user="alice")
STATE = replace(born(Rules(), START), seq=3, members={"bob": "read"}, turn=TURN)
LOG = (
    Message(1, "assistant", "", START, "m1", tool_calls=(ToolCall("c", "look", "{}"),), cost=0),
    Message(2, "tool", "Grüße 🎉", START, "m2", tool_call_id="c", options='{"a": 1}', instructions="Be brief."),
)
SOCKETS = (Connection("a", "alice", START, Resume("n", "t", 3), 9), Connection("b"))
WHOLE = Snapshot(STATE, ConversationSettings("m", "u", {"temperature": 0.1}), messages=LOG, connections=SOCKETS)


def sent(snapshot: Snapshot) -> Snapshot | None:
    return unpack(json.loads(json.dumps(pack(snapshot))))


@pytest.mark.parametrize("snapshot", [WHOLE, replace(WHOLE, connections=None), replace(WHOLE, connections=())])
def test_what_arrives_is_what_was_sent(snapshot: Snapshot):
    assert sent(snapshot) == snapshot


def test_what_a_newer_version_adds_is_passed_over():
    parcel = pack(WHOLE)
    parcel["state"]["colour"] = parcel["messages"][0]["colour"] = parcel["connections"][0]["colour"] = "red"
    assert unpack(parcel | {"more": 1}) == WHOLE


@pytest.mark.parametrize("parcel", [{}, pack(WHOLE) | {"state": {}}, pack(WHOLE) | {"messages": [{"seq": 1}]}])
def test_what_cannot_be_understood_is_not_there(parcel: dict[str, object]):
    assert unpack(parcel) is None


def test_nothing_runs_without_a_turn():
    assert unpack(pack(replace(WHOLE, state=replace(STATE, turn=None)))) is None
