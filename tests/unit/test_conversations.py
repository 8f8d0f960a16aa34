"""Commands and queries of clients, over the memory store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from copilotedge import frames
from copilotedge.conversations import MAX_LOST_RACES, Conversations
from copilotedge.errors import Conflict, QueueFull, ReceiptExists, StateChanged, StoreUnavailable
from copilotedge.histories import unknown_of
from copilotedge.models import Change, Connection, ConversationSettings, PromptMessage, ToolCall
from copilotedge.outcomes import Cleared, Submitted
from copilotedge.transitions import CLAIM_GRACE_MS, FRESH_MS, Submission
from tests.fakes import World, until
from tests.memory_store import MemoryStore
from tests.simulation.loop import run_virtual


@dataclass
class Contended:
    """A store whose first ``lost`` commits meet another change, or the error that is given."""

    store: MemoryStore
    lost: int
    error: Exception | None = None

    async def commit(self, conversation_id: str, change: Change) -> None:
        self.lost -= 1
        if self.lost >= 0:
            raise self.error or StateChanged("Another was first.")
        await self.store.commit(conversation_id, change)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


def over(world: World, store: object) -> Conversations:
    window = world.settings.snapshot_messages
    return Conversations(store, world.waker, world.limits, world.rules, window, world.clock, world.log)


def message(world: World, text: str = "Hi", **more) -> Submission:
    return Submission(more.pop("message_id", f"m-{text}"), text, world.clock.now, **more)


async def answered(world: World, *texts: str) -> None:
    """Exchanges that are over."""
    for text in texts:
        await world.say("a", text)
        await world.work()
        world.clock.advance(1_000)


# --- Taking messages ---------------------------------------------------------------------------------------------


async def test_a_caller_that_holds_its_turn_gets_a_run():
    world = World()
    submitted = await world.conversations.submit("c1", message(world, holder="caller"))
    assert submitted.run.turn.holder == "caller"
    assert submitted.run.question.content == "Hi"


async def test_a_caller_that_does_not_hold_its_turn_gets_none_to_run():
    world = World()
    submitted = await world.conversations.submit("c1", message(world))
    assert (submitted.run, submitted.position, submitted.repeated) == (None, 0, False)


async def test_a_caller_whose_message_waits_gets_its_place():
    world = World()
    await world.conversations.submit("c1", message(world, "1"))
    submitted = await world.conversations.submit("c1", message(world, "2", holder="caller"))
    assert (submitted.run, submitted.position) == (None, 1)


async def test_a_repeated_message_leads_to_the_turn_it_began():
    world = World()
    first = await world.conversations.submit("c1", message(world))
    again = await world.conversations.submit("c1", message(world))
    assert (again.turn_id, again.repeated) == (first.turn_id, True)
    assert len(await world.log_of()) == 1


async def test_a_repeated_message_is_known_however_far_back_it_lies():
    world = World(history_window_messages=2)
    first = await world.conversations.submit("c1", message(world, client_id=True))
    await world.work()
    await answered(world, "2", "3", "4")
    again = await world.conversations.submit("c1", message(world, client_id=True))
    assert (again.turn_id, again.repeated) == (first.turn_id, True)


async def test_an_id_far_back_with_other_content_is_a_conflict():
    world = World(history_window_messages=2)
    await world.conversations.submit("c1", message(world, client_id=True))
    await world.work()
    await answered(world, "2", "3", "4")
    with pytest.raises(Conflict):
        await world.conversations.submit("c1", replace(message(world, client_id=True), content="Bye"))


async def test_an_id_is_free_again_after_a_clear():
    world = World()
    await world.conversations.submit("c1", message(world, client_id=True))
    await world.conversations.clear("c1")
    assert not (await world.conversations.submit("c1", message(world, client_id=True))).repeated


async def test_a_receipt_that_vanished_meanwhile_asks_to_come_back():
    world = World()
    conversations = over(world, Contended(world.store, 1, ReceiptExists("Taken.")))
    with pytest.raises(StoreUnavailable) as caught:
        await conversations.submit("c1", message(world))
    assert caught.value.code == "conversation_busy"


async def test_a_full_queue_refuses():
    world = World(max_queued_messages=1)
    for text in ("1", "2"):
        await world.conversations.submit("c1", message(world, text))
    with pytest.raises(QueueFull):
        await world.conversations.submit("c1", message(world, "3"))


async def test_a_lost_race_is_run_again():
    world = World()
    await over(world, Contended(world.store, 3)).submit("c1", message(world))
    assert await world.log_of() == [("user", "Hi", "complete")]


async def test_a_conversation_that_never_stands_still_asks_to_come_back(monkeypatch):
    monkeypatch.setattr("copilotedge.conversations.random.uniform", lambda low, high: 0)
    world = World()
    with pytest.raises(StoreUnavailable) as caught:
        await over(world, Contended(world.store, MAX_LOST_RACES)).submit("c1", message(world))
    assert (caught.value.code, caught.value.retry_after) == ("conversation_busy", 1)


async def test_whoever_meets_a_turn_that_no_one_looks_after_wakes_a_worker():
    world = World()
    first = await world.conversations.submit("c1", message(world, "1"))
    world.clock.advance(CLAIM_GRACE_MS)
    await world.conversations.submit("c1", message(world, "2"))
    assert world.waker.pending == [("c1", first.turn_id, "")]


async def test_a_turn_that_is_looked_after_wakes_no_one():
    world = World()
    await world.conversations.submit("c1", message(world, holder="caller"))
    await world.conversations.page("c1", 10)
    assert world.waker.pending == []


async def repeated(world: World, *, claimed: bool) -> Submitted:
    """A message whose client sends it again at once, while its worker is on its way, or is not."""
    first = await world.conversations.submit("c1", message(world))
    again = asyncio.create_task(world.conversations.submit("c1", message(world)))
    await asyncio.sleep(FRESH_MS / 2000)
    if claimed:
        await world.runner.claim("c1", "worker")
    assert (await again).repeated
    return first


def test_no_second_worker_is_woken_for_a_repeated_message_before_the_first_had_time_to_come():
    world = World()
    run_virtual(repeated(world, claimed=True))
    assert world.waker.pending == []


def test_a_repeated_message_wakes_a_worker_when_none_has_come_in_time():
    world = World()
    first = run_virtual(repeated(world, claimed=False))
    assert world.waker.pending == [("c1", first.turn_id, "")]


# --- History that a client brings along --------------------------------------------------------------------------

U1, A1, U2, A2 = (PromptMessage(role, text) for role, text in zip(["user", "assistant"] * 2, "abcd", strict=True))
NEW = PromptMessage("user", "new")


def log(*entries: PromptMessage) -> list[PromptMessage]:
    """What the snapshot knows: the log's newest messages, then those that wait."""
    return list(entries)


