"""Answers piece by piece: of this process, of another one, with tools, and without anybody listening."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from copilotedge.answering import Answering, CallWords, Reply, Words
from copilotedge.errors import (
    InvalidRequest,
    LimitExceeded,
    ModelUnavailable,
    NotFound,
    StoreUnavailable,
    TurnFailed,
)
from copilotedge.models import PromptMessage, ToolCall, ToolCallDelta
from copilotedge.questions import Question
from tests.fakes import World, until

CALL = ToolCall("call-1", "weather", '{"city":"Oslo"}')
PIECES = (ToolCallDelta(0, '{"city":', "call-1", "weather"), ToolCallDelta(0, '"Oslo"}'))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilotedge.following.POLL_SECONDS", (0.001,))
    monkeypatch.setattr("copilotedge.following.DRAFT_SECONDS", 0.001)
    monkeypatch.setattr("copilotedge.watching.WATCH_SECONDS", 0.005)
    monkeypatch.setattr("copilotedge.watching.DRAFT_SECONDS", 0.002)


def asking(text: str, **more) -> Question:
    return Question((PromptMessage("user", text),), **more)


async def ask(world: World, question: Question, conversation_id: str = "c1", message_id: str = "") -> Answering:
    return await world.replies.open(question, "", conversation_id, world.clock.now, world.deadline, message_id)


async def heard(answering: Answering) -> list[Words | CallWords]:
    return [piece async for piece in answering]


def text_of(pieces: list[Words | CallWords]) -> str:
    """What a careful caller has in the end: an attempt that begins anew replaces what came before."""
    text, attempt = "", 0
    for piece in pieces:
        assert isinstance(piece, Words)
        text = text if piece.attempt == attempt else ""
        attempt = piece.attempt
        assert piece.offset == len(text)
        text += piece.text
    return text


# --- Pieces ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conversation_id", ["", "c1"])
async def test_the_pieces_are_the_models_own(conversation_id):
    world = World()
    world.model.scripts = [["One ", "two ", "three."]]
    answering = await ask(world, asking("Hi"), conversation_id)
    assert await heard(answering) == [Words("One ", 0), Words("two ", 4), Words("three.", 8)]
    reply = await answering.end()
    assert isinstance(reply, Reply) and reply.text == "One two three."


async def test_the_first_piece_comes_while_the_model_is_still_speaking():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [["First", gate, " last"]]
    answering = await ask(world, asking("Hi"))
    await answering.began()
    assert world.model.closed == 0
    gate.set()
    assert text_of(await heard(answering)) == "First last"


@pytest.mark.parametrize("conversation_id", ["", "c1"])
async def test_what_goes_wrong_before_the_first_piece_is_told_before_it(conversation_id):
    world = World()
    world.model.scripts = [[ModelUnavailable("The model is down.")]]
    answering = await ask(world, asking("Hi"), conversation_id)
    with pytest.raises(ModelUnavailable):
        await answering.began()
    assert await heard(answering) == []


async def test_refusals_come_before_anything_is_heard():
    world = World(rate_limit_per_minute=1)
    await (await ask(world, asking("Hi"), "")).finished()
    with pytest.raises(LimitExceeded):
        await ask(world, asking("Hi"), "")


async def test_the_answers_id_is_the_one_in_the_log():
    world = World()
    answering = await ask(world, asking("Hi"), message_id="m1")
    reply = await answering.end()
    (question, answer) = (await world.conversations.page("c1", 10)).messages
    assert isinstance(reply, Reply)
    assert (reply.answer_id, reply.message_id, answering.turn_id) == (answer.message_id, "m1", question.turn_id)


async def test_a_turn_goes_on_without_its_caller():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [["First", gate, " last"]]
    answering = await ask(world, asking("Hi"))
    await answering.began()
    gone = asyncio.create_task(answering.close())
    gate.set()
    await gone
    assert (await world.log_of())[-1] == ("assistant", "First last", "complete")


async def test_a_stateless_chat_ends_with_its_caller():
    world = World()
    world.model.scripts = [["First", asyncio.Event(), " last"]]
    answering = await ask(world, asking("Hi"), "")
    await answering.began()
    await answering.close()
    assert world.model.closed == 1


# --- Another process writes the answer ---------------------------------------------------------------------------


async def test_a_follower_hears_a_running_answer_while_it_is_being_written():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [["First", gate, " last"]]
    writer = await ask(world, asking("Hi"), message_id="m1")
    reader = await world.replies.follow("", "c1", "m1", world.deadline)
    await asyncio.wait_for(reader.began(), 5)
    assert world.model.waiting == 1
    gate.set()
    assert text_of(await heard(reader)) == "First last"
    read, written = await reader.end(), await writer.end()
    assert replace(read, quota=written.quota) == written


async def test_a_repeated_message_is_followed_and_not_answered_twice():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [["Once", gate]]
    first = await ask(world, asking("Hi"), message_id="m1")
    await first.began()
    again = await ask(world, asking("Hi"), message_id="m1")
    gate.set()
    assert again.repeated and text_of(await heard(again)) == "Once"
    assert len(world.model.requests) == 1


async def test_a_follower_of_an_answer_that_is_there_hears_it_at_once():
    world = World()
    await (await ask(world, asking("Hi"), message_id="m1")).finished()
    reader = await world.replies.follow("", "c1", "m1", world.deadline)
    assert await heard(reader) == [Words("You said: Hi", 0)]


async def test_a_waiting_message_is_heard_when_its_turn_has_come():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [[gate, "One"], ["Two"]]
    first = await ask(world, asking("1"))
    await until(lambda: world.model.waiting == 1)
    second = await ask(world, asking("2"), message_id="m2")
    gate.set()
    await first.finished()
    await world.work()
    assert text_of(await heard(second)) == "Two"


async def test_an_answer_that_is_begun_anew_is_heard_from_its_beginning():
    world = World()
    world.model.scripts = [["Half an ans", asyncio.Event()], ["A whole answer."]]
    writer = await ask(world, asking("Hi"), message_id="m1")
    reader = await world.replies.follow("", "c1", "m1", world.deadline)
    await asyncio.wait_for(reader.began(), 5)
    crash(writer)
    world.clock.advance(world.rules.lease_ms + 1)
    await until(lambda: bool(world.waker.pending))
    await world.work()
    pieces = await heard(reader)
    assert text_of(pieces) == "A whole answer."
    assert [piece.attempt for piece in pieces] == [1, 2]


async def test_nobody_is_asked_for_drafts_by_a_caller_that_waits_for_the_whole():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [["Once", gate]]
    first = await ask(world, asking("Hi"), message_id="m1")
    await first.began()
    waits = asyncio.create_task(world.replies.reply(asking("Hi"), "", "c1", world.clock.now, world.deadline, "m1"))
    await asyncio.sleep(0.05)
    state = await world.store.state("c1")
    gate.set()
    assert (await waits).text == "Once" and state.followed_until == 0


async def test_a_cancelled_turn_without_an_answer_is_told_as_such():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [[gate]]
    answering = await ask(world, asking("Hi"))
    await until(lambda: world.model.waiting == 1)
    await world.conversations.cancel("c1")
    with pytest.raises(TurnFailed, match="cancelled"):
        await answering.end()


async def test_following_what_was_never_asked_is_refused():
    with pytest.raises(NotFound):
        await World().replies.follow("", "c1", "m1", 0)


def crash(writer: Answering) -> None:
    writer._task.cancel()


# --- Who may listen, and how often -------------------------------------------------------------------------------


async def shared_world(**settings) -> tuple[World, Answering]:
    """An answer is being given in alice's conversation, which bob may read."""
    world = World(**settings)
    await world.conversations.share("alice/c", {"bob": "read"})
    world.model.scripts = [["First", asyncio.Event()]]
    writer = await world.replies.open(asking("Hi"), "alice", "alice/c", world.clock.now, world.deadline, "m1")
    await writer.began()
    return world, writer


