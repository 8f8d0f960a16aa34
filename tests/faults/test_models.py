"""Models that misbehave: what they say is kept, what they do not say is told, and the conversation goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.clients import kinds, new_conversation, text_of
from tests.faults.stories import STORY, TEXT
from tests.history import assemble, check
from tests.scripted_model import Reply
from tests.stack import DeployedStack


@pytest.fixture(scope="module")
def impatient(stack: DeployedStack) -> Iterator[DeployedStack]:
    """Workers that wait 2 s for a model's next word."""
    with stack.settings("turn-worker", MODEL_TIMEOUT_SECONDS="2"):
        yield stack


@pytest.fixture(scope="module")
def trying_once(impatient: DeployedStack) -> Iterator[DeployedStack]:
    """Workers that do not ask a second time either."""
    with impatient.settings("turn-worker", MODEL_MAX_TRIES="1"):
        yield impatient


@pytest.mark.parametrize(
    ("reply", "text", "status"),
    [
        (Reply(chunks=STORY, cut_after=5), "".join(STORY[:5]), "incomplete"),
        (Reply(chunks=STORY, stall_after=5), "".join(STORY[:5]), "incomplete"),
        (Reply(chunks=STORY, error_after=5, code=3040), "".join(STORY[:5]), "incomplete"),
        (Reply(chunks=STORY, bad_json=True), TEXT, "complete"),
        (Reply(chunks=STORY, done=False), TEXT, "complete"),
        (Reply(chunks=STORY, split_bytes=3), TEXT, "complete"),
        (Reply(chunks=["again "] * 30), "again " * 30, "complete"),
        (Reply(chunks=["🎉", "\u0000", "\u2028", "é"]), "🎉\u0000\u2028é", "complete"),
        (Reply(text=TEXT, plain=True), TEXT, "complete"),
        (Reply(usage=None), "", "complete"),
    ],
    ids=["cut", "stall", "error", "bad JSON", "no end", "tiny pieces", "repeats", "odd text", "not streamed", "empty"],
)
def test_whatever_a_model_says_is_kept_and_the_next_message_answered(impatient: DeployedStack, reply, text, status):
    impatient.model.when(lambda asked: reply if asked.last_user_message == "Tell me a story" else None)
    conversation = new_conversation("model")
    with impatient.socket(conversation) as socket, impatient.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        frames = socket.receive_turn(60)
        assert frames[-1]["status"] == "complete"
        assert text_of(frames) == text
        assert socket.ask("Are you well?", 60).endswith("Are you well?")
        observed = rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})
    assert check(observed) == []
    answer = observed.log[1]
    assert (answer["role"], answer["content"], answer["status"]) == ("assistant", text, status)
    assert assemble(frames).get(answer["turnId"], "") == text


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(chunks=STORY, stall_after=0), "model_timeout"),
        (Reply(gate=threading.Event()), "model_timeout"),
        (Reply(cut_after=-1), "model_unavailable"),
        (Reply(chunks=STORY, cut_after=0), "model_unavailable"),
        (Reply(raw=b"\x00\xff not JSON", content_type="application/json"), "model_unavailable"),
        (Reply(raw=b"<html>Bad gateway</html>", content_type="text/html"), "model_unavailable"),
        (Reply(status=429, code=3040), "model_out_of_capacity"),
        (Reply(status=429, code=4006), "model_quota_exhausted"),
        (Reply(status=400, code=5007), "unknown_model"),
    ],
    ids=["stalls", "hangs", "cut", "cut after headers", "garbage", "HTML", "busy", "quota", "unknown"],
)
def test_a_model_that_says_nothing_fails_the_turn_and_the_next_message_is_answered(trying_once, reply, code):
    trying_once.model.when_asked("Tell me", reply)
    conversation = new_conversation("model")
    with trying_once.socket(conversation) as socket, trying_once.rest() as rest:
        socket.say("Tell me a story", id="m-1")
        assert kinds(socket.receive_turn(60))[-2:] == [f"error:{code}", "status:failed"]
        assert socket.ask("Are you well?", 60).endswith("Are you well?")
        observed = rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})
    assert check(observed) == []
    assert [entry["status"] for entry in observed.log] == ["failed", "complete", "complete"]
