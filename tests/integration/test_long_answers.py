"""Answers that take longer than API Gateway waits. Most of the time nothing happens, so both doors share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from tests.clients import kinds, new_conversation, text_of
from tests.integration.test_websocket import TURN
from tests.scripted_model import Reply
from tests.stack import DeployedStack, wait_until

STORY = [f"word{n} " for n in range(64)]
TEXT = "".join(STORY)


def test_an_answer_of_more_than_thirty_seconds_arrives_whole_or_is_read_later(stack: DeployedStack):
    slow = Reply(chunks=STORY, delay_between=0.5)
    was_read = Event()
    stack.model.when_asked("Tell me a long story", slow, slow, Reply(chunks=STORY, gate=was_read))
    with ThreadPoolExecutor(2) as pool:
        doors = [pool.submit(over_websocket, stack), pool.submit(over_rest, stack, was_read)]
        assert [door.result() for door in doors] == [TEXT, TEXT]


def over_websocket(stack: DeployedStack) -> str:
    """The answer, which comes word by word."""
    with stack.socket(new_conversation()) as socket:
        socket.say("Tell me a long story")
        frames = socket.receive_turn()
    assert kinds(frames) == TURN
    assert text_of(frames) == frames[-2]["content"]
    return frames[-2]["content"]


def over_rest(stack: DeployedStack, was_read: Event) -> str:
    """The answer, which is in the log after the caller was told to look there: a worker asks the model anew.

    The model begins that answer when ``was_read`` says that the turn was seen running.
    """
    conversation = new_conversation()
    with stack.rest() as rest:
        pending = rest.chat("Tell me a long story", conversation)
        assert pending.status_code == 202
        where = pending.json()["messagesUrl"].lstrip("/")
        assert rest.client.get(where).json()["turn"]["turnId"] == pending.json()["turnId"]
        was_read.set()
        wait_until(lambda: len(rest.log(conversation)) == 2, "the answer", pause=0.5)
        return rest.log(conversation)[1][1]