@pytest.mark.parametrize(
    ("brought", "stored", "expected"),
    [
        pytest.param([], log(U1, A1), [], id="brings nothing"),
        pytest.param([U1, A1], [], [U1, A1], id="first import"),
        pytest.param([U1, A1, U2, A2], log(U1, A1, U2, A2), [], id="resends everything"),
        pytest.param([U2, A2], log(U1, A1, U2, A2), [], id="trimmed the beginning"),
        pytest.param([A2], log(U1, A1, U2, A2), [], id="trimmed to an answer"),
        pytest.param([U1, A1, U2, A2], log(U2, A2), [], id="goes back before the window"),
        pytest.param([U1, A1, U2, A2], log(U1, A1), [U2, A2], id="brings an exchange that the log lacks"),
        pytest.param([U1, A1, NEW], log(U1, A1, NEW), [], id="kept a failed question"),
        pytest.param([U1, A1], log(U1, A1, NEW), [], id="dropped a failed question at the end"),
        pytest.param([U1, A1, U2, A2], log(U1, A1, NEW, U2, A2), [], id="dropped a failed question"),
        pytest.param([U1, A1, U1, A1], log(U1, A1, U1, A1), [], id="says the same twice"),
    ],
)
def test_only_what_the_log_lacks_is_new(brought, stored, expected):
    assert unknown_of(brought, stored) == tuple(expected)


@pytest.mark.parametrize(
    ("brought", "stored"),
    [
        pytest.param([U1, A1], log(U1, A1, U2, A2), id="missed an exchange of another client"),
        pytest.param([U1, PromptMessage("assistant", "b ")], log(U1, A1), id="changed white space"),
        pytest.param([U1, A1], log(U1, A1, U2), id="another client's question is being answered"),
    ],
)
def test_what_the_log_has_already_is_not_new_to_it(brought, stored):
    assert unknown_of(brought, stored) == ()


