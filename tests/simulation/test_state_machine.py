"""A conversation against a plain model of it: any command in any order, at any time, by any holder, dead or alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from copilotedge import transitions
from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.errors import Closing, Conflict, Fenced, QueueFull, StateChanged
from copilotedge.models import Change, Usage
from copilotedge.ports import Clock, ConversationStore
from copilotedge.runs import Run
from copilotedge.transitions import Submission, endings, leases
from tests.fakes import World
from tests.mocked_aws import mocked_aws
from tests.tables import create_table

MAX_QUEUED = 3
LEASE_MS = 5_000
INACTIVITY_MS = 60_000


@dataclass
class Plain:
    """What a conversation is, without stores, versions or processes."""

    log: list[tuple[str, str, str]] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    asked: str = ""
    holder: str = ""
    attempt: int = 0
    lease_until: int = 0
    telling: bool = False
    closing: bool = False
    cancel: bool = False
    taken: set[str] = field(default_factory=set)
    expires: int = 0

    def begin(self, content: str, holder: str, now: int) -> None:
        self.log.append(("user", content, "complete"))
        self.asked, self.holder, self.attempt = content, holder, 1 if holder else 0
        self.lease_until = now + (LEASE_MS if holder else transitions.CLAIM_GRACE_MS)

    def end(self, now: int, *, heard: bool = False) -> None:
        """Somebody is to be told, or the next one is asked, or the slot is free."""
        holder, self.telling, self.closing, self.cancel = self.holder, heard and not self.queue, False, False
        if self.telling:
            self.lease_until = now + LEASE_MS
            return
        self.asked, self.holder = "", ""
        if self.queue:
            self.begin(self.queue.pop(0), holder, now)


class Machine(RuleBasedStateMachine):
    """Bundles: message contents that were sent, and runs that some holder has, or believes it has.

    Of what holders do, half is done by the newest: that is the one that may.
    """

    contents = Bundle("contents")
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World(
            store=self.make_store(),
            lease_seconds=LEASE_MS / 1000,
            max_queued_messages=MAX_QUEUED,
            inactivity_hours=INACTIVITY_MS / 3_600_000,
            history_window_messages=100,
        )
        self.plain = Plain()
        self.newest: Run | None = None
        self.count = 0

    def make_store(self) -> Callable[[Clock], ConversationStore] | None:
        return None

    def teardown(self) -> None:
        self.loop.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @property
    def now(self) -> int:
        return self.world.clock.now

    @property
    def held(self) -> bool:
        return bool(self.plain.holder) and self.plain.lease_until > self.now

    def live(self) -> Plain:
        """The plain conversation, reborn if its time is over."""
        if self.plain.expires <= self.now:
            self.plain = Plain()
        return self.plain

    def touch(self) -> None:
        self.plain.expires = -(-(self.now + INACTIVITY_MS) // 1000) * 1000

    @rule(target=contents, holder=st.sampled_from(["", "caller"]))
    def submit(self, holder: str) -> Any:
        self.count += 1
        content = f"message {self.count}"
        plain = self.live()
        submission = Submission(content, content, self.now + self.count, client_id=True, holder=holder)
        if plain.asked and len(plain.queue) >= MAX_QUEUED + plain.telling:
            with pytest.raises(QueueFull):
                self.do(self.world.conversations.submit("c1", submission))
            return multiple()
        submitted = self.do(self.world.conversations.submit("c1", submission))
        if plain.asked:
            plain.queue.append(content)
            assert submitted.position == len(plain.queue) - plain.telling
        else:
            plain.begin(content, holder, self.now)
        plain.taken.add(content)
        self.touch()
        return content

    @rule(content=contents)
    def repeat(self, content: str) -> None:
        plain = self.live()
        if content in plain.taken:
            assert self.do(self.world.conversations.submit("c1", Submission(content, content, self.now))).repeated

    @rule(content=contents)
    def repeat_with_other_content(self, content: str) -> None:
        if content in self.live().taken:
            with pytest.raises(Conflict, match="other content"):
                self.do(self.world.conversations.submit("c1", Submission(content, "other", self.now, client_id=True)))

    @precondition(lambda self: self.live().asked and not self.held)
    @rule(target=runs)
    def claim(self) -> Any:
        plain = self.live()
        self.do(self.world.store.snapshot("c1", 5))
        self.count += 1
        holder = f"holder {self.count}"
        run = self.do(self.world.runner.claim("c1", holder))
        plain.holder, plain.attempt, plain.lease_until = holder, plain.attempt + 1, self.now + LEASE_MS
        assert run.turn.attempt == plain.attempt
        assert plain.closing or plain.telling or run.question.content == plain.asked
        self.newest = run
        return run

    @precondition(lambda self: not self.live().asked)
    @rule(target=runs)
    def begin(self) -> Any:
        """So common that chance alone would seldom bring both."""
        self.submit(holder="")
        return self.claim()

    @rule(run=runs)
    def renew(self, run: Run) -> None:
        mine = self.is_mine(run)
        self.commit(lambda snapshot: leases.renew(snapshot.state, run.turn, self.world.rules, self.now), allowed=mine)
        if mine:
            self.plain.lease_until = self.now + LEASE_MS

    @rule(
        run=runs,
        own=st.booleans(),
        status=st.sampled_from(["complete", "incomplete", "cancelled"]),
        heard=st.booleans(),
    )
    def complete(self, run: Run, own: bool, status: Any, heard: bool) -> None:
        run = self.newest if own and self.newest else run
        allowed = self.is_mine(run) and not self.plain.closing and not self.plain.telling
        self.commit(
            lambda snapshot: endings.complete(
                snapshot, run.turn, "answer", Usage(1, 1), status, "m", self.world.rules, self.now, heard=heard
            ),
            allowed=allowed,
        )
        if allowed:
            self.plain.log.append(("assistant", "answer", status))
            self.plain.end(self.now, heard=heard)
            self.touch()

    @rule(run=runs, own=st.booleans(), heard=st.booleans())
    def fail(self, run: Run, own: bool, heard: bool) -> None:
        run = self.newest if own and self.newest else run
        if not run.messages:  # it was claimed after a clear: there is no question that could fail
            return
        allowed = self.is_mine(run) and not self.plain.closing and not self.plain.telling
        self.commit(
            lambda snapshot: endings.abandon(
                snapshot, run.turn, run.question, "failed", self.world.rules, self.now, heard=heard
            ),
            allowed=allowed,
        )
        if allowed:
            self.plain.log[-1] = (*self.plain.log[-1][:2], "failed")
            self.plain.end(self.now, heard=heard)
            self.touch()

    @rule(run=runs, own=st.booleans())
    def release(self, run: Run, own: bool) -> None:
        run = self.newest if own and self.newest else run
        if not self.plain.telling:
            return
        allowed = self.is_mine(run) and not self.plain.closing
        self.commit(lambda snapshot: endings.release(snapshot, run.turn, self.world.rules, self.now), allowed=allowed)
        if allowed:
            if self.plain.queue:
                self.touch()
            self.plain.end(self.now)

    @rule(run=runs)
    def close(self, run: Run) -> None:
        if not self.plain.closing:
            return
        mine = self.is_mine(run)
        self.commit(
            lambda snapshot: endings.close(
                snapshot, run.turn, snapshot.state.epoch if snapshot.state else "", self.world.rules, self.now
            ),
            allowed=mine,
        )
        if mine:
            self.plain.end(self.now)
            self.touch()

    @precondition(lambda self: self.live().asked and not self.held)
    @rule()
    def work(self) -> None:
        """The turn engine itself: a worker takes over and serves all that waits."""
        plain = self.live()
        turn = self.do(self.world.store.state("c1")).turn
        self.world.waker.pending = [("c1", turn.turn_id, "")]
        self.do(self.world.work())
        plain.holder, plain.attempt = "worker", plain.attempt + 1
        if not plain.telling or plain.closing or plain.queue:
            self.touch()
        while plain.asked:
            self.work_once(plain)

    def work_once(self, plain: Plain) -> None:
        role, content, _ = plain.log[-1] if plain.log else ("", "", "")
        if plain.closing or plain.telling:
            pass
        elif plain.attempt > self.world.settings.max_attempts:
            plain.log[-1] = (role, content, "failed")
        elif plain.cancel:
            plain.log[-1] = (role, content, "cancelled")
        else:
            plain.log.append(("assistant", f"You said: {self.prompted(plain)}", "complete"))
        plain.end(self.now)

    def prompted(self, plain: Plain) -> str:
        """What the model was asked last: unanswered questions before it are in it too."""
        index = next(n for n, (role, content, _) in enumerate(plain.log) if role == "user" and content == plain.asked)
        start = index
        while start and plain.log[start - 1][0] == "user":
            start -= 1
        return "\n\n".join(content for _, content, _ in plain.log[start : index + 1])

    @rule()
    def cancel(self) -> None:
        plain = self.live()
        runs = bool(plain.asked) and not plain.telling
        assert bool(self.do(self.world.conversations.cancel("c1"))) == runs
        plain.cancel = runs

    @rule(which=st.sampled_from(["clear", "delete"]))
    def clear(self, which: str) -> None:
        plain = self.live()
        existed = plain.expires > self.now
        self.do(getattr(self.world.conversations, which)("c1"))
        plain.log, plain.queue, plain.taken = [], [], set()
        if self.held:
            plain.closing = True
        else:
            plain.asked, plain.holder, plain.telling, plain.closing, plain.cancel = "", "", False, False, False
        if existed and which == "clear":
            self.touch()
        elif existed:
            plain.expires = -(-plain.lease_until // 1000) * 1000 if plain.closing else 0

    @rule(milliseconds=st.sampled_from([100, LEASE_MS - 1, LEASE_MS, transitions.CLAIM_GRACE_MS, INACTIVITY_MS]))
    def wait(self, milliseconds: int) -> None:
        self.world.clock.advance(milliseconds)

    @rule()
    def sweep(self) -> None:
        self.do(self.world.store.sweep("c1"))

    @invariant()
    def the_log_is_the_plain_one(self) -> None:
        plain = self.live()
        assert self.do(self.world.log_of()) == plain.log

    @invariant()
    def the_queue_is_the_plain_one_and_never_waits_beside_a_free_slot(self) -> None:
        plain = self.live()
        snapshot = self.do(self.world.store.snapshot("c1", 5))
        assert [queued.content for queued in snapshot.queue] == plain.queue
        assert (snapshot.state.queued if snapshot.state else 0) == len(plain.queue)
        assert bool(snapshot.state and snapshot.state.turn) == bool(plain.asked)
        assert not plain.queue or plain.asked

    def is_mine(self, run: Run) -> bool:
        """Whether the plain conversation knows ``run`` as its holder's."""
        plain = self.live()
        turn = run.turn
        return (plain.asked, plain.holder, plain.attempt) == (turn.message_id, turn.holder, turn.attempt)

    def commit(self, decide: Any, *, allowed: bool) -> None:
        """What a holder does: read, decide, commit; refused exactly when it has no right to."""
        snapshot = self.do(self.world.store.snapshot("c1", 100))
        try:
            change: Change = decide(snapshot)
            self.do(self.world.store.commit("c1", change))
        except (Fenced, Closing, StateChanged):
            assert not allowed
        else:
            assert allowed


