"""Runs, replays and the list of threads, over the fakes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from copilotedge.copilotkit.agui_requests import RunInput, parse_run
from copilotedge.copilotkit.threads import Threads
from copilotedge.door import Door
from copilotedge.errors import (
    Conflict,
    ConversationsDisabled,
    InvalidRequest,
    ModelUnavailable,
    NotFound,
    RequestTooLarge,
)
from copilotedge.models import Marks, ToolCall, ToolCallDelta
from tests.fakes import World, until

KEY = "alice/t"
Event = dict[str, Any]


def threads_of(world: World) -> Threads:
    return Threads(Door(world.store), world.conversations, world.users, world.sockets, world.replies, world.settings)


def saying(content: str, message_id: str = "u-1", *before: dict[str, Any], **fields: Any) -> RunInput:
    message = {"id": message_id, "role": "user", "content": content}
    return parse_run({"threadId": "t", "runId": "r-1", "messages": [*before, message], **fields})


async def run(world: World, asked: RunInput, seconds: float = 600) -> list[Event]:
    threads = threads_of(world)
    key = await threads.enter(asked, "alice", "write")
    deadline = world.clock.now + int(seconds * 1000)
    answering = await threads.ask(asked, "alice", key, world.clock.now, deadline)
    return [event async for event in threads.run(asked, answering, "alice")]


async def connect(world: World, seconds: float = 600) -> list[Event]:
    events = threads_of(world).connect(saying(""), "alice", KEY, world.clock.now + int(seconds * 1000))
    return [event async for event in events]


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.get("delta", "") for event in events)


def shown(events: list[Event]) -> list[tuple[str, str]]:
    """Role and text of the last snapshot's messages."""
    snapshot = [event for event in events if event["type"] == "MESSAGES_SNAPSHOT"][-1]
    return [(message["role"], message.get("content", "")) for message in snapshot["messages"]]


async def test_a_run_begins_and_ends_under_its_own_id():
    events = await run(World(), saying("Hello"))
    assert kinds(events)[0] == "RUN_STARTED" and kinds(events)[-1] == "RUN_FINISHED"
    assert {(event["threadId"], event["runId"]) for event in (events[0], events[-1])} == {("t", "r-1")}
    assert text_of(events) == "You said: Hello"


async def test_streamed_messages_have_the_ids_of_the_snapshot():
    world = World()
    streamed = await run(world, saying("Hello"))
    replayed = await connect(world)
    ids = [message["id"] for message in replayed[1]["messages"]]
    assert ids == ["u-1", streamed[1]["messageId"]]
    assert kinds(replayed) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


async def test_a_run_that_is_sent_again_gives_the_same_answer_without_another_call():
    world = World()
    first, second = await run(world, saying("Hello")), await run(world, saying("Hello"))
    assert text_of(first) == text_of(second) == "You said: Hello"
    assert first[1] == second[1]
    assert len(world.model.requests) == 1


async def test_a_run_that_is_sent_again_while_it_answers_hears_it_from_its_first_word():
    world, goes_on = World(), asyncio.Event()
    world.model.scripts = [["Once ", goes_on, "upon"]]
    first = asyncio.create_task(run(world, saying("Hello")))
    await until(lambda: world.model.waiting == 1)
    second = asyncio.create_task(run(world, saying("Hello")))
    goes_on.set()
    assert [text_of(await task) for task in (first, second)] == ["Once upon", "Once upon"]
    assert len(world.model.requests) == 1


async def test_a_run_that_is_sent_again_gives_the_answer_that_took_the_place_of_the_first():
    world = World()
    await run(world, saying("Hello"))
    world.model.scripts = [["Better."]]
    regenerated = await world.replies.regenerate("alice", KEY, world.deadline)
    await regenerated.finished()
    repeated = await run(world, saying("Hello"))
    assert text_of(repeated) == "Better."
    assert repeated[1]["messageId"] == (await connect(world))[1]["messages"][-1]["id"]