def test_results_of_tools_are_told_apart_by_their_calls():
    asked = PromptMessage("assistant", "", (ToolCall("b1", "turn", "{}"), ToolCall("b2", "turn", "{}")))
    done = [PromptMessage("tool", "ok", tool_call_id=call_id) for call_id in ("a1", "b1")]
    assert unknown_of([U1, asked, done[1]], log(U1, done[0], asked)) == (done[1],)


def test_a_client_that_goes_back_before_the_window_may_repeat_itself():
    assert unknown_of([U1, A1, U2, A2, U1, A1], log(U2, A2, U1, A1)) == ()


async def test_a_first_import_is_stored_before_the_message():
    world = World()
    await world.conversations.submit("c1", message(world, "c"), [U1, A1])
    assert [content for _, content, _ in await world.log_of()] == ["a", "b", "c"]


async def test_a_client_that_resends_everything_may_be_two_messages_ahead():
    world = World()
    await world.conversations.submit("c1", message(world, "1"))
    await world.conversations.submit("c1", message(world, "2"), [PromptMessage("user", "1")])
    brought = [PromptMessage("user", "1"), PromptMessage("user", "2")]
    assert (await world.conversations.submit("c1", message(world, "3"), brought)).position == 2


# --- Cancel, clear, delete ---------------------------------------------------------------------------------------


async def test_cancel_stops_the_running_turn():
    world = World()
    await world.conversations.submit("c1", message(world))
    assert await world.conversations.cancel("c1")
    assert (await world.store.state("c1")).turn.cancel


async def test_cancel_by_name_stops_the_turn_of_that_message():
    world = World()
    await world.conversations.submit("c1", message(world))
    assert await world.conversations.cancel("c1", "m-Hi")
    assert (await world.store.state("c1")).turn.cancel


async def test_cancel_by_name_takes_a_waiting_message_off_the_queue():
    world = World()
    for text in ("1", "2"):
        await world.conversations.submit("c1", message(world, text))
    assert (await world.conversations.cancel("c1", "m-2")).withdrawn.content == "2"
    assert (await world.store.snapshot("c1", 9)).queue == ()
    assert not (await world.store.state("c1")).turn.cancel


async def test_there_may_be_nothing_to_cancel():
    world = World()
    assert not await world.conversations.cancel("c1")
    await answered(world, "Hi")
    assert not await world.conversations.cancel("c1")
    assert not await world.conversations.cancel("c1", "nobody")


async def test_cancelling_twice_is_one_cancel():
    world = World()
    await world.conversations.submit("c1", message(world))
    assert await world.conversations.cancel("c1") and await world.conversations.cancel("c1")


async def test_a_clear_empties_the_log():
    world = World()
    await answered(world, "Hi")
    cleared = await world.conversations.clear("c1")
    assert await world.log_of() == []
    assert cleared == Cleared((await world.store.state("c1")).epoch)


@pytest.mark.parametrize("act", ["clear", "delete"])
async def test_who_ends_a_conversation_that_somebody_hears_has_the_slot_until_that_is_told(act):
    world = World()
    await world.connect("a")
    await world.append("c1", "user", "Hi")
    world.gateway.frames.clear()
    cleared = await getattr(world.conversations, act)("c1")
    assert (await world.store.state("c1")).turn == cleared.run.turn
    await world.sockets.tell_cleared("c1", cleared)
    assert world.gateway.kinds("a") == ["system:conversation_cleared"]
    state = await world.store.state("c1")
    assert (state is None) if act == "delete" else (state.turn is None)


async def test_a_clear_of_nothing_changes_nothing():
    world = World()
    assert await world.conversations.clear("c1") == Cleared("")
    assert world.waker.swept == []


async def test_a_clear_during_a_turn_leaves_the_telling_to_its_holder():
    world = World()
    await world.conversations.submit("c1", message(world, holder="caller"))
    await world.connect("a")
    assert (await world.conversations.clear("c1")).run is None


async def test_a_deletion_ends_the_conversation_with_its_settings():
    world = World()
    await world.conversations.store_settings("c1", lambda stored: replace(stored, model="m"))
    await world.conversations.delete("c1")
    assert await world.conversations.settings("c1") == (None, ConversationSettings())


async def test_a_deletion_during_a_turn_leaves_the_telling_to_its_holder():
    world = World()
    await world.conversations.submit("c1", message(world, holder="caller"))
    await world.connect("a")
    assert (await world.conversations.delete("c1")).run is None
    assert await world.log_of() == []


async def test_a_deletion_of_nothing_is_done_at_once():
    assert await World().conversations.delete("c1") == Cleared("")


# --- Listening, appending, settings ------------------------------------------------------------------------------


