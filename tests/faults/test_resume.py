"""Clients that lose their connection and come back: nothing is missing, nothing is there twice."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.clients import Frame, Socket, is_delta, is_end, is_system, new_conversation
from tests.history import check
from tests.scripted_model import Reply
from tests.stack import DeployedStack

CONVERSATIONS, CUTS = 10, 5
STORY = [f"wörd {n} 🎉👩‍👩‍👧 " for n in range(80)]


@dataclass
class Reader:
    """A client that wants it exact: knows what it has, and asks for what it misses.

    A delta that lies ahead of what it has is dropped, for the answer to ``resume`` will bring what is between.
    """

    epoch: str = ""
    seq: int = 0
    turn_id: str = ""
    attempt: int = 0
    text: str = ""
    repeats: int = 0
    ahead: bool = False
    answers: dict[str, str] = field(default_factory=dict)

    def take(self, frame: Frame) -> None:
        metadata = frame.get("metadata", {})
        if frame["type"] == "chat":
            self.epoch, self.seq = metadata["epoch"], max(self.seq, metadata["seq"])
            if frame["role"] == "assistant":
                self.answers[metadata["turnId"]] = frame["content"]
        elif frame["type"] == "delta":
            self._join(frame["content"], metadata)

    def _join(self, text: str, metadata: dict) -> None:
        if (metadata["turnId"], metadata["attempt"]) != (self.turn_id, self.attempt):
            self.turn_id, self.attempt, self.text = metadata["turnId"], metadata["attempt"], ""
        missing = metadata["offset"] - len(self.text)
        self.ahead = missing > 0
        if not self.ahead:
            self.repeats += min(-missing, len(text))
            self.text += text[-missing:]

    def resume(self, socket: Socket) -> None:
        turn = {"turnId": self.turn_id, "attempt": self.attempt} if self.turn_id else {}
        socket.command("resume", afterSeq=self.seq, epoch=self.epoch, offset=len(self.text), **turn)


@dataclass
class Session:
    """What one client went through: its sockets' frames, how often it was cut off while an answer was written."""

    conversation: str
    chance: random.Random
    reader: Reader = field(default_factory=Reader)
    sockets: list[list[Frame]] = field(default_factory=list)
    cuts: int = 0
    asked: int = 0


@pytest.mark.alone
@pytest.mark.parametrize("seed", [1])
def test_fifty_random_cuts_leave_the_text_as_the_log_has_it(stack: DeployedStack, seed: int):
    stack.model.default = lambda _: Reply(chunks=STORY, delay_between=0.04)
    sessions = [Session(new_conversation("cut"), random.Random(f"{seed} {n}")) for n in range(CONVERSATIONS)]
    with ThreadPoolExecutor(CONVERSATIONS) as pool:
        list(pool.map(lambda session: be_cut_off_again_and_again(stack, session), sessions))
    assert sum(session.cuts for session in sessions) == CONVERSATIONS * CUTS
    with stack.rest() as rest:
        for session in sessions:
            frames = {f"socket {n}": frames for n, frames in enumerate(session.sockets)}
            sent = {"client": [f"m-{n}" for n in range(1, session.asked + 1)]}
            observed = rest.observed(session.conversation, frames, sent)
            assert check(observed) == []
            log = {entry["turnId"]: entry["content"] for entry in observed.log if entry["role"] == "assistant"}
            assert session.reader.answers == log == dict.fromkeys(log, "".join(STORY))
    assert len(stack.model.requests) == sum(session.asked for session in sessions)


def be_cut_off_again_and_again(stack: DeployedStack, session: Session) -> None:
    """Asks and is cut off at random points, until it was cut off in the middle often enough."""
    socket = stack.socket(session.conversation)
    while session.cuts < CUTS:
        session.asked += 1
        socket = ask(stack, session, socket)
    socket.close()


def ask(stack: DeployedStack, session: Session, socket: Socket) -> Socket:
    """One question and its answer, over as many sockets as it takes; the last of them."""
    message_id = f"m-{session.asked}"
    socket.say("Tell me a story", id=message_id)
    reader, first = session.reader, socket
    while not listen(session, socket, session.chance.randint(0, 25) if session.cuts < CUTS else 10_000):
        session.cuts += 1
        session.sockets.append(socket.frames)
        socket.cut() if session.chance.random() < 0.5 else socket.close()
        socket = stack.socket(session.conversation)
        reader.resume(socket)
        if reader.seq < 2 * session.asked - 1:
            socket.say("Tell me a story", id=message_id)
    if came_back_in_time(socket.frames) or socket is first:
        assert not reader.ahead
        assert reader.text == "".join(STORY)
    assert "".join(STORY).startswith(reader.text)
    session.sockets.append(socket.frames)
    socket.frames = []
    return socket


def came_back_in_time(frames: list[Frame]) -> bool:
    """Whether the turn still ran when the client came back to it; else its answer came from the log."""
    found_running = [frame["metadata"]["turnId"] for frame in frames if is_system("resumed")(frame)]
    return frames[-1]["metadata"]["turnId"] in found_running


