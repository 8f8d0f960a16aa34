"""One contract for every conversation store. Test modules import it and bring the ``store`` and ``clock`` fixtures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import ReceiptExists, StateChanged
from copilotedge.models import (
    Change,
    Connection,
    ConversationSettings,
    Message,
    QueuedMessage,
    Receipt,
    Resume,
    Snapshot,
    State,
    Turn,
)
from copilotedge.ports import ConversationStore
from copilotedge.transitions.steps import Rules, born, next_state
from tests.fakes import START

RULES = Rules()
MAX_STORED = 10


def first(**changes) -> State:
    return replace(born(RULES, START), **changes)


def message(seq: int, content: str = "text", **extra) -> Message:
    return Message(seq, "user", content, START, f"m{seq}", **extra)


def waiting(state: State, place: str) -> QueuedMessage:
    return QueuedMessage(place, f"q{place}", f"t{place}", "text", START, state.epoch)


async def put(store: ConversationStore, state: State, *messages: Message, **extra) -> State:
    """Commit ``state`` as the first one of its conversation."""
    await store.commit("c", Change(None, state, messages=messages, **extra))
    return state


async def test_an_unknown_conversation_is_empty(store):
    assert await store.snapshot("c", 10) == Snapshot()


async def test_a_committed_change_is_read_back_whole(store):
    turn = Turn("t1", "m2", 2, "holder", 1, START + 5, model="x", temperature=0.7, max_tokens=9)
    state = await put(store, first(seq=2, message_count=2, queued=1, turn=turn), message(1), message(2))
    assert await store.state("c") == state
    assert (await store.snapshot("c", 10)).messages == (message(1), message(2))


async def test_every_field_of_a_message_survives(store):
    full = Message(1, "assistant", "é🎉", START, "m1", "t1", 9, 4, "cancelled", "model", 7, "be brief")
    await put(store, first(seq=1, message_count=1), full)
    assert (await store.snapshot("c", 10)).messages == (full,)


async def test_a_snapshot_has_the_newest_messages_oldest_first(store):
    await put(store, first(seq=5, message_count=5), *(message(seq) for seq in range(1, 6)))
    assert [entry.seq for entry in (await store.snapshot("c", 2)).messages] == [4, 5]


async def test_a_snapshot_has_the_whole_queue_in_order(store):
    state = first(queued=40, seq=1, message_count=1)
    queue = tuple(waiting(state, f"{place:03d}") for place in range(40))
    await put(store, state, message(1), queued=queue)
    snapshot = await store.snapshot("c", 5)
    assert snapshot.queue == queue
    assert snapshot.messages == (message(1),)


async def test_a_change_made_from_an_old_state_is_refused(store):
    state = await put(store, first())
    await store.commit("c", Change(state, next_state(state)))
    with pytest.raises(StateChanged):
        await store.commit("c", Change(state, next_state(state)))


async def test_a_refused_change_leaves_nothing_behind(store):
    state = await put(store, first())
    await store.commit("c", Change(state, next_state(state)))
    with pytest.raises(StateChanged):
        await store.commit("c", Change(state, next_state(state), messages=(message(1),)))
    assert (await store.snapshot("c", 10)).messages == ()


async def test_a_conversation_is_born_only_once(store):
    await put(store, first())
    with pytest.raises(StateChanged):
        await put(store, first())


async def test_an_expired_conversation_reads_as_absent_to_the_second(store, clock):
    state = await put(store, first(seq=1, message_count=1), message(1))
    clock.now = state.expires_at * 1000 - 1
    assert await store.state("c") == state
    clock.now = state.expires_at * 1000
    assert await store.snapshot("c", 10) == Snapshot()


async def test_an_expired_conversation_cannot_be_changed_any_more(store, clock):
    state = await put(store, first())
    clock.now = state.expires_at * 1000
    with pytest.raises(StateChanged):
        await store.commit("c", Change(state, next_state(state)))


async def test_a_new_life_sees_nothing_of_the_one_before(store, clock):
    state = await put(store, first(seq=1, message_count=1), message(1), settings=ConversationSettings("x"))
    clock.now = state.expires_at * 1000
    reborn = born(RULES, clock.now)
    await put(store, reborn)
    assert await store.snapshot("c", 10) == Snapshot(reborn)


async def test_settings_are_kept_as_long_as_the_life(store):
    settings = ConversationSettings("m", "user-1", {"systemPrompt": "Be kind", "temperature": 0.7, "n": [1, None]})
    state = await put(store, first(), settings=settings)
    cleared = next_state(state, epoch=state.epoch + "x")
    await store.commit("c", Change(state, cleared))
    assert (await store.snapshot("c", 10)).settings == settings


async def test_messages_of_an_earlier_epoch_are_invisible(store):
    state = await put(store, first(seq=1, message_count=1), message(1), queued=())
    await store.commit("c", Change(state, next_state(state, epoch=state.epoch + "x", seq=0, message_count=0)))
    assert (await store.snapshot("c", 10)).messages == ()


async def test_a_removed_state_ends_the_conversation(store):
    state = await put(store, first())
    await store.commit("c", Change(state, next_state(state), removes_state=True))
    assert await store.state("c") is None


async def test_a_dequeued_message_leaves_the_queue(store):
    state = first(queued=2)
    one, two = waiting(state, "1"), waiting(state, "2")
    await put(store, state, queued=(one, two))
    await store.commit("c", Change(state, next_state(state, queued=1), dequeued=(one,)))
    assert (await store.snapshot("c", 10)).queue == (two,)


async def test_a_message_id_is_taken_once_an_epoch(store):
    state = await put(store, first(), receipt=Receipt("id", "t1", "print", "e1"))
    following = next_state(state)
    with pytest.raises(ReceiptExists):
        await store.commit("c", Change(state, following, receipt=Receipt("id", "t2", "print", "e1")))
    await store.commit("c", Change(state, following, receipt=Receipt("id", "t3", "print", "e2")))
    assert await store.receipt("c", "id") == Receipt("id", "t3", "print", "e2")


async def test_an_unknown_message_id_has_no_receipt(store):
    assert await store.receipt("c", "id") is None


@pytest.mark.parametrize(
    ("after", "before", "limit", "newest", "expected"),
    [
        (0, 99, 3, False, [1, 2, 3]),
        (0, 99, 3, True, [4, 5, 6]),
        (2, 5, 9, False, [3, 4]),
        (2, 5, 1, True, [4]),
        (6, 7, 9, False, []),
    ],
)
async def test_a_range_of_messages(store, after, before, limit, newest, expected):
    state = await put(store, first(seq=6, message_count=6), *(message(seq) for seq in range(1, 7)))
    found = await store.messages("c", state.epoch, after=after, before=before, limit=limit, newest=newest)
    assert [entry.seq for entry in found] == expected


async def test_a_sweep_of_an_ended_conversation_deletes_all_of_it(store):
    state = first(seq=2, message_count=2, queued=1)
    receipt = Receipt("id", "t", "print", state.epoch)
    await put(store, state, message(1), message(2), queued=(waiting(state, "1"),), receipt=receipt)
    await store.connect("c", Connection("socket"))
    await store.commit("c", Change(state, next_state(state), removes_state=True))
    assert await store.sweep("c") == 5
    assert await store.connections("c") == ()
    assert await store.receipt("c", "id") is None
    assert await store.messages("c", state.epoch, after=0, before=99, limit=9, newest=False) == ()


async def test_a_sweep_spares_what_the_log_still_shows(store):
    state = await put(store, first(seq=12, message_count=12), *(message(seq) for seq in range(1, 13)))
    await store.connect("c", Connection("socket"))
    assert await store.sweep("c") == 2
    kept = await store.messages("c", state.epoch, after=0, before=99, limit=99, newest=False)
    assert [entry.seq for entry in kept] == list(range(3, 13))
    assert len(await store.connections("c")) == 1


async def test_connections_are_listed_until_they_leave(store):
    one = Connection("one", "alice", START)
    two = Connection("two", "bob", START, Resume("n", "t", 7))
    for connection in (one, two):
        await store.connect("c", connection)
    assert set(await store.connections("c")) == {one, two}
    await store.disconnect("c", "one")
    assert await store.connections("c") == (two,)


async def test_a_socket_that_is_listed_anew_keeps_its_wish(store):
    wish = Resume("n", "t", 7)
    await store.connect("c", Connection("one", "alice", START, wish))
    await store.connect("c", Connection("one", "alice", START))
    assert await store.connections("c") == (Connection("one", "alice", START, wish),)


async def test_conversations_do_not_see_each_other(store):
    await put(store, first(seq=1, message_count=1), message(1))
    assert await store.snapshot("other", 10) == Snapshot()