async def test_a_listener_is_listed_with_its_wish():
    world = World()
    await world.conversations.listen("c1", Connection("a"), "t1", 7)
    (listed,) = await world.store.connections("c1")
    assert (listed.resume.turn_id, listed.resume.offset) == ("t1", 7)


async def test_a_listener_without_an_offset_wants_no_text():
    world = World()
    await world.conversations.listen("c1", Connection("a"))
    assert await world.store.connections("c1") == (Connection("a"),)


async def test_a_listener_makes_a_running_turn_look_again():
    world = World()
    await world.conversations.submit("c1", message(world, holder="caller"))
    before = await world.store.state("c1")
    page = await world.conversations.listen("c1", Connection("a"))
    assert page.state == await world.store.state("c1") != before
    assert [entry.content for entry in page.messages] == ["Hi"]


async def test_an_appended_message_comes_with_its_epoch():
    world = World()
    appended = await world.append("c1", "assistant", "Hello", 7)
    stored = appended.message
    assert (stored.seq, stored.content, stored.tokens) == (1, "Hello", 7)
    assert appended.state.epoch == (await world.store.state("c1")).epoch


async def test_appending_has_evicted_messages_swept():
    world = World(max_stored_messages=10, rate_limit_per_minute=0)
    for number in range(120):
        await world.append("c1", "user", str(number), 0)
    assert world.waker.swept


async def test_settings_are_changed_from_what_is_stored():
    world = World()
    await world.conversations.store_settings("c1", lambda stored: replace(stored, model="m"))
    await world.conversations.store_settings("c1", lambda stored: replace(stored, user_id="u"))
    assert (await world.conversations.settings("c1"))[1] == ConversationSettings("m", "u")


async def test_settings_may_change_during_a_turn():
    world = World()
    await world.conversations.submit("c1", message(world))
    state, _ = await world.conversations.store_settings("c1", lambda stored: replace(stored, model="m"))
    assert state.turn is not None


# --- Reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "range_", "expected", "more"),
    [
        (2, {}, [5, 6], True),
        (6, {}, [1, 2, 3, 4, 5, 6], False),
        (2, {"before": 5}, [3, 4], True),
        (9, {"before": 3}, [1, 2], False),
        (2, {"after": 0}, [1, 2], True),
        (2, {"after": 4}, [5, 6], False),
        (2, {"after": 99}, [], False),
    ],
)
async def test_the_log_is_read_in_pages(limit, range_, expected, more):
    world = World()
    await answered(world, "1", "2", "3")
    page = await world.conversations.page("c1", limit, **range_)
    assert ([entry.seq for entry in page.messages], page.more) == (expected, more)


@pytest.mark.parametrize("range_", [{}, {"before": 5}, {"after": 0}])
async def test_an_unknown_conversation_is_an_empty_page(range_):
    page = await World().conversations.page("nobody", 10, **range_)
    assert (page.state, page.messages, page.more) == (None, (), False)


@pytest.mark.parametrize("range_", [{}, {"before": 9}, {"after": 0}])
async def test_evicted_messages_are_not_shown_although_they_are_still_there(range_):
    world = World(max_stored_messages=4)
    await answered(world, "1", "2", "3")
    page = await world.conversations.page("c1", 10, **range_)
    assert ([entry.seq for entry in page.messages], page.more) == ([3, 4, 5, 6], False)


async def test_the_outcome_of_a_message_is_found_however_far_back_it_lies():
    world = World(history_window_messages=2)
    await world.say("a", "1", id="m1")
    await world.work()
    await answered(world, "2", "3", "4")
    outcome = await world.conversations.outcome("c1", "m1")
    assert (outcome.question.content, outcome.answer.content) == ("1", "You said: 1")
    assert outcome.is_over


async def test_a_message_that_is_being_answered_is_not_over():
    world = World()
    submitted = await world.conversations.submit("c1", message(world))
    outcome = await world.conversations.outcome("c1", "m-Hi")
    assert outcome.turn.turn_id == submitted.turn_id
    assert not outcome.is_over


async def test_a_message_that_waits_has_no_question_in_the_log_yet():
    world = World()
    for text in ("1", "2"):
        await world.conversations.submit("c1", message(world, text))
    outcome = await world.conversations.outcome("c1", "m-2")
    assert (outcome.question, outcome.answer, outcome.is_over) == (None, None, False)


