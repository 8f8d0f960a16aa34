"""The Python client on the deployed stack."""

import random
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from copilotedge_client import Chat, CopilotEdgeError, connect
from tests.clients import new_conversation
from tests.scripted_model import Reply
from tests.severing_proxy import SeveringProxy
from tests.stack import DeployedStack

CUTS = 30
STORY = [f"wörd {n} 🎉👩‍👩‍👧 e\u0301 " for n in range(600)]

Connect = Callable[..., Chat]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def chat_of(stack: DeployedStack) -> Connect:
    """Makes a chat with the stack."""
    return lambda url="", conversation="": connect(
        url or stack.websocket_url, conversation or new_conversation("py"), stack.token()
    )


async def test_thirty_disconnects_while_an_answer_streams_cost_no_character(stack: DeployedStack, chat_of: Connect):
    host, port = urlsplit(stack.websocket_url).hostname or "", urlsplit(stack.websocket_url).port or 0
    messages, states, deltas = [], [], []
    with SeveringProxy(host, port, CUTS, random.Random(6)) as proxy:
        stack.model.script(Reply(chunks=STORY, delay_between=0.04, gate=proxy.spent, gate_after=len(STORY) - 20))
        async with chat_of(proxy.in_front_of(stack.websocket_url)) as chat:
            chat.on("message", lambda message: messages.append(message.seq))
            chat.on("connection", states.append)
            chat.on("delta", deltas.append)
            answer = chat.send("Tell me a story")
            iterated = "".join([delta async for delta in answer])
            message = await answer
            log = [message.seq for message in chat.messages]
        assert proxy.cuts == CUTS
    assert (message.content, message.status, answer.attempt) == ("".join(STORY), "complete", 1)
    assert answer.text == iterated == "".join(deltas) == "".join(STORY)
    assert log == [1, 2] and messages in ([1, 2], [2])  # the question may be found in the first page of the log
    assert states.count("connected") > CUTS / 2  # some are cut before they are open
    assert len(stack.model.requests) == 1


async def test_an_answer_is_stopped_and_asked_for_again(stack: DeployedStack, chat_of: Connect):
    stack.model.script(Reply(chunks=["Once "] + ["upon "] * 500, delay_between=0.05), Reply("Twice."))
    async with chat_of() as chat:
        answer = chat.send("Tell me")
        async for _ in answer:
            answer.cancel()
        assert (await answer).status == "cancelled"
        assert (await chat.regenerate()).content == "Twice."
        page = await chat.history()
    assert [message.content for message in page.messages] == ["Tell me", "Twice."]


async def test_two_clients_see_one_conversation(stack: DeployedStack, chat_of: Connect):
    conversation = new_conversation("py")
    async with chat_of(conversation=conversation) as one, chat_of(conversation=conversation) as other:
        await one.ready()
        await other.ready()
        await one.send("Hello")
        await other.send("And hello again")
        await one.send("Bye")
        await other.send("Bye bye")
        assert (await one.history()).messages == tuple(other.messages)
        await one.clear()
        await other.send("Anybody?")
        assert [message.content for message in other.messages] == ["Anybody?", "You said: Anybody?"]


async def test_a_command_that_is_refused_learns_why(chat_of: Connect):
    async with chat_of() as chat:
        with pytest.raises(CopilotEdgeError) as refusal:
            await chat.regenerate()
    assert refusal.value.code == "nothing_to_regenerate"


async def test_who_is_refused_learns_why(stack: DeployedStack):
    async with connect(stack.websocket_url, "any", "no token") as chat:
        with pytest.raises(CopilotEdgeError) as refusal:
            await chat.send("Hello")
    assert refusal.value.code == "token_invalid"