async def follow(world: World, user: str) -> Answering:
    return await world.replies.follow(user, "alice/c", "m1", world.deadline)


async def test_a_member_hears_no_more_from_the_moment_on_that_it_is_removed():
    world, _ = await shared_world()
    reader = await follow(world, "bob")
    await asyncio.wait_for(reader.began(), 5)
    await world.conversations.share("alice/c", {})
    with pytest.raises(NotFound, match=r"^There is no such conversation\.$"):
        await asyncio.wait_for(reader.end(), 5)
    assert await world.usage.sockets_of_user("bob") == 0


async def test_a_removed_member_is_not_told_the_answer_of_a_turn_that_has_ended_since():
    world = World()
    await world.conversations.share("alice/c", {"bob": "read"})
    await (await world.replies.open(asking("Hi"), "alice", "alice/c", world.clock.now, world.deadline, "m1")).finished()
    await world.conversations.share("alice/c", {})
    reader = await follow(world, "bob")
    assert await heard(reader) == []
    with pytest.raises(NotFound):
        await reader.end()


async def test_a_removed_member_waits_in_vain_for_the_whole_answer():
    world = World()
    await world.conversations.share("alice/c", {"bob": "write"})
    taken = await world.replies.leave(asking("Hi"), "bob", "alice/c", world.clock.now, "m1")
    await world.conversations.share("alice/c", {})
    await world.work()
    with pytest.raises(NotFound):
        await world.replies.reply(asking("Hi"), "bob", "alice/c", world.clock.now, world.deadline, taken.message_id)