async def test_a_message_that_was_answered_anew_is_over_with_its_new_answer():
    world = World()
    await world.say("a", "Hi", id="m1")
    await world.work()
    world.model.scripts.append(["Another"])
    await world.send("a", type="system", content="regenerate")
    await world.work()
    assert (await world.conversations.outcome("c1", "m1")).answer.content == "Another"


async def test_a_caller_may_regenerate_and_hold_the_turn_itself():
    world = World()
    await answered(world, "Hi")
    submitted = await world.conversations.regenerate("c1", holder="caller")
    assert submitted.run.turn.replaces == 2
    assert [entry.content for entry in submitted.run.messages] == ["Hi"]


async def test_several_messages_are_appended_at_once_and_count_as_one():
    world = World(rate_limit_per_minute=5)
    said = [PromptMessage("user", "How warm?"), PromptMessage("tool", "12", tool_call_id="call-1")]
    appended = await world.append_all("c1", said, "alice")
    assert [(entry.seq, entry.content, entry.tool_call_id) for entry in appended.messages] == [
        (1, "How warm?", ""),
        (2, "12", "call-1"),
    ]
    assert (appended.quota.remaining, appended.state.seq) == (4, 2)


async def test_who_appends_what_somebody_hears_has_the_slot_until_that_is_told():
    world = World()
    await world.connect("a")
    await world.append("c1", "user", "1")
    appended = await world.conversations.append("c1", "user", "2", 0)
    assert (await world.store.state("c1")).turn == appended.run.turn
    second = asyncio.create_task(world.append("c1", "user", "3"))
    await asyncio.sleep(0.05)
    assert not second.done()
    await world.sockets.tell(appended.run, frames.chat(appended.message, appended.state.epoch))
    assert (await second).message.seq == 3
    assert [frame["content"] for frame in world.gateway.frames["a"]] == ["1", "2", "3"]
    assert (await world.store.state("c1")).turn is None


async def test_a_message_that_comes_while_something_is_told_is_next_and_a_worker_answers_it():
    world = World()
    await world.connect("a")
    appended = await world.conversations.append("c1", "user", "1", 0)
    submitted = await world.conversations.submit("c1", message(world, "2"))
    assert (submitted.position, submitted.begun) == (0, None)
    await world.sockets.tell(appended.run)
    await world.work()
    assert await world.log_of() == [
        ("user", "1", "complete"),
        ("user", "2", "complete"),
        ("assistant", "You said: 1\n\n2", "complete"),
    ]


async def test_who_meets_what_a_dead_teller_left_has_a_worker_tell_it_first():
    world = World()
    await world.connect("a")
    await world.conversations.append("c1", "user", "1", 0)
    world.clock.advance(8_000)
    second = asyncio.create_task(world.append("c1", "user", "2"))
    await until(lambda: bool(world.waker.pending))
    await world.work()
    assert (await second).message.seq == 2
    assert [frame["content"] for frame in world.gateway.frames["a"]] == ["1", "2"]


async def test_who_waits_while_a_stuck_socket_is_told_something_need_not_wait_for_it():
    world = World()
    world.gateway.stuck.add("b")
    await world.connect("a", "b")
    await world.say("a", "1")
    worker = asyncio.create_task(world.work())
    await until(lambda: "status:complete" in world.gateway.kinds("a"))
    regenerated = await asyncio.wait_for(world.conversations.regenerate("c1"), 3)
    assert world.waker.standing_by == ["c1"]
    assert regenerated.begun is not None
    await worker


async def test_a_sweep_that_cannot_be_ordered_does_not_keep_an_appended_message_from_being_told(monkeypatch):
    world = World(max_stored_messages=1)
    await world.connect("a")

    async def refuse(_conversation_id: str) -> None:
        raise StoreUnavailable("No worker.")

    monkeypatch.setattr(world.waker, "sweep", refuse)
    for number in range(51):
        await world.append("c1", "user", str(number))
    assert [frame["content"] for frame in world.gateway.frames["a"]] == [str(number) for number in range(51)]
    assert "wake_failed" in [event for event, _ in world.log.lines]


async def test_a_conversation_that_is_being_deleted_has_no_settings():
    world = World()
    await world.connect("a")
    await world.append("c1", "user", "1")
    await world.conversations.delete("c1")
    assert await world.conversations.settings("c1") == (None, ConversationSettings())


async def test_nothing_is_appended_while_a_turn_runs():
    world = World()
    await world.conversations.submit("c1", message(world))
    with pytest.raises(Conflict):
        await world.append_all("c1", [PromptMessage("user", "Me too")])