class MachineOnDynamoDB(Machine):
    """The same over moto's DynamoDB."""

    def __init__(self) -> None:
        self.mock = mocked_aws()
        self.mock.start()
        super().__init__()

    def make_store(self) -> Callable[[Clock], ConversationStore]:
        client = boto3.client("dynamodb", region_name="us-east-1")
        table = create_table(client)
        return lambda clock: DynamoDBStore(client, table, 1000, clock)

    def teardown(self) -> None:
        super().teardown()
        self.mock.stop()


LONG = settings(max_examples=1000, stateful_step_count=30, deadline=None, derandomize=True, database=None)

TestInMemory = Machine.TestCase
TestInMemory.settings = LONG
TestOnDynamoDB = MachineOnDynamoDB.TestCase
TestOnDynamoDB.settings = settings(LONG, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def test_the_machine_finds_an_answer_after_a_clear(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endings, "_open", leases.held)
    with pytest.raises(AssertionError):
        run_shortly()


def test_the_machine_finds_a_queue_left_behind(monkeypatch: pytest.MonkeyPatch):
    end = endings._end

    def careless(seen, ended, *rest, heard):
        return end(seen, replace(ended, queued=0), *rest, heard=heard)

    monkeypatch.setattr(endings, "_end", careless)
    with pytest.raises(AssertionError):
        run_shortly()


def test_the_machine_finds_a_turn_that_ends_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endings, "_running", endings._open)
    with pytest.raises(AssertionError):
        run_shortly()


def run_shortly() -> None:
    case = Machine.TestCase()
    case.settings = settings(LONG, max_examples=300, phases=[Phase.generate], print_blob=False)  # as found, not shrunk
    case.runTest()
