"""One contract for every conversation store. Test modules import it and bring the ``store`` and ``clock`` fixtures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from copilotedge.errors import ReceiptExists, StateChanged
from copilotedge.models import (
    Audience,
    Change,
    Connection,
    ConversationSettings,
    Draft,
    Listing,
    Marks,
    Message,
    QueuedMessage,
    Receipt,
    Resume,
    Snapshot,
    State,
    Swept,
    ToolCall,
    Turn,
)
from copilotedge.ports import ConversationStore
from copilotedge.transitions import LIST_EVERY_MS
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
    full = Message(1, "assistant", "é🎉", START, "m1", "t1", 9, 4, "cancelled", "model", 7, "be brief", '{"seed":1}')
    full = replace(full, tool_calls=(ToolCall("call-1", "weather", "{}"), ToolCall("call-2", "time", "")))
    result = Message(2, "tool", "rain", START, "m2", tool_call_id="call-1")
    await put(store, first(seq=2, message_count=2), full, result)
    assert (await store.snapshot("c", 10)).messages == (full, result)


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
    assert await store.snapshot("c", 10) == Snapshot(reborn, connections=())


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
    await store.write_draft("c", state.epoch, Draft("t", 1, 0, "text"))
    await store.commit("c", Change(state, next_state(state), removes_state=True))
    swept = await store.sweep("c")
    assert swept.deleted == 6 and swept.last_message_at > 0
    assert await store.sweep("c") == Swept(0)
    assert await store.drafts("c", "t", 1, 0) == ()
    assert await store.connections("c") == ()
    assert await store.receipt("c", "id") is None
    assert await store.messages("c", state.epoch, after=0, before=99, limit=9, newest=False) == ()


async def test_a_sweep_spares_what_the_log_still_shows(store):
    state = await put(store, first(seq=12, message_count=12), *(message(seq) for seq in range(1, 13)))
    await store.connect("c", Connection("socket"))
    assert (await store.sweep("c")).deleted == 2
    kept = await store.messages("c", state.epoch, after=0, before=99, limit=99, newest=False)
    assert [entry.seq for entry in kept] == list(range(3, 13))
    assert len(await store.connections("c")) == 1


async def test_drafts_of_an_attempt_are_read_from_an_offset_on(store):
    one, two, other = Draft("t", 1, 0, "Once "), Draft("t", 1, 5, "upon é🎉"), Draft("t", 2, 0, "Twice")
    for draft in (other, two, one):
        await store.write_draft("c", "epoch", draft)
    assert await store.drafts("c", "t", 1, 0) == (one, two)
    assert await store.drafts("c", "t", 1, 5) == (two,)
    assert await store.drafts("c", "t", 2, 0) == (other,)
    assert await store.drafts("c", "u", 1, 0) == ()


async def test_connections_are_listed_until_they_leave(store):
    one = Connection("one", "alice", START)
    two = Connection("two", "bob", START, Resume("n", "t", 7))
    for connection in (one, two):
        await store.connect("c", connection)
    assert set(await store.connections("c")) == {one, two}
    await store.disconnect("c", "one")
    assert await store.connections("c") == (two,)


async def test_one_read_tells_who_is_there_and_what_was_said(store):
    state = await put(store, first(seq=1, message_count=1), message(1))
    one, two = Connection("one", "alice", START), Connection("two", "bob", START, Resume("n", "t", 7))
    for connection in (one, two):
        await store.connect("c", connection)
    seen = await store.snapshot("c", 10)
    assert (seen.state, set(seen.connections or ()), len(seen.messages)) == (state, {one, two}, 1)
    audience = await store.audience("c")
    assert (audience.state, set(audience.connections)) == (state, {one, two})


async def test_sockets_can_be_there_before_a_conversation(store):
    await store.connect("c", Connection("one"))
    assert await store.snapshot("c", 10) == Snapshot()
    assert await store.audience("c") == Audience(None, (Connection("one"),))


async def test_more_sockets_than_a_request_reads_are_all_seen(store):
    await put(store, first(seq=0, message_count=0))
    for number in range(30):
        await store.connect("c", Connection(f"{number}"))
    assert len((await store.snapshot("c", 2)).connections or ()) == 30


async def test_a_socket_that_is_listed_anew_keeps_its_wish(store):
    wish = Resume("n", "t", 7)
    await store.connect("c", Connection("one", "alice", START, wish))
    await store.connect("c", Connection("one", "alice", START))
    assert await store.connections("c") == (Connection("one", "alice", START, wish),)


async def test_conversations_do_not_see_each_other(store):
    await put(store, first(seq=1, message_count=1), message(1))
    assert await store.snapshot("other", 10) == Snapshot()


LISTED = "alice/c"


async def change(store: ConversationStore, before: State | None, after: State, *messages: Message) -> State:
    await store.commit(LISTED, Change(before, after, messages=messages))
    return after


async def grown(store: ConversationStore, **marks) -> State:
    """A conversation with titles of all three kinds, marked so."""
    state = await change(store, None, first(seq=1, message_count=5), message(1, "Some words"))
    await store.entitle(LISTED, state.epoch, "By a model")
    await store.mark(LISTED, state.life, Marks(**{"title": "By alice", "pinned": True, "archived": True} | marks))
    return state


async def listed(store: ConversationStore) -> Listing:
    (entry,) = await store.listings("alice")
    assert await store.listing(LISTED) == entry
    return entry


async def test_a_conversation_is_listed_with_its_first_words_from_its_birth_on(store):
    state = await change(store, None, first(seq=1, message_count=1), message(1, "Some words"))
    assert await listed(store) == Listing(
        "c", state.created_at, state.last_activity, state.life, state.epoch, first_words="Some words"
    )
    assert await store.listings("bob") == ()


async def test_what_is_not_listed_has_no_entry(store):
    assert await store.listing(LISTED) is None
    assert await store.mark(LISTED, "life", Marks(pinned=True)) is None
    assert await store.entitle(LISTED, "epoch", "A title") is None
    assert await store.listings("alice") == ()


async def test_an_entry_goes_with_its_conversation(store):
    state = await change(store, None, first())
    await store.commit(LISTED, Change(state, next_state(state), removes_state=True))
    assert await store.listing(LISTED) is None
    assert await store.listings("alice") == ()


async def test_an_entry_ends_minutes_after_its_conversation(store, clock):
    state = await change(store, None, first())
    clock.now = state.expires_at * 1000 + LIST_EVERY_MS - 1
    assert await store.listing(LISTED) is not None
    clock.now += 1
    assert await store.listing(LISTED) is None
    assert await store.listings("alice") == ()


async def test_titles_have_an_order(store):
    state = await change(store, None, first(seq=1, message_count=1), message(1, "Some words"))
    assert (await listed(store)).title == "Some words"
    assert (await store.entitle(LISTED, state.epoch, "By a model")).title == "By a model"
    assert (await store.mark(LISTED, state.life, Marks(title="By alice"))).title == "By alice"
    assert (await store.mark(LISTED, state.life, Marks(title=""))).title == "By a model"


async def test_marks_are_set_and_taken_off_one_by_one(store):
    state = await grown(store)
    await store.mark(LISTED, state.life, Marks(pinned=False))
    entry = await listed(store)
    assert (entry.title, entry.pinned, entry.archived) == ("By alice", False, True)
    assert await store.mark(LISTED, state.life, Marks()) == entry


async def test_marks_of_another_life_are_refused(store):
    state = await grown(store)
    before = await listed(store)
    assert await store.mark(LISTED, state.life + "x", Marks(title="Late")) is None
    assert await store.entitle(LISTED, state.epoch + "x", "Late") is None
    assert await listed(store) == before


async def test_a_model_gives_a_title_once_and_may_repeat_it(store):
    state = await change(store, None, first())
    given = await store.entitle(LISTED, state.epoch, "First")
    assert await store.entitle(LISTED, state.epoch, "Second") is None
    assert await store.entitle(LISTED, state.epoch, "First") == given == await listed(store)


async def test_use_changes_the_times_in_the_list_and_nothing_else(store):
    state = await grown(store)
    before = await listed(store)
    later = next_state(state, listed_at=START + 9, last_activity=START + 9, message_count=6, seq=2)
    await change(store, state, later, message(2, "Other words"))
    assert await listed(store) == replace(before, last_activity=START + 9)


async def test_the_first_words_may_come_after_the_birth(store):
    state = await change(store, None, first())
    state = await change(store, state, next_state(state, seq=1, message_count=1), message(1, "Some words"))
    await change(store, state, next_state(state, seq=2, message_count=2), message(2, "Other words"))
    assert (await listed(store)).title == "Some words"


async def test_a_clear_takes_titles_made_of_messages_and_leaves_what_the_owner_set(store):
    state = await grown(store)
    cleared = await change(store, state, next_state(state, epoch=state.epoch + "x", seq=0, message_count=0))
    entry = await listed(store)
    assert (entry.first_words, entry.model_title, entry.title) == ("", "", "By alice")
    assert (entry.pinned, entry.archived, entry.epoch) == (True, True, cleared.epoch)
    assert await store.entitle(LISTED, state.epoch, "Of what was cleared") is None


async def test_a_new_life_inherits_nothing(store, clock):
    state = await grown(store)
    clock.now = state.expires_at * 1000
    reborn = await change(store, None, born(RULES, clock.now))
    assert await listed(store) == Listing("c", clock.now, clock.now, reborn.life, reborn.epoch)


async def test_a_life_that_begins_while_the_old_one_ends_inherits_nothing(store):
    state = await grown(store)
    epoch = state.epoch + "x"
    reborn = await change(store, state, next_state(state, life=epoch, epoch=epoch))
    assert (await listed(store)).title == ""
    assert not (await listed(store)).pinned
    assert await store.mark(LISTED, state.life, Marks(title="Late")) is None
    assert await store.mark(LISTED, reborn.life, Marks(title="New")) is not None
