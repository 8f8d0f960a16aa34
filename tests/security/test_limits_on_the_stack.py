"""What one user may ask for, when it is asked for all at once, over REST and over WebSocket."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.clients import Frame, Rest, Socket, is_status, is_system, new_conversation
from tests.scripted_model import Reply
from tests.stack import DeployedStack, key_of, rows_of, wait_until

LIMIT, BURST = 60, 100
AT_ONCE = 16
"""Requests under way at the same time, each in a process of its own: what two cores can carry."""
SOCKETS = 10
BUSY = ("http-api", "websocket-api")

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def limited(stack: DeployedStack) -> Iterator[DeployedStack]:
    """The stack with the limits of a new deployment."""
    with stack.settings(*BUSY, RATE_LIMIT_PER_MINUTE=str(LIMIT), MAX_QUEUED_MESSAGES="200"):
        yield stack


def somebody(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def send(rest: Rest, number: int) -> httpx.Response:
    """A message, over one of the two routes that take them."""
    if number % 2:
        return rest.chat(f"Message {number} of a burst", new_conversation("burst"))
    body = {"role": "user", "content": f"Message {number} of a burst"}
    return rest.client.post(f"conversation/{new_conversation('burst')}/messages", json=body)


def test_of_a_hundred_messages_at_once_sixty_are_taken_and_forty_are_told_when_to_come_back(limited: DeployedStack):
    with (
        limited.rest(somebody("alice")) as alice,
        limited.rest(somebody("bob")) as bob,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        warm_up(limited, pool)
        started = time.monotonic()
        burst = [pool.submit(send, alice, number) for number in range(BURST)]
        others = [pool.submit(send, bob, number) for number in range(5)]
        answers = [answer.result() for answer in burst]
        assert time.monotonic() - started < 30, "this was no burst"
        assert {answer.result().status_code for answer in others} == {200}
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: BURST - LIMIT}
    for answer in answers:
        check_headers(answer)


def warm_up(stack: DeployedStack, pool: ThreadPoolExecutor) -> None:
    """Let there be a process for each request. Were they all to begin at once, the table would be waited for so long
    that messages are counted again, and fewer get in."""
    for _ in range(2):
        with stack.rest(somebody("warm")) as rest:
            assert {answer.status_code for answer in pool.map(lambda n: send(rest, n), range(AT_ONCE))} == {200}


def check_headers(answer: httpx.Response) -> None:
    if answer.status_code == 429:
        assert answer.json()["error"]["code"] == "rate_limited"
        assert 0 < int(answer.headers["retry-after"]) <= 65
        assert answer.headers["x-ratelimit-remaining"] == "0"
    if answer.status_code == 429 or "choices" in answer.json():
        assert answer.headers["x-ratelimit-limit"] == str(LIMIT)
        assert 0 <= int(answer.headers["x-ratelimit-remaining"]) < LIMIT
        assert 0 < int(answer.headers["x-ratelimit-reset"]) <= 65


def test_a_hundred_messages_over_websocket_find_the_same_limit(limited: DeployedStack):
    gate = threading.Event()
    limited.model.script(Reply("At last.", gate=gate))
    alice, conversation = somebody("alice"), new_conversation("burst")
    with ExitStack() as open_sockets, ThreadPoolExecutor(SOCKETS) as pool, limited.rest(alice) as rest:
        sockets = [open_sockets.enter_context(limited.socket(conversation, alice)) for _ in range(SOCKETS)]
        refused = [frame for frames in pool.map(say_ten, sockets, range(SOCKETS)) for frame in frames]
        waiting = [row for row in rows_of(limited, key_of(conversation, alice)) if row.startswith("QUEUE#")]
        assert (len(refused), len(waiting)) == (BURST - LIMIT, LIMIT - 1)
        assert not any(row.endswith(frame["metadata"]["messageId"]) for row in waiting for frame in refused)
        assert {0 < frame["retryAfter"] <= 65 for frame in refused} == {True}
        assert rest.chat("One more", conversation).status_code == 429
        with limited.socket(conversation, somebody("bob")) as other:
            assert other.ask("I am not affected") == "You said: I am not affected"
        sockets[0].command("clear_history")
        sockets[0].receive_until(is_system("history_cleared"))
        gate.set()


def say_ten(socket: Socket, number: int) -> list[Frame]:
    """The refusals, once each message has been taken or refused."""
    ids = {f"burst-{number}-{n}" for n in range(BURST // SOCKETS)}
    for message_id in sorted(ids):
        socket.say(f"{message_id} over a socket", id=message_id)
    socket.drain()
    return [frame for frame in socket.frames if frame["type"] == "error" and frame["code"] == "rate_limited"]


def test_messages_over_both_doors_are_counted_together(stack: DeployedStack):
    alice, conversation = somebody("alice"), new_conversation("both")
    with (
        stack.settings(*BUSY, RATE_LIMIT_PER_MINUTE="4"),
        stack.rest(alice) as rest,
        stack.socket(conversation, alice) as socket,
    ):
        assert [send(rest, number).status_code for number in range(3)] == [200] * 3
        socket.ask("The fourth")
        socket.command("regenerate")
        assert socket.receive()["code"] == "rate_limited"
        assert [send(rest, number).status_code for number in range(2)] == [429] * 2


def test_a_message_that_is_sent_again_after_a_refusal_is_taken_when_there_is_room(stack: DeployedStack):
    alice = somebody("alice")
    with stack.settings("http-api", RATE_LIMIT_PER_MINUTE="1"), stack.rest(alice) as rest:
        conversation = new_conversation("again")
        assert rest.chat("First", conversation).status_code == 200
        assert rest.chat("Second", conversation, key="k-2").status_code == 429
        assert rest.log(conversation) == [("user", "First"), ("assistant", "You said: First")]
    with stack.rest(alice) as rest:  # with the session's limit
        assert rest.chat("Second", conversation, key="k-2").status_code == 200
        assert len(rest.log(conversation)) == 4


def test_tokens_of_a_day_are_spent_once(stack: DeployedStack):
    """An answer of the scripted model takes 15 tokens."""
    alice = somebody("alice")
    with stack.settings(*BUSY, "turn-worker", TOKENS_PER_DAY="30"), stack.rest(alice) as rest:
        conversation = new_conversation("tokens")
        assert rest.chat("Fifteen", conversation).status_code == 200
        with stack.socket(conversation, alice) as socket:
            socket.ask("Thirty")
            socket.say("Too many")
            refusal = socket.receive_until(lambda frame: frame["type"] == "error")[-1]
            assert refusal["code"] == "token_budget_spent"
            assert refusal["retryAfter"] > 0
        refused = rest.chat("Too many", conversation)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "token_budget_spent")
        assert int(refused.headers["retry-after"]) > 0
        with stack.rest(somebody("bob")) as bob:
            assert bob.chat("Mine are still there").status_code == 200


def test_a_user_has_so_many_sockets_and_a_closed_one_makes_room(stack: DeployedStack):
    alice = somebody("alice")
    with stack.settings("websocket-api", MAX_SOCKETS_PER_USER="3"), ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(stack.socket(new_conversation("many"), alice)) for _ in range(3)]
        assert handshake(stack, alice, new_conversation("many")) == 429
        assert handshake(stack, somebody("bob"), new_conversation("many")) == 101
        assert sockets[0].ask("Are you well?") == "You said: Are you well?"
        sockets[0].close()
        wait_until(lambda: handshake(stack, alice, new_conversation("many")) == 101, "room for another", pause=0.2)


def test_a_conversation_has_so_many_sockets(stack: DeployedStack):
    alice, conversation = somebody("alice"), new_conversation("many")
    with stack.settings("websocket-api", MAX_SOCKETS_PER_CONVERSATION="2"), ExitStack() as open_sockets:
        for _ in range(2):
            open_sockets.enter_context(stack.socket(conversation, alice))
        assert handshake(stack, alice, conversation) == 429
        assert handshake(stack, alice, new_conversation("many")) == 101


def handshake(stack: DeployedStack, user: str, conversation: str) -> int:
    try:
        with stack.socket(conversation, user):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_so_many_messages_may_wait_and_the_next_is_told_the_number(stack: DeployedStack):
    gate = threading.Event()
    stack.model.script(Reply("At last.", gate=gate))
    alice, conversation = somebody("alice"), new_conversation("wait")
    with (
        stack.settings(*BUSY, MAX_QUEUED_MESSAGES="1"),
        stack.rest(alice) as rest,
        stack.socket(conversation, alice) as socket,
    ):
        socket.submit("Runs", "m-1")
        socket.submit("Waits", "m-2")
        refused = rest.chat("Is refused", conversation)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["x-ratelimit-limit"] == "1"
        gate.set()
        for _ in range(2):
            socket.receive_until(is_status("complete"))
    assert [request.last_user_message for request in stack.model.requests] == ["Runs", "Waits"]
