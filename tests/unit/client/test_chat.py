"""The Python client, against the fake backend. Its methods wait, so they are called in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.sync.server import ServerConnection

from copilotedge_client import Answer, Chat, CopilotEdgeError, connect
from copilotedge_client.line import backoff
from tests.page_backend import TOKEN, Frame, PageBackend, Turn

SOON = 0.01


@pytest.fixture
async def chat(backend: PageBackend) -> AsyncIterator[Chat]:
    async with connect(backend.socket_url, "c", backoff=lambda _: SOON) as chat:
        await chat.ready()
        yield chat


async def turn_of(backend: PageBackend) -> Turn:
    return await asyncio.to_thread(backend.wait_for_turn)


async def code_of(answer: object) -> str:
    with pytest.raises(CopilotEdgeError) as failure:
        await answer
    return failure.value.code


async def test_an_answer_comes_piece_by_piece_and_then_whole(backend: PageBackend, chat: Chat):
    answer = chat.send("Hi")
    await turn_of(backend)
    pieces = []
    backend.say("Guten ")
    async for delta in answer:
        pieces.append(delta)
        if delta == "Guten ":
            backend.answer("😀 Tag")
    assert "".join(pieces) == "Guten 😀 Tag" and pieces[0] == "Guten "
    assert (await answer.message()).content == "Guten 😀 Tag"
    assert answer.status == "complete"


async def test_a_message_whose_socket_died_is_sent_again_and_answered_once(backend: PageBackend, chat: Chat):
    backend.deaf = True
    answer = chat.send("Hi")
    await asyncio.sleep(0)
    backend.drop()
    backend.deaf = False
    await turn_of(backend)
    backend.answer("Hello.")
    assert (await answer).content == "Hello."
    assert len(backend.log) == 2


async def test_an_answer_that_ended_while_one_was_away_is_there(backend: PageBackend, chat: Chat):
    answer = chat.send("Hi")
    await turn_of(backend)
    backend.say("Once ")
    assert await anext(aiter(answer)) == "Once "
    backend.refusing = True
    backend.drop()
    backend.answer("upon a time")
    backend.refusing = False
    assert (await answer).content == "Once upon a time"


async def test_a_turn_that_failed_says_why(backend: PageBackend, chat: Chat):
    answer = chat.send("Hi")
    await turn_of(backend)
    backend.fail("The model is not available.")
    assert await code_of(answer) == "model_unavailable"


async def test_a_refused_message_says_what_would_help(backend: PageBackend, chat: Chat):
    backend.refuse_with = {"error": "Spent.", "code": "token_budget_spent", "retryAfter": 4000}
    with pytest.raises(CopilotEdgeError) as refusal:
        await chat.send("Hi")
    assert (refusal.value.code, refusal.value.retry_after) == ("token_budget_spent", 4000)


async def test_a_message_that_may_be_sent_again_soon_is(backend: PageBackend, chat: Chat):
    backend.refuse_with = {"error": "Wait.", "code": "rate_limited", "retryAfter": 0.05}
    backend.model_says = lambda _: ["Hello."]
    chat.on("error", lambda _: setattr(backend, "refuse_with", None))
    assert (await chat.send("Hi")).content == "Hello."
    assert len(backend.received_chats("Hi")) == 2


async def test_a_waiting_message_is_taken_back(backend: PageBackend, chat: Chat):
    chat.send("one")
    await turn_of(backend)
    second, third = chat.send("two"), chat.send("three")
    third.cancel()
    assert await code_of(third) == "message_withdrawn"
    await asyncio.to_thread(backend.wait_until, lambda: len(backend.queue) == 1)
    assert second.status in ("sending", "queued")


async def test_stop_keeps_what_was_said_and_regenerate_takes_its_place(backend: PageBackend, chat: Chat):
    answer = chat.send("Hi")
    await turn_of(backend)
    backend.say("Once")
    assert await anext(aiter(answer)) == "Once"
    chat.cancel()
    assert (await answer).status == "cancelled"
    again = chat.regenerate()
    await turn_of(backend)
    backend.answer("Twice")
    assert (await again).content == "Twice"
    assert [message.content for message in chat.messages] == ["Hi", "Twice"]


async def regenerate_in_vain(backend: PageBackend, chat: Chat) -> Answer:
    """There is a question and its answer, of which one more is asked for; the server has not heard of it."""
    backend.model_says = lambda _: ["Once"]
    await chat.send("Hi")
    backend.model_says = None
    backend.deaf = True
    again = chat.regenerate()
    await asyncio.sleep(SOON)
    backend.refusing = True
    backend.drop()
    backend.deaf = False
    return again


async def test_an_answer_to_somebody_else_is_not_taken_for_the_renewed_one(backend: PageBackend, chat: Chat):
    again = await regenerate_in_vain(backend, chat)
    backend.append("user", "And I?", turnId="else")
    backend.append("assistant", "You too", turnId="else")
    backend.refusing = False
    assert await code_of(asyncio.wait_for(again.message(), 10)) == "nothing_to_regenerate"
    assert backend.turn is None


async def test_a_renewed_answer_that_came_while_one_was_away_is_taken(backend: PageBackend, chat: Chat):
    again = await regenerate_in_vain(backend, chat)
    with backend._changed:
        backend._regenerate()
    backend.answer("Twice")
    backend.refusing = False
    assert (await asyncio.wait_for(again.message(), 10)).content == "Twice"
    assert backend.turn is None


@pytest.mark.parametrize("role", ["user", "tool"])
async def test_a_question_without_an_answer_is_answered_while_one_is_away(role: str, backend: PageBackend, chat: Chat):
    backend.append("assistant", "earlier", turnId="earlier")
    asked = backend.append(role, "Hi", turnId="failed")
    await chat.history()
    backend.deaf = True
    again = chat.regenerate()
    await asyncio.sleep(SOON)
    backend.refusing = True
    backend.drop()
    backend.deaf = False
    asked["turnId"] = "another"
    backend.append("assistant", "Hello", turnId="another")
    backend.refusing = False
    assert (await asyncio.wait_for(again.message(), 10)).content == "Hello"


async def test_a_repeated_wish_waits_for_the_turn_that_is_in_its_way(
    backend: PageBackend, chat: Chat, monkeypatch: pytest.MonkeyPatch
):
    take, refused = backend._take, []
    running = {"turnId": "unknown", "messageId": "of somebody", "attempt": 1}

    def refuse_or_take(socket: ServerConnection, frame: Frame) -> None:
        if frame["content"] == "regenerate" and not refused:
            refused.append(frame)
            about = {"messageId": frame["id"]}
            backend.broadcast({"type": "status", "status": "thinking", "metadata": running})
            backend.broadcast({"type": "error", "error": "Wait.", "code": "turn_running", "metadata": about})
            backend.broadcast({"type": "status", "status": "failed", "metadata": running})
        else:
            take(socket, frame)

    again = await regenerate_in_vain(backend, chat)
    monkeypatch.setattr(backend, "_take", refuse_or_take)
    backend.refusing = False
    await turn_of(backend)
    backend.answer("Twice")
    assert (await asyncio.wait_for(again.message(), 10)).content == "Twice"
    assert len(refused) == 1


async def test_a_clear_ends_what_was_asked_before(backend: PageBackend, chat: Chat):
    answer = chat.send("Hi")
    await turn_of(backend)
    await asyncio.wait_for(chat.clear(), 10)
    assert await code_of(answer) == "conversation_cleared"
    assert chat.messages == []


async def test_it_begins_with_the_newest_messages_and_reads_older_ones_on_demand(backend: PageBackend):
    for number in range(1, 8):
        backend.append("user", f"number {number}")
    async with connect(backend.socket_url, "c", history=3) as chat:
        await chat.ready()
        assert [message.seq for message in chat.messages] == [5, 6, 7]
        page = await chat.history(limit=2, before=5)
        assert page.has_more
        assert [message.seq for message in chat.messages] == [3, 4, 5, 6, 7]


async def test_everything_is_told_to_who_listens(backend: PageBackend, chat: Chat):
    heard: list[object] = []
    for event in ("status", "titled", "cleared"):
        chat.on(event, heard.append)
    stop = chat.on("message", lambda message: heard.append(message.content))
    backend.append("user", "one")
    backend.tell("titled", title="Gardening")
    await asyncio.wait_for(chat.clear(), 10)
    stop()
    assert heard == ["one", "Gardening", backend.epoch]


async def test_the_token_is_asked_for_before_each_connection(backend: PageBackend):
    backend.auth = "jwt"
    asked: list[int] = []

    async def token(vain: int) -> str:
        asked.append(vain)
        return TOKEN if len(asked) > 1 else "expired"

    async with connect(backend.socket_url, "c", token, backoff=lambda _: SOON) as chat:
        await chat.ready()
    assert asked == [0, 1]
    assert backend.credentials_of("live") == ["expired", TOKEN]


async def test_who_has_one_token_that_is_refused_is_told_at_once(backend: PageBackend):
    backend.auth = "jwt"
    async with connect(backend.socket_url, "c", "expired") as chat:
        assert await code_of(chat.ready()) == "token_invalid"
        assert await code_of(chat.send("Hi")) == "token_invalid"


async def test_a_token_that_expires_meanwhile_ends_it(backend: PageBackend):
    backend.auth = "jwt"
    async with connect(backend.socket_url, "c", TOKEN, backoff=lambda _: SOON) as chat:
        await chat.ready()
        answer = chat.send("Hi")
        await turn_of(backend)
        backend.expire()
        assert await code_of(answer) == "token_expired"


async def test_a_listener_that_fails_harms_nobody_else(backend: PageBackend, chat: Chat):
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    chat.on("message", lambda message: message.no_such_attribute)
    backend.model_says = lambda _: ["Hello."]
    assert (await chat.send("Hi")).content == "Hello."
    assert [type(fault) for fault in faults] == [AttributeError, AttributeError]


async def test_a_frame_that_makes_no_sense_leaves_nobody_waiting(backend: PageBackend, chat: Chat):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    answer = chat.send("Hi")
    await turn_of(backend)
    backend.broadcast({"type": "chat"})
    assert await code_of(answer) == "client_failed"


async def test_closing_ends_what_is_open(backend: PageBackend):
    async with connect(backend.socket_url, "c") as chat:
        answer = chat.send("Hi")
        await turn_of(backend)
    assert await code_of(answer) == "closed"
    assert chat.connection == "closed"
    assert await code_of(chat.send("Again")) == "closed"


async def test_a_message_that_is_too_large_is_refused_and_the_next_is_not(backend: PageBackend, chat: Chat):
    backend.model_says = lambda _: ["Hello."]
    assert await code_of(chat.send("x" * 128 * 1024)) == "frame_too_large"
    assert (await chat.send("Hi")).content == "Hello."
    assert chat.transcript.pending == []


async def test_a_message_that_the_gateway_does_not_take_is_not_sent_again(
    backend: PageBackend, chat: Chat, monkeypatch: pytest.MonkeyPatch
):
    take, refused = backend._take, []

    def refuse_or_take(socket: ServerConnection, frame: Frame) -> None:
        if frame["content"] == "Hi":
            refused.append(frame)
            socket.close(1009)
        else:
            take(socket, frame)

    monkeypatch.setattr(backend, "_take", refuse_or_take)
    assert await code_of(chat.send("Hi")) == "frame_too_large"
    backend.model_says = lambda _: ["Hello."]
    assert (await chat.send("Ho")).content == "Hello."
    assert len(refused) == 1


async def test_a_message_that_was_acknowledged_proves_the_socket(backend: PageBackend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("copilotedge_client.line.FORGIVING", 0)
    attempts: list[int] = []

    def wait(attempt: int) -> float:
        attempts.append(attempt)
        return SOON

    backend.model_says = lambda _: ["Hello."]
    connected = asyncio.Event()
    async with connect(backend.socket_url, "c", backoff=wait) as chat:
        await chat.ready()
        chat.on("connection", lambda state: connected.set() if state == "connected" else connected.clear())
        for ask in (False, False, True):
            await (chat.send("Hi") if ask else chat.history())
            backend.drop()
            connected.clear()
            await asyncio.wait_for(connected.wait(), 10)
    assert attempts == [0, 1, 0]


async def test_a_token_that_cannot_be_had_is_asked_for_again(backend: PageBackend):
    backend.auth = "jwt"
    asked: list[int] = []
    errors: list[CopilotEdgeError] = []

    def token(vain: int) -> str:
        asked.append(vain)
        if len(asked) < 3:
            raise KeyError("token")
        return TOKEN

    async with connect(backend.socket_url, "c", token, backoff=lambda _: SOON) as chat:
        chat.on("error", errors.append)
        await chat.ready()
    assert asked == [0, 1, 2]
    assert [error.code for error in errors] == ["not_connected", "not_connected"]


def test_tries_to_connect_become_rare_and_never_stop():
    assert all(0.25 <= backoff(0) <= 0.5 for _ in range(100))
    assert all(15 <= backoff(attempt) <= 30 for attempt in (6, 60, 6000))