async def test_who_connects_while_a_question_is_answered_once_more_sees_the_first_answer():
    world = World()
    await run(world, saying("Hello"))
    await world.conversations.regenerate(KEY, "alice")
    events = await connect(world)
    assert kinds(events) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert shown(events)[-1] == ("assistant", "You said: Hello")


async def test_a_tool_is_called_and_its_result_answered():
    world = World()
    world.model.scripts = [[ToolCallDelta(0, "", "c-1", "f"), ToolCallDelta(0, "{}")]]
    called = await run(world, saying("Go", tools=[{"name": "f"}]))
    assert kinds(called)[1:4] == ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"]
    answer = {"id": called[1]["parentMessageId"], "role": "assistant", "toolCalls": []}
    result = {"id": "t-1", "role": "tool", "toolCallId": "c-1", "content": "done"}
    await run(world, parse_run({"threadId": "t", "runId": "r-2", "messages": [answer, result]}))
    asked = world.model.requests[-1].messages
    assert [message.role for message in asked] == ["user", "assistant", "tool"]
    assert asked[1].tool_calls == (ToolCall("c-1", "f", "{}"),)
    assert shown(await connect(world))[2:] == [("tool", "done"), ("assistant", "You said: done")]


async def test_a_partial_answer_that_a_client_sends_back_is_not_stored_beside_the_whole_one():
    world = World()
    streamed = await run(world, saying("Hello"))
    partial = {"id": streamed[1]["messageId"], "role": "assistant", "content": "You sa"}
    await run(world, saying("More", "u-2", {"id": "u-1", "role": "user", "content": "Hello"}, partial))
    log = [(role, content) for role, content, _ in await world.log_of(KEY)]
    assert log == [
        ("user", "Hello"),
        ("assistant", "You said: Hello"),
        ("user", "More"),
        ("assistant", "You said: More"),
    ]


async def test_what_was_cleared_does_not_come_back_with_a_clients_history():
    world = World()
    streamed = await run(world, saying("Hello"))
    await world.conversations.clear(KEY)
    answer = {"id": streamed[1]["messageId"], "role": "assistant", "content": "You said: Hello"}
    await run(world, saying("New", "u-2", {"id": "u-1", "role": "user", "content": "Hello"}, answer))
    assert [content for _, content, _ in await world.log_of(KEY)] == ["New", "You said: New"]


async def test_a_model_that_fails_ends_the_run_with_its_error():
    world = World()
    world.model.scripts = [[ModelUnavailable("No model.")]]
    events = await run(world, saying("Hello"))
    assert events[1:] == [{"type": "RUN_ERROR", "message": "No model.", "code": "model_unavailable"}]