def listen(session: Session, socket: Socket, frames: int) -> bool:
    """Takes so many frames; whether the answer was complete by then."""
    reader = session.reader
    for _ in range(frames):
        reader.take(socket.receive(60))
        if reader.seq == 2 * session.asked:
            return True
    return False


@pytest.mark.parametrize("seed", range(3))
def test_who_comes_back_while_the_answer_is_written_hears_its_rest_without_a_hole_or_a_repeat(
    stack: DeployedStack, seed: int
):
    gate = threading.Event()
    stack.model.script(Reply(chunks=STORY, delay_between=0.05, gate=gate, gate_after=len(STORY) - 20))
    conversation, reader = new_conversation("resume"), Reader()
    with stack.socket(conversation) as socket:
        socket.say("Tell me a story")
        for _ in range(random.Random(seed).randint(4, 15)):
            reader.take(socket.receive(60))
        socket.cut()
    with stack.socket(conversation) as socket:
        reader.resume(socket)
        for frame in socket.receive_until(is_system("resumed"), seconds=60):
            reader.take(frame)
        gate.set()
        for frame in socket.receive_turn(60):
            reader.take(frame)
    assert reader.text == "".join(STORY) == reader.answers[reader.turn_id]
    assert reader.repeats == 0
    assert not reader.ahead


def test_who_comes_back_after_the_answer_gets_it_from_the_log(stack: DeployedStack):
    conversation = new_conversation("resume")
    with stack.socket(conversation) as socket:
        socket.ask("one", 60)
    with stack.rest() as rest:
        rest.chat("two", conversation)
        epoch = rest.history(conversation)["epoch"]
    with stack.socket(conversation) as socket:
        socket.command("resume", afterSeq=2, epoch=epoch)
        frames = socket.receive_until(is_system("resumed"), seconds=60)
    assert [frame["content"] for frame in frames if frame["type"] == "chat"] == ["two", "You said: two"]
    assert frames[-1]["metadata"] == {"epoch": epoch, "lastSeq": 4, "turnId": None}


def test_who_comes_back_after_a_clear_is_told_of_it(stack: DeployedStack):
    conversation = new_conversation("resume")
    with stack.socket(conversation) as socket, stack.rest() as rest:
        socket.ask("one", 60)
        epoch = rest.history(conversation)["epoch"]
        rest.client.post(f"conversation/{conversation}/clear")
        rest.chat("two", conversation)
    with stack.socket(conversation) as socket:
        socket.command("resume", afterSeq=2, epoch=epoch)
        frames = socket.receive_until(is_system("resumed"), seconds=60)
    assert frames[0]["content"] == "conversation_cleared"
    assert [frame["content"] for frame in frames if frame["type"] == "chat"] == ["two", "You said: two"]


def test_a_long_log_is_caught_up_with_in_order(stack: DeployedStack):
    conversation = new_conversation("resume")
    with stack.rest() as rest:
        for number in range(230):
            rest.client.post(f"conversation/{conversation}/messages", json={"role": "user", "content": str(number)})
    with stack.socket(conversation) as socket:
        socket.command("resume", afterSeq=5)
        frames = socket.receive_until(is_system("resumed"), seconds=60)
    assert [frame["content"] for frame in frames[:-1]] == [str(number) for number in range(5, 230)]


def test_a_client_that_resumes_over_and_over_does_not_keep_the_answer_from_its_end(stack: DeployedStack):
    stack.model.script(Reply(chunks=STORY[:20], delay_between=0.05))
    conversation = new_conversation("resume")
    with (
        stack.settings("turn-worker", LEASE_SECONDS="8"),
        stack.socket(conversation) as socket,
        stack.socket(conversation) as eager,
    ):
        socket.say("Tell me a story", id="m-1")
        socket.receive_until(is_delta, seconds=60)
        while not any(map(is_end, eager.frames)):
            eager.command("resume", afterSeq=0)
            eager.receive_until(is_system("resumed"), seconds=60)
        socket.receive_turn(60)
        with stack.rest() as rest:
            sockets = {"socket": socket.frames, "eager": eager.frames}
            assert check(rest.observed(conversation, sockets, {"socket": ["m-1"]})) == []
    assert len(stack.model.requests) == 1


def test_a_socket_that_vanished_does_not_keep_the_others_from_hearing_it_all(stack: DeployedStack):
    stack.model.script(Reply(chunks=STORY, delay_between=0.02))
    conversation = new_conversation("deaf")
    with stack.socket(conversation) as socket, stack.socket(conversation) as vanished:
        vanished.cut()
        socket.say("Tell me a story", id="m-1")
        socket.receive_turn(60)
        socket.drain()
        with stack.rest() as rest:
            assert check(rest.observed(conversation, {"socket": socket.frames}, {"socket": ["m-1"]})) == []
            assert rest.log(conversation)[1] == ("assistant", "".join(STORY))
