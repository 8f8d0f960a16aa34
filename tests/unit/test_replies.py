"""Chat for a caller that waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from copilotedge.answering import Pending, Reply
from copilotedge.errors import Conflict, ModelInterrupted, ModelTimeout, ModelUnavailable, TurnFailed
from copilotedge.models import PromptMessage, Usage
from copilotedge.openai.chat_requests import ChatMessage, ChatRequest
from tests.fakes import World, until


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilotedge.following.POLL_SECONDS", (0.001,))
    monkeypatch.setattr("copilotedge.watching.WATCH_SECONDS", 0.01)


def said(role: str, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=text)


def asking(*messages: ChatMessage | str, conversation: str | None = "c1", **more) -> ChatRequest:
    entries = [said("user", entry) if isinstance(entry, str) else entry for entry in messages]
    return ChatRequest.model_validate({"messages": entries, "conversationId": conversation} | more)


async def ask(world: World, request: ChatRequest, message_id: str = "", seconds: float = 5) -> Reply | Pending:
    deadline = world.clock.now + int(seconds * 1000)
    return await world.replies.reply(
        request.question, "", request.conversation_id or "", world.clock.now, deadline, message_id
    )


async def begin(world: World, request: ChatRequest, message_id: str = "") -> asyncio.Task[Reply | Pending]:
    """A caller whose answer is under way: the model has come to where its script holds it."""
    task = asyncio.create_task(ask(world, request, message_id))
    await until(lambda: world.model.waiting == 1)
    return task


async def queued(world: World, text: str) -> None:
    """Wait until a message waits in the queue of c1."""
    async with asyncio.timeout(5):
        while text not in [entry.content for entry in (await world.store.snapshot("c1", 0)).queue]:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def drop(*tasks: asyncio.Task) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- In a conversation -------------------------------------------------------------------------------------------


async def test_the_reply_is_the_answer_that_the_log_keeps():
    world = World()
    reply = await ask(world, asking("Hi"))
    assert (reply.text, reply.conversation_id, reply.finish_reason) == ("You said: Hi", "c1", "stop")
    assert reply.usage == Usage(10, 5)
    assert (await world.log_of())[-1] == ("assistant", "You said: Hi", "complete")


async def test_the_request_shapes_the_call():
    world = World()
    await ask(world, asking(said("system", "Be brief"), "Hi", model="m", temperature=0.5, max_tokens=7))
    (sent,) = world.model.requests
    assert (sent.model, sent.temperature, sent.max_tokens) == ("m", 0.5, 7)
    assert sent.messages == (PromptMessage("system", "Be brief"), PromptMessage("user", "Hi"))


async def test_system_and_developer_texts_are_instructions_and_no_history():
    world = World()
    messages = [said("system", "A"), "1", said("assistant", "2"), said("developer", "B"), "3"]
    await ask(world, asking(*messages))
    assert world.model.requests[0].messages[0] == PromptMessage("system", "A\n\nB")
    assert [content for _, content, _ in await world.log_of()] == ["1", "2", "3", "You said: 3"]


async def test_empty_messages_of_the_history_are_left_out():
    world = World()
    await ask(world, asking("1", said("assistant", ""), "2"))
    assert [content for _, content, _ in await world.log_of()] == ["1", "2", "You said: 1\n\n2"]


async def test_sockets_hear_what_a_caller_asks():
    world = World()
    await world.connect("a")
    await ask(world, asking("Hi"))
    assert world.gateway.text("a") == "You said: Hi"


async def test_an_answer_that_was_cut_ends_by_length():
    world = World()
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    reply = await ask(world, asking("Hi"))
    assert (reply.text, reply.finish_reason) == ("Once", "length")


async def test_a_model_that_fails_is_the_callers_error():
    world = World()
    world.model.scripts.append([ModelUnavailable("Down.")])
    with pytest.raises(ModelUnavailable):
        await ask(world, asking("Hi"))


async def test_a_caller_out_of_time_is_told_where_the_answer_will_be():
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    pending = await ask(world, asking("Hi"), "k1", seconds=0.2)
    assert isinstance(pending, Pending)
    assert (pending.conversation_id, pending.message_id) == ("c1", "k1")
    await world.work()
    assert (await world.log_of())[-1] == ("assistant", "You said: Hi", "complete")


async def test_an_answer_that_was_cancelled_before_its_first_word_is_an_error():
    world = World()
    world.model.scripts.append([asyncio.Event()])
    caller = await begin(world, asking("Hi"))
    await world.conversations.cancel("c1")
    with pytest.raises(TurnFailed) as caught:
        await caller
    assert caught.value.code == "turn_cancelled"


async def test_an_answer_that_was_cancelled_later_is_given_as_far_as_it_came():
    world = World()
    world.model.scripts.append(["Once", asyncio.Event()])
    caller = await begin(world, asking("Hi"))
    await world.conversations.cancel("c1")
    assert ((await caller).text, (await caller).finish_reason) == ("Once", "stop")


async def test_a_conversation_that_is_cleared_meanwhile_ends_the_call():
    world = World()
    world.model.scripts.append(["Once", asyncio.Event()])
    caller = await begin(world, asking("Hi"))
    await world.conversations.clear("c1")
    with pytest.raises(Conflict) as caught:
        await caller
    assert caught.value.code == "conversation_cleared"


# --- Waiting for another's turn ----------------------------------------------------------------------------------


async def test_a_queued_message_is_answered_by_who_is_at_work():
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["first", gate])
    first = await begin(world, asking("1"))
    second = asyncio.create_task(ask(world, asking("2")))
    await queued(world, "2")
    gate.set()
    assert (await first).text == "first"
    await until(lambda: bool(world.waker.pending))
    await world.work()
    reply = await second
    assert (reply.text, reply.usage, reply.finish_reason) == ("You said: 2", Usage(10, 5), "stop")


async def test_a_repeated_request_waits_for_the_turn_that_runs():
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["first", gate])
    first = await begin(world, asking("Hi"), "k1")
    again = asyncio.create_task(ask(world, asking("Hi"), "k1"))
    gate.set()
    assert (await first).turn_id == (await again).turn_id
    assert len(world.model.requests) == 1


async def test_a_repeated_request_gets_the_same_answer_without_another_call():
    world = World()
    first = await ask(world, asking("Hi"), "k1")
    assert replace(await ask(world, asking("Hi"), "k1"), quota=first.quota) == first
    assert len(world.model.requests) == 1


async def test_a_repeated_request_whose_answer_is_still_to_come_is_pending():
    world = World()
    world.model.scripts.append(["Once", asyncio.Event()])
    first = await begin(world, asking("Hi"), "k1")
    assert isinstance(await ask(world, asking("Hi"), "k1", seconds=0), Pending)
    await drop(first)


@pytest.mark.parametrize(("status", "code"), [("failed", "turn_failed"), ("cancelled", "turn_cancelled")])
async def test_a_repeated_request_that_was_not_answered_says_why(status, code):
    world = World()
    world.model.scripts.append([ModelUnavailable("Down.") if status == "failed" else asyncio.Event()])
    first = asyncio.create_task(ask(world, asking("Hi"), "k1"))
    await until(lambda: len(world.model.requests) == 1)
    await world.conversations.cancel("c1")
    await asyncio.gather(first, return_exceptions=True)
    with pytest.raises(TurnFailed) as caught:
        await ask(world, asking("Hi"), "k1")
    assert caught.value.code == code


async def test_a_repeated_request_finds_a_turn_that_no_one_looks_after_and_wakes_a_worker():
    world = World()
    submission = asking("Hi")
    world.model.scripts.append([asyncio.Event()])
    await drop(await begin(world, submission, "k1"))
    world.clock.advance(60_000)
    await ask(world, submission, "k1", seconds=0)
    assert world.waker.pending


@pytest.mark.parametrize("act", ["clear", "delete", "withdraw"])
async def test_a_waiting_message_that_is_gone_is_an_error_and_not_pending(act):
    world = World()
    world.model.scripts.append(["Once", asyncio.Event()])
    first = await begin(world, asking("1"))
    second = asyncio.create_task(ask(world, asking("2"), "k2"))
    await queued(world, "2")
    await world.conversations.cancel("c1", "k2") if act == "withdraw" else await getattr(world.conversations, act)("c1")
    done, _ = await asyncio.wait({second}, timeout=10)
    await drop(first, second)
    assert done


# --- Without a conversation --------------------------------------------------------------------------------------


async def test_a_stateless_chat_reads_and_writes_nothing():
    world = World()
    reply = await ask(world, asking("Hi", conversation=None))
    assert (reply.text, reply.conversation_id, reply.usage) == ("You said: Hi", "", Usage(10, 5))
    assert world.store.requests == 0


async def test_a_stateless_chat_sends_what_it_was_given():
    world = World(model="default")
    await ask(world, asking(said("system", "S"), "1", said("assistant", "2"), "3", conversation=None, max_tokens=7))
    (sent,) = world.model.requests
    assert [(m.role, m.content) for m in sent.messages] == [
        ("system", "S"),
        ("user", "1"),
        ("assistant", "2"),
        ("user", "3"),
    ]
    assert (sent.model, sent.max_tokens, sent.temperature) == ("default", 7, None)


async def test_a_stateless_chat_out_of_time_is_an_error_and_closes_the_call():
    world = World()
    world.model.scripts.append(["Once", asyncio.Event()])
    with pytest.raises(ModelTimeout):
        await ask(world, asking("Hi", conversation=None), seconds=0.2)
    assert world.model.closed == 1


async def test_a_stateless_chats_failure_is_the_callers_error():
    world = World()
    world.model.scripts.append(["Once", ModelInterrupted("Cut.")])
    with pytest.raises(ModelInterrupted):
        await ask(world, asking("Hi", conversation=None))