async def test_a_stopped_run_finishes_with_what_was_said():
    world, never = World(), asyncio.Event()
    world.model.scripts = [["Once ", never]]
    task = asyncio.create_task(run(world, saying("Hello")))
    await until(lambda: world.model.waiting == 1)
    assert (await threads_of(world).stop("alice", "t"))["stopped"]
    events = await task
    assert kinds(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert (await world.log_of(KEY))[-1] == ("assistant", "Once ", "cancelled")


async def test_a_run_that_is_stopped_before_its_first_word_finishes_too():
    world, never = World(), asyncio.Event()
    world.model.scripts = [[never]]
    task = asyncio.create_task(run(world, saying("Hello")))
    await until(lambda: world.model.waiting == 1)
    await threads_of(world).stop("alice", "t")
    assert kinds(await task) == ["RUN_STARTED", "RUN_FINISHED"]


async def test_calls_that_a_stop_cut_short_are_taken_back():
    world, never = World(), asyncio.Event()
    world.model.scripts = [[ToolCallDelta(0, '{"a', "c-1", "f"), never]]
    task = asyncio.create_task(run(world, saying("Go")))
    await until(lambda: world.model.waiting == 1)
    await threads_of(world).stop("alice", "t")
    events = await task
    assert kinds(events)[-3:] == ["TOOL_CALL_END", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert shown(events) == [("user", "Go")]


async def test_there_is_nothing_to_stop_where_nothing_runs():
    assert await threads_of(World()).stop("alice", "t") == {"stopped": False, "message": "No run is active."}


async def test_a_run_out_of_time_says_so_and_the_answer_is_in_the_log_later():
    world, goes_on = World(), asyncio.Event()
    world.model.scripts = [["Once ", goes_on], ["Once upon"]]
    events = await run(world, saying("Hello"), seconds=0.05)
    assert kinds(events)[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["code"] == "answer_pending"
    await world.work()
    assert shown(await connect(world)) == [("user", "Hello"), ("assistant", "Once upon")]


async def test_who_connects_hears_the_running_answer_and_those_that_wait_behind_it():
    world, goes_on = World(), asyncio.Event()
    world.model.scripts = [["One, ", goes_on, "two"], ["Three"]]
    first = asyncio.create_task(run(world, saying("Count")))
    await until(lambda: world.model.waiting == 1)
    second = asyncio.create_task(run(world, saying("On", "u-2")))
    tail = threads_of(world).connect(saying(""), "alice", KEY, world.clock.now + 600_000)
    events = [await anext(tail), await anext(tail)]
    assert shown(events) == [("user", "Count")]
    goes_on.set()
    await first
    await world.work()
    events += [event async for event in tail]
    assert text_of(events).startswith("One, two") and kinds(events)[-1] == "RUN_FINISHED"
    assert text_of(await second) == "Three"


async def test_a_member_that_is_removed_is_told_nothing_more_of_the_thread():
    world = World()
    await world.conversations.share(KEY, {"bob": "read"})
    world.model.scripts = [["One, ", asyncio.Event()]]
    task = asyncio.create_task(run(world, saying("Count")))
    await until(lambda: world.model.waiting == 1)
    tail = threads_of(world).connect(saying(""), "bob", KEY, world.clock.now + 600_000)
    events = [await anext(tail) for _ in range(4)]
    assert text_of(events) == "One, "
    await world.conversations.share(KEY, {})
    rest = [event async for event in tail]
    assert kinds(rest) == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert rest[-1]["message"] == "There is no such conversation."
    task.cancel()


async def test_a_member_that_was_removed_between_two_pages_gets_no_second_one():
    world = World()
    await world.conversations.share(KEY, {"bob": "read"})
    tail = threads_of(world).connect(saying(""), "bob", KEY, world.clock.now + 600_000)
    await anext(tail)
    await world.conversations.share(KEY, {})
    assert kinds([event async for event in tail]) == ["RUN_ERROR"]


async def test_who_listens_too_often_already_is_told_so():
    world = World(max_sockets_per_user=1)
    world.model.scripts = [["One, ", asyncio.Event()]]
    task = asyncio.create_task(run(world, saying("Count")))
    await until(lambda: world.model.waiting == 1)
    tail = threads_of(world).connect(saying(""), "alice", KEY, world.clock.now + 600_000)
    events = [await anext(tail) for _ in range(3)]
    assert events[-1]["type"] == "TEXT_MESSAGE_START"
    assert (await connect(world))[-1]["code"] == "too_many_sockets"
    await tail.aclose()
    assert await world.usage.sockets_of_user("alice") == 0
    task.cancel()


async def test_a_thread_that_does_not_exist_is_empty():
    assert shown(await connect(World())) == []


async def test_the_state_of_the_agent_is_kept_and_shown():
    world = World()
    await run(world, saying("Hello", state={"step": 1}))
    await run(world, saying("Again", "u-2", state={}))
    assert (await connect(world))[1] == {"type": "STATE_SNAPSHOT", "snapshot": {"step": 1}}
    assert await threads_of(world).state("alice", "t") == {"step": 1}


async def test_a_state_that_is_too_large_is_refused_before_anything_is_asked():
    world = World()
    with pytest.raises(RequestTooLarge):
        await run(world, saying("Hello", state={"big": "x" * 100_001}))
    assert world.model.requests == [] and await world.log_of(KEY) == []


async def test_a_state_that_does_not_fit_beside_what_is_stored_is_refused_before_anything_is_asked():
    world = World()
    await world.conversations.store_settings(KEY, lambda stored: replace(stored, context={"notes": "x" * 60_000}))
    with pytest.raises(RequestTooLarge):
        await run(world, saying("Hello", state={"big": "x" * 60_000}))
    assert (await world.log_of(KEY), world.model.requests) == ([], [])


async def test_suggestions_leave_no_trace():
    world = World()
    choice = {"type": "function", "function": {"name": "copilotkitSuggest"}}
    events = await run(world, saying("Suggest", tools=[{"name": "f"}], forwardedProps={"toolChoice": choice}))
    assert kinds(events)[-1] == "RUN_FINISHED"
    assert (await threads_of(world).listed("alice", 10, "", archived=True))["threads"] == []


async def test_without_conversations_a_run_is_answered_and_nothing_else():
    world = World(enable_conversations=False)
    assert kinds(await run(world, saying("Hello")))[-1] == "RUN_FINISHED"
    assert kinds([event async for event in threads_of(world).connect(saying(""), "alice", "", 0)]) == [
        "RUN_STARTED",
        "RUN_FINISHED",
    ]
    with pytest.raises(ConversationsDisabled):
        await threads_of(world).messages("alice", "t")


async def test_a_refusal_is_told_in_the_stream():
    refusal = threads_of(World()).refuse(saying(""), Conflict("Not now.", code="turn_running"))
    assert [event async for event in refusal][1] == {"type": "RUN_ERROR", "message": "Not now.", "code": "turn_running"}


async def test_strangers_are_told_that_there_is_no_such_thread():
    world = World()
    await run(world, saying("Hello"))
    threads = threads_of(world)
    with pytest.raises(NotFound):
        await threads.messages("bob", "alice~t")
    with pytest.raises(NotFound):
        await threads.enter(saying("Hello").model_copy(update={"thread_id": "alice~t"}), "bob", "write")


async def test_a_thread_id_that_is_none_of_ours_is_refused():
    with pytest.raises(InvalidRequest):
        await threads_of(World()).enter(saying("Hello").model_copy(update={"thread_id": "a b"}), "alice", "write")


async def test_threads_are_listed_renamed_archived_and_deleted():
    world = World()
    threads = threads_of(world)
    await run(world, saying("Hello"))
    assert (await threads.change("alice", "t", Marks(title="A trip")))["name"] == "A trip"
    await threads.change("alice", "t", Marks(archived=True))
    assert (await threads.listed("alice", 10, "", archived=False))["threads"] == []
    (thread,) = (await threads.listed("alice", 10, "", archived=True))["threads"]
    assert (thread["id"], thread["name"], thread["archived"]) == ("t", "A trip", True)
    assert await threads.delete("alice", "t") == {"threadId": "t", "deleted": True}
    assert await threads.messages("alice", "t") == []


async def test_archived_threads_come_behind_the_others_page_by_page():
    world = World()
    for number in range(5):
        await world.append(f"alice/{number}", "user", "Hello", 0)
        world.clock.advance(1000)
    threads = threads_of(world)
    for number in (4, 2, 1):
        await threads.change("alice", str(number), Marks(archived=True))
    pages, cursor = [], ""
    while cursor is not None:
        page = await threads.listed("alice", 2, cursor, archived=True)
        pages.append([thread["id"] for thread in page["threads"]])
        cursor = page["nextCursor"]
    assert [name for page in pages for name in page] == ["3", "0", "4", "2", "1"]