async def test_who_follows_counts_as_a_socket_for_as_long_as_it_listens():
    world, _ = await shared_world(max_sockets_per_user=2, max_sockets_per_conversation=1)
    readers = [await follow(world, "bob"), await follow(world, "bob")]
    with pytest.raises(LimitExceeded) as refused:
        await follow(world, "bob")
    assert (refused.value.code, refused.value.limit) == ("too_many_sockets", 2)
    await readers[0].close()
    await follow(world, "bob")
    assert await world.usage.sockets_of_conversation("alice/c") == 0


async def test_who_hears_an_answer_to_its_end_counts_no_more():
    world = World(max_sockets_per_user=1)
    await (await ask(world, asking("Hi"), message_id="m1")).finished()
    for _ in range(3):
        await (await world.replies.follow("", "c1", "m1", world.deadline)).end()


async def test_what_was_just_asked_counts_as_a_message_and_not_as_a_socket():
    world, _ = await shared_world(max_sockets_per_user=1)
    await follow(world, "alice")
    reader = await world.replies.follow("alice", "alice/c", "m1", world.deadline, just_asked=True)
    await reader.close()
    assert await world.usage.sockets_of_user("alice") == 1


# --- Tools -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conversation_id", ["", "c1"])
async def test_a_tool_call_is_heard_in_pieces_and_told_whole(conversation_id):
    world = World()
    world.model.scripts = [PIECES]
    answering = await ask(world, asking("How is the weather?", options='{"tools":[]}'), conversation_id)
    assert await heard(answering) == [
        CallWords(0, '{"city":', "call-1", "weather"),
        CallWords(0, '"Oslo"}'),
    ]
    reply = await answering.end()
    assert isinstance(reply, Reply) and (reply.tool_calls, reply.finish_reason) == ((CALL,), "tool_calls")
    assert world.model.requests[0].options == '{"tools":[]}'


async def test_the_log_keeps_a_tool_call_and_its_result_and_the_model_reads_them():
    world = World()
    world.model.scripts = [PIECES, ["It rains."]]
    await (await ask(world, asking("How is the weather?"))).finished()
    result = Question((PromptMessage("tool", "rain", tool_call_id="call-1"),))
    await (await ask(world, result)).finished()
    assert world.model.requests[1].messages == (
        PromptMessage("user", "How is the weather?"),
        PromptMessage("assistant", "", (CALL,)),
        PromptMessage("tool", "rain", tool_call_id="call-1"),
    )
    assert [role for role, _, _ in await world.log_of()] == ["user", "assistant", "tool", "assistant"]


async def test_a_call_that_was_never_answered_is_not_shown_to_the_model():
    world = World()
    world.model.scripts = [PIECES, ["Fine."]]
    await (await ask(world, asking("How is the weather?"))).finished()
    await (await ask(world, asking("Never mind."))).finished()
    assert world.model.requests[1].messages == (PromptMessage("user", "How is the weather?\n\nNever mind."),)


async def test_a_worker_that_takes_over_asks_with_the_same_tools():
    world = World()
    world.model.scripts = [["Half", asyncio.Event()], PIECES]
    writer = await ask(world, asking("Weather?", options='{"tools":[]}'))
    await writer.began()
    crash(writer)
    world.clock.advance(world.rules.lease_ms + 1)
    await world.conversations.page("c1", 1)
    await world.work()
    assert [request.options for request in world.model.requests] == ['{"tools":[]}'] * 2
    assert (await world.conversations.page("c1", 10)).messages[-1].tool_calls == (CALL,)


async def test_a_question_that_is_left_to_a_worker_is_answered_and_can_be_followed():
    world = World()
    taken = await world.replies.leave(asking("Hello"), "", "c1", world.clock.now)
    assert world.waker.pending == [("c1", taken.turn_id, "")]
    again = await world.replies.leave(asking("Hello"), "", "c1", world.clock.now, taken.message_id)
    assert (again.turn_id, again.repeated) == (taken.turn_id, True)
    await world.work()
    follower = await world.replies.follow("", "c1", taken.message_id, world.deadline)
    assert text_of(await heard(follower)) == "You said: Hello"


async def test_what_waits_in_the_queue_is_followed_under_its_turns_id():
    world = World()
    await world.replies.leave(asking("One"), "", "c1", world.clock.now)
    waiting = await world.replies.leave(asking("Two"), "", "c1", world.clock.now)
    follower = await world.replies.follow("", "c1", waiting.message_id, world.deadline)
    assert (follower.turn_id, waiting.position) == (waiting.turn_id, 1)
    await follower.close()


async def test_who_only_listens_stops_when_its_caller_goes():
    world = World()
    taken = await world.replies.leave(asking("Hello"), "", "c1", world.clock.now)
    follower = await world.replies.follow("", "c1", taken.message_id, world.deadline)
    assert follower.ends_with_caller
    await follower.close()
    writer = await ask(world, asking("Hello"), "c2")
    assert not writer.ends_with_caller
    await writer.close()
    assert (await writer.end()).text == "You said: Hello"


async def test_every_result_of_parallel_calls_is_kept_though_they_are_alike_or_empty():
    world = World()
    both = (ToolCallDelta(0, "{}", "b1", "turn"), ToolCallDelta(1, "{}", "b2", "turn"))
    world.model.scripts = [PIECES, ["Done."], both, ["Done again."]]
    await (await ask(world, asking("Turn"))).finished()
    await (await ask(world, Question((PromptMessage("tool", "ok", tool_call_id="call-1"),)))).finished()
    await (await ask(world, asking("Turn twice"))).finished()
    results = tuple(PromptMessage("tool", text, tool_call_id=call) for text, call in (("", "b1"), ("ok", "b2")))
    await (await ask(world, Question(results))).finished()
    assert world.model.requests[-1].messages[-2:] == results


async def test_what_is_all_new_is_stored_though_it_was_said_before():
    world = World()
    question = Question((PromptMessage("user", "Background"), PromptMessage("user", "Why?")), all_new=True)
    for _ in range(2):
        await (await ask(world, question)).finished()
    said = [content for role, content, _ in await world.log_of() if role == "user"]
    assert said == ["Background", "Why?"] * 2


async def test_history_of_any_length_is_all_new_once():
    world = World(max_messages_per_request=1000)
    many = tuple(PromptMessage("user", str(number)) for number in range(200))
    await (await ask(world, Question(many, all_new=True))).finished()
    assert [content for role, content, _ in await world.log_of() if role == "user"] == [m.content for m in many]


async def test_a_caller_hears_of_its_answer_though_no_worker_can_be_woken_for_the_next_one():
    world, gate = World(), asyncio.Event()
    world.model.scripts = [[gate, "One"]]
    first = await ask(world, asking("1"))
    await until(lambda: world.model.waiting == 1)
    second = asyncio.create_task(world.replies.reply(asking("2"), "", "c1", world.clock.now, world.deadline))
    await until(lambda: bool(world.waker.standing_by))
    world.waker.run_turn = out_of_reach
    gate.set()
    reply = await first.end()
    second.cancel()
    assert isinstance(reply, Reply) and reply.text == "One"


async def out_of_reach(*_: object) -> None:
    raise StoreUnavailable("The worker cannot be reached.", code="worker_unavailable")


async def test_a_follower_of_a_question_that_is_answered_once_more_hears_the_new_answer():
    world, gate = World(), asyncio.Event()
    await (await ask(world, asking("Hi"), message_id="m1")).finished()
    world.model.scripts = [[gate, "Again"]]
    again = await world.replies.regenerate("", "c1", world.deadline)
    await until(lambda: world.model.waiting == 1)
    reader = await world.replies.follow("", "c1", "m1", world.deadline)
    gate.set()
    await again.finished()
    assert text_of(await heard(reader)) == "Again"


# --- What is too much


CALLS = tuple(ToolCall(str(number), "f", "{}") for number in range(65))


@pytest.mark.parametrize(
    "calls", [CALLS, (CALL, CALL), (ToolCall("x" * 100_000, "f", ""),)], ids=["many", "one id twice", "a long id"]
)
async def test_calls_without_end_are_refused(calls):
    history = (PromptMessage("user", "Hi"), PromptMessage("assistant", "", calls))
    with pytest.raises(InvalidRequest):
        await ask(World(), Question((*history, PromptMessage("tool", "ok", tool_call_id="call-1"))), "")


async def test_an_answer_of_ours_may_be_brought_back_however_long_it_was():
    long = PromptMessage("assistant", "x" * 60_000)
    answering = await ask(World(), Question((PromptMessage("user", "Hi"), long, PromptMessage("user", "Go on"))), "")
    assert isinstance(await answering.end(), Reply)
