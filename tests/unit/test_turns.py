"""Turns over the fakes: what sockets hear, what the log keeps, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from copilotedge.answering import Reply
from copilotedge.broadcast import Channel
from copilotedge.errors import ModelInterrupted, ModelUnavailable, StoreUnavailable
from copilotedge.holding import Patience
from copilotedge.models import Change, Connection, PromptMessage, Snapshot, State
from copilotedge.questions import Question
from copilotedge.runs import Run
from copilotedge.transitions import Submission
from tests.fakes import World, until
from tests.simulation.loop import run_virtual

TURN = ["chat:user", "status:thinking", "status:streaming", "delta", "chat:assistant", "status:complete"]


def without_repeats(kinds: list[str]) -> list[str]:
    return [kind for number, kind in enumerate(kinds) if number == 0 or kind != kinds[number - 1]]


def commit_once(world: World, condition: Callable[[], bool]) -> None:
    """Let every change from now on wait for this."""
    commit = world.store.commit

    async def later(conversation_id: str, change: Change) -> None:
        await until(condition)
        await commit(conversation_id, change)

    world.store.commit = later


async def begin(world: World) -> asyncio.Task[None]:
    """Start the worker on what waits, and let the model come to where its script holds it."""
    task = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    return task


async def test_a_turn_is_heard_in_order_by_every_socket() -> None:
    world = World()
    await world.connect("a", "b")
    await world.say("a", "Hello")
    await world.work()
    assert without_repeats(world.gateway.kinds("a")) == TURN
    assert world.gateway.frames["a"] == world.gateway.frames["b"]


async def test_the_deltas_joined_are_the_answer() -> None:
    world = World()
    world.model.scripts.append(["Good ", "mor", "ning"])
    await world.connect("a")
    await world.say("a", "Hello")
    await world.work()
    assert world.gateway.text("a") == "Good morning" == world.gateway.frames["a"][-2]["content"]
    assert await world.log_of() == [("user", "Hello", "complete"), ("assistant", "Good morning", "complete")]


async def test_an_answer_carries_the_usage_of_the_reply() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "Hello")
    await world.work()
    metadata = world.gateway.frames["a"][-2]["metadata"]
    assert metadata["tokens"] == 15
    assert metadata["timestamp"] == world.clock.now


async def test_the_next_call_carries_the_exchange_before() -> None:
    world = World()
    for text in ("one", "two"):
        await world.say("a", text)
        await world.work()
    assert [message.content for message in world.model.requests[1].messages] == ["one", "You said: one", "two"]


async def test_messages_sent_during_a_turn_are_answered_after_it_in_order() -> None:
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["first", gate])
    await world.connect("a")
    await world.say("a", "1")
    worker = await begin(world)
    await world.say("a", "2")
    await world.say("a", "3")
    gate.set()
    await worker
    assert [content for _, content, _ in await world.log_of()] == ["1", "first", "2", "You said: 2", "3", "You said: 3"]
    assert world.gateway.kinds("a").count("status:queued") == 2


async def test_each_waiting_message_is_answered_with_the_earlier_answers_in_its_context() -> None:
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["first", gate])
    await world.say("a", "1")
    worker = await begin(world)
    await world.say("a", "2")
    gate.set()
    await worker
    assert [message.content for message in world.model.requests[1].messages] == ["1", "first", "2"]


async def test_a_model_that_fails_leaves_the_message_and_a_usable_conversation() -> None:
    world = World()
    world.model.scripts.append([ModelUnavailable("The model does not answer.")])
    await world.connect("a")
    await world.say("a", "1")
    await world.work()
    assert world.gateway.kinds("a")[-2:] == ["error:model_unavailable", "status:failed"]
    assert await world.log_of() == [("user", "1", "failed")]
    await world.say("a", "2")
    await world.work()
    assert (await world.log_of())[-1] == ("assistant", "You said: 1\n\n2", "complete")


async def test_an_answer_that_was_cut_is_kept_as_incomplete() -> None:
    world = World()
    world.model.scripts.append(["Once upon", ModelInterrupted("The answer was cut.")])
    await world.connect("a")
    await world.say("a", "Tell me")
    await world.work()
    assert (await world.log_of())[-1] == ("assistant", "Once upon", "incomplete")
    assert world.gateway.frames["a"][-2]["metadata"]["status"] == "incomplete"


async def test_cancel_closes_the_model_call_and_keeps_the_words_so_far() -> None:
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.connect("a", "b")
    await world.say("a", "Tell me")
    worker = await begin(world)
    await world.send("b", type="system", content="cancel")
    await worker
    assert world.model.closed == 1
    assert (await world.log_of())[-1] == ("assistant", "Once ", "cancelled")
    assert world.gateway.kinds("a")[-1] == world.gateway.kinds("b")[-1] == "status:cancelled"


async def test_cancel_before_the_first_word_leaves_only_the_question() -> None:
    world = World()
    world.model.scripts.append([asyncio.Event()])
    await world.say("a", "Tell me")
    worker = await begin(world)
    assert await world.conversations.cancel("c1")
    await worker
    assert await world.log_of() == [("user", "Tell me", "cancelled")]


async def test_clear_during_a_turn_silences_it() -> None:
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.connect("a", "b")
    await world.say("a", "Tell me")
    worker = await begin(world)
    await world.send("b", type="system", content="clear_history")
    assert await world.log_of() == []
    await worker
    assert await world.log_of() == []
    assert world.gateway.kinds("a")[-1] == "system:conversation_cleared"


async def test_a_message_sent_right_after_a_clear_is_answered_once_the_old_turn_let_go() -> None:
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.connect("a")
    await world.say("a", "Tell me")
    worker = await begin(world)
    await world.conversations.clear("c1")
    await world.say("a", "Hello again")
    await worker
    assert await world.log_of() == [
        ("user", "Hello again", "complete"),
        ("assistant", "You said: Hello again", "complete"),
    ]


async def test_regenerate_replaces_the_last_answer() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "Hi")
    await world.work()
    world.model.scripts.append(["Another answer"])
    await world.send("a", type="system", content="regenerate")
    await world.work()
    assert await world.log_of() == [("user", "Hi", "complete"), ("assistant", "Another answer", "complete")]
    assert world.model.requests[1].messages == (PromptMessage("user", "Hi"),)
    assert world.gateway.frames["a"][-2]["metadata"]["replaces"] == 2


async def test_a_turn_whose_holder_died_is_taken_over_after_its_lease() -> None:
    world = World(lease_seconds=5)
    await world.connect("a")
    await world.say("a", "Hi")
    (_, _turn_id, _) = world.waker.pending[0]
    assert await world.runner.claim("c1", "dies") is not None
    world.clock.advance(5_001)
    await world.work()
    assert await world.log_of() == [("user", "Hi", "complete"), ("assistant", "You said: Hi", "complete")]
    assert {f["metadata"]["attempt"] for f in world.gateway.frames["a"] if f["type"] == "delta"} == {2}


async def test_a_turn_that_was_taken_over_says_no_more() -> None:
    world = World(lease_seconds=5)
    gate = asyncio.Event()
    world.model.scripts.append([gate, "late words"])
    await world.connect("a")
    await world.say("a", "Hi")
    world.waker.pending[0][1]
    worker = await begin(world)
    world.clock.advance(5_001)
    other = await world.runner.claim("c1", "other")
    await world.runner.serve(other, world.deadline)
    gate.set()
    await worker
    assert await world.log_of() == [("user", "Hi", "complete"), ("assistant", "You said: Hi", "complete")]
    assert "late words" not in world.gateway.text("a")


async def test_a_turn_fails_for_good_after_its_last_attempt() -> None:
    world = World(lease_seconds=5, max_attempts=2)
    await world.connect("a")
    await world.say("a", "Hi")
    world.waker.pending[0][1]
    for holder in ("one", "two"):
        await world.runner.claim("c1", holder)
        world.clock.advance(5_001)
    await world.work()
    assert await world.log_of() == [("user", "Hi", "failed")]
    assert world.gateway.kinds("a") == ["error:turn_failed", "status:failed"]


async def test_a_stuck_socket_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilotedge.holding.LAG_SECONDS", 0.05)
    world = World(lease_seconds=0.2)
    world.gateway.stuck.add("b")
    await world.connect("a", "b")
    await world.say("a", "Hi")
    await world.work()
    assert without_repeats(world.gateway.kinds("a")) == TURN


async def test_a_socket_that_is_gone_is_forgotten() -> None:
    world = World()
    world.gateway.gone.add("b")
    await world.connect("a", "b")
    await world.say("a", "Hi")
    await world.work()
    assert [connection.connection_id for connection in await world.store.connections("c1")] == ["a"]


async def test_a_socket_that_comes_back_gets_the_text_so_far_and_then_the_rest() -> None:
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["Once upon ", gate, "a time"])
    await world.connect("a")
    await world.say("a", "Tell me")
    worker = await begin(world)
    turn_id = (await world.store.state("c1")).turn.turn_id
    await world.connect("b")
    await world.send("b", type="system", content="resume", metadata={"afterSeq": 0, "turnId": turn_id, "offset": 5})
    await until(lambda: world.gateway.text("b") == "upon ")
    gate.set()
    await worker
    assert world.gateway.text("b") == "upon a time"
    assert world.gateway.kinds("b")[-2:] == ["chat:assistant", "status:complete"]


async def test_a_socket_that_resumes_just_before_the_end_still_hears_the_answer() -> None:
    world = World()
    gate = asyncio.Event()
    world.model.scripts.append(["Once upon ", gate, "a time"])
    await world.say("a", "Tell me")
    worker = await begin(world)
    await world.connect("b")
    await world.send("b", type="system", content="resume", metadata={"afterSeq": 0})
    gate.set()
    await worker
    assert world.gateway.frames["b"][-2]["content"] == "Once upon a time"


async def test_a_caller_out_of_time_hands_its_turn_to_a_worker() -> None:
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    submission = Submission("m1", "Hi", world.clock.now, holder="caller")
    submitted = await world.conversations.submit("c1", submission)
    end = await world.runner.answer(submitted.run, world.clock.now + 50)
    assert end.verdict == "out_of_time"
    await world.work()
    assert await world.log_of() == [("user", "Hi", "complete"), ("assistant", "You said: Hi", "complete")]


async def ended(world: World) -> str:
    """A turn whose answer is in the log and whose holder has died before anybody heard of it; its id."""
    await world.connect("a")
    await world.say("a", "1")
    [(_, turn_id, _)] = world.waker.pending
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.holding, "let_go", died)
        patch.setattr("copilotedge.broadcast.Channel.send", lambda *_: None)
        await world.work()
    return turn_id


async def died(*_: object) -> None:
    return None


async def test_a_turn_whose_end_nobody_has_told_keeps_the_slot_and_a_worker_tells_it() -> None:
    world = World()
    turn_id = await ended(world)
    assert world.gateway.kinds("a") == []
    await world.say("a", "2")
    assert world.waker.standing_by == ["c1"]
    world.clock.advance(8_000)
    await world.runner.stand_by("c1", world.deadline)
    assert world.waker.pending == [("c1", turn_id, "")]
    await world.work()
    told = [frame["content"] for frame in world.gateway.frames["a"] if frame["type"] == "chat"]
    assert told == ["1", "You said: 1", "2", "You said: 2"]
    assert len(world.model.requests) == 2
    assert (await world.store.state("c1")).turn is None


async def test_who_takes_a_turn_over_tells_the_answer_that_was_stored_along_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    gate = asyncio.Event()
    world.model.scripts.append(["You said: ", gate, "1"])
    worker = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    await world.say("a", "2")
    post = world.gateway.post

    async def dies(connection_id: str, frame: bytes) -> bool:
        if b"assistant" in frame:
            worker.cancel()
            await asyncio.Event().wait()
        return await post(connection_id, frame)

    monkeypatch.setattr(world.gateway, "post", dies)
    gate.set()
    await asyncio.gather(worker, return_exceptions=True)
    monkeypatch.setattr(world.gateway, "post", post)
    assert "chat:assistant" not in world.gateway.kinds("a")
    state = await world.store.state("c1")
    world.clock.advance(20_000)
    await world.waker.run_turn("c1", state.turn.turn_id)
    await world.work()
    told = [frame["content"] for frame in world.gateway.frames["a"] if frame["type"] == "chat"]
    assert list(dict.fromkeys(told)) == ["1", "You said: 1", "2", "You said: 2"]
    assert world.gateway.kinds("a").count("status:complete") == 2


async def test_who_takes_a_turn_over_tells_nothing_that_was_told_before_it_began() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    await world.work()
    world.clock.advance(10)
    await world.say("a", "2")
    [(conversation_id, _, _)] = world.waker.pending
    assert await world.runner.claim(conversation_id, "dead") is not None
    world.gateway.frames.clear()
    world.clock.advance(20_000)
    await world.work()
    assert world.gateway.kinds("a").count("chat:assistant") == 1
    assert [frame["content"] for frame in world.gateway.frames["a"] if frame["type"] == "chat"] == ["2", "You said: 2"]


async def test_a_turn_that_is_being_told_is_not_given_up_as_failed() -> None:
    world = World()
    turn_id = await ended(world)
    world.clock.advance(8_000)
    run = await world.runner.claim("c1", "last")
    assert run is not None and run.turn.turn_id == turn_id
    await world.runner.give_up(run)
    assert world.gateway.kinds("a") == ["chat:user", "chat:assistant", "status:complete"]
    assert [status for _, _, status in await world.log_of()] == ["complete", "complete"]


async def test_a_message_that_comes_while_the_end_is_told_is_next_and_served_by_the_same_holder() -> None:
    world = World()
    await world.connect("a", "b")
    await world.say("a", "1")
    world.gateway.stuck.add("b")
    worker = asyncio.create_task(world.work())
    await until(lambda: "status:complete" in world.gateway.kinds("a"))
    assert not (await world.conversations.cancel("c1")).stopping
    await world.say("a", "2")
    assert world.waker.pending == [] and "status:queued" not in world.gateway.kinds("a")
    await until(lambda: world.gateway.kinds("a").count("status:complete") == 2)
    worker.cancel()


async def test_who_stood_still_until_its_lease_was_over_has_another_tell_it() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    post = world.gateway.post

    async def slowly(connection_id: str, frame: bytes) -> bool:
        if b"complete" in frame:
            world.clock.advance(8_000)
        return await post(connection_id, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.gateway, "post", slowly)
        [(conversation_id, turn_id, _)] = world.waker.pending
        world.waker.pending.clear()
        await world.runner.serve(await world.runner.claim(conversation_id, "slow"), world.deadline)
    assert world.waker.pending == [("c1", turn_id, "")]
    await world.work()
    assert (await world.store.state("c1")).turn is None


async def test_a_regeneration_that_nobody_has_told_of_is_told_with_its_own_end() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    await world.work()
    world.gateway.frames.clear()
    world.model.scripts.append([ModelUnavailable("Down.")])
    regenerated = await world.conversations.regenerate("c1")
    await world.conversations.wake("c1", regenerated)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.holding, "let_go", died)
        patch.setattr("copilotedge.broadcast.Channel.send", lambda *_: None)
        await world.work()
    world.clock.advance(8_000)
    await world.waker.run_turn("c1", regenerated.turn_id)
    await world.work()
    ends = [frame for frame in world.gateway.frames["a"] if frame["type"] == "status"]
    assert [(end["status"], end["metadata"]["turnId"]) for end in ends] == [("failed", regenerated.turn_id)]


async def announcing(world: World) -> Run:
    """The slot of somebody who has appended a message that ``a`` is to hear of."""
    await world.connect("a")
    await world.append("c1", "user", "1")
    appended = await world.conversations.append("c1", "user", "2", 0)
    assert appended.run is not None
    return appended.run


async def speaking(world: World, run: Run, words: int) -> Channel:
    """A channel with so many words on their way to ``a``."""
    channel = world.holding.open(run)
    await world.holding.greet(run, channel)
    for number in range(words):
        channel.send({"type": "delta", "content": str(number)})
    return channel


def test_sockets_that_take_their_time_are_waited_for_as_long_as_they_take_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_virtual(tell_slow_sockets(monkeypatch))


async def tell_slow_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(lease_seconds=0.4)
    run = await announcing(world)
    post, began = world.gateway.post, asyncio.get_running_loop().time()
    start = world.clock.now

    async def slowly(connection_id: str, frame: bytes) -> bool:
        await asyncio.sleep(0.02)
        world.clock.now = start + int((asyncio.get_running_loop().time() - began) * 1000)
        return await post(connection_id, frame)

    monkeypatch.setattr(world.gateway, "post", slowly)
    channel = await speaking(world, run, 50)
    await world.holding.let_go(run, channel, Patience(0.1, 60.0))
    await channel.close()
    assert world.gateway.text("a") == "".join(map(str, range(50)))
    assert (await world.store.state("c1")).turn is None


async def test_a_caller_does_not_wait_for_them_for_long() -> None:
    world = World()
    run = await announcing(world)
    world.gateway.stuck.add("a")
    channel = await speaking(world, run, 1)
    await asyncio.wait_for(world.holding.let_go(run, channel, Patience(0.05, 0.05)), 30)
    await channel.close()
    assert (await world.store.state("c1")).turn is None


async def test_a_store_that_does_not_say_whether_somebody_waits_is_no_reason_to_keep_the_slot(monkeypatch) -> None:
    world = World()
    run = await announcing(world)
    world.gateway.stuck.add("a")
    channel = await speaking(world, run, 1)
    state, asked = world.store.state, []

    async def fails_once(conversation_id: str) -> State | None:
        asked.append(conversation_id)
        if len(asked) == 1:
            raise StoreUnavailable("Throttled.")
        found: State | None = await state(conversation_id)
        return found

    monkeypatch.setattr("copilotedge.holding.LAG_SECONDS", 0.02)
    monkeypatch.setattr(world.store, "state", fails_once)
    await world.holding.let_go(run, channel, Patience(0.05, 1.0))
    await channel.close()
    assert asked
    assert (await world.store.state("c1")).turn is None


async def test_who_stood_still_while_it_told_of_a_clear_has_another_tell_it() -> None:
    world = World()
    await world.connect("a")
    await world.append("c1", "user", "1")
    cleared = await world.conversations.clear("c1")
    assert cleared.run is not None
    post = world.gateway.post

    async def slowly(connection_id: str, frame: bytes) -> bool:
        world.clock.advance(8_000)
        return await post(connection_id, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.gateway, "post", slowly)
        await world.sockets.tell_cleared("c1", cleared)
    assert world.waker.pending == [("c1", cleared.run.turn.turn_id, "")]
    await world.work()
    assert world.gateway.kinds("a")[-1] == "system:conversation_cleared"
    assert (await world.store.state("c1")).turn is None


async def test_who_gives_up_a_turn_that_is_no_longer_its_own_says_nothing() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    [(conversation_id, _, _)] = world.waker.pending
    run = await world.runner.claim(conversation_id, "me")
    assert run is not None
    await world.runner.serve(run, world.deadline)
    world.gateway.frames.clear()
    await world.runner.give_up(run)
    assert world.gateway.frames == {}


async def test_a_store_that_stumbles_when_the_slot_is_let_go_costs_the_caller_nothing() -> None:
    world = World()
    await world.connect("a")
    await world.append("c1", "user", "Before")
    commit, commits = world.store.commit, 0

    async def third_fails(conversation_id: str, change: Change) -> None:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise StoreUnavailable("Throttled.")
        await commit(conversation_id, change)

    world.store.commit = third_fails
    question = Question((PromptMessage("user", "Hi"),))
    reply = await world.replies.reply(question, "", "c1", world.clock.now, world.deadline)
    assert isinstance(reply, Reply) and reply.text.startswith("You said:")
    assert "release_failed" in [event for event, _ in world.log.lines]


async def test_the_model_is_asked_while_the_turn_is_claimed() -> None:
    world = World()
    claimed, commit = asyncio.Event(), world.store.commit

    async def slowly(conversation_id: str, change: Change) -> None:
        await claimed.wait()
        await commit(conversation_id, change)

    await world.connect("a")
    await world.say("a", "Hello")
    world.store.commit = slowly
    work = asyncio.create_task(world.work())
    await until(lambda: len(world.model.requests) == 1)
    assert world.gateway.kinds("a") == []
    claimed.set()
    await work
    assert without_repeats(world.gateway.kinds("a")) == TURN
    assert len(world.model.requests) == 1


async def test_a_model_that_fails_ahead_of_the_claim_fails_the_turn() -> None:
    world = World()
    world.model.scripts.append([ModelUnavailable("Down.")])
    await world.connect("a")
    await world.say("a", "Hello")
    await world.work()
    assert world.gateway.kinds("a") == ["chat:user", "status:thinking", "error:model_unavailable", "status:failed"]


async def test_who_asked_ahead_for_a_turn_that_another_holds_ends_the_call_and_charges_it() -> None:
    world = World()
    await world.say("a", "Hello")
    [(conversation_id, turn_id, _)] = world.waker.pending
    assert await world.runner.claim(conversation_id, "another") is not None
    commit_once(world, lambda: world.model.waiting == 1)
    world.model.scripts.append(["Words", asyncio.Event()])
    losing = asyncio.create_task(world.runner.claim(conversation_id, "late", world.waker.begun[turn_id]))
    await until(lambda: world.model.closed == 1)
    losing.cancel()
    await asyncio.gather(losing, return_exceptions=True)
    assert (world.metrics.values("PromptTokens"), world.metrics.values("CompletionTokens")) == ([1], [1])


async def test_what_a_model_counted_that_nobody_heard_is_charged() -> None:
    world = World()
    await world.say("a", "Hello")
    [(conversation_id, turn_id, _)] = world.waker.pending
    assert await world.runner.claim(conversation_id, "another") is not None
    commit_once(world, lambda: world.model.closed == 1)
    losing = asyncio.create_task(world.runner.claim(conversation_id, "late", world.waker.begun[turn_id]))
    await until(lambda: world.metrics.sum("CompletionTokens") > 0)
    losing.cancel()
    await asyncio.gather(losing, return_exceptions=True)
    assert (world.metrics.values("PromptTokens"), world.metrics.values("CompletionTokens")) == ([10], [5])


async def test_a_turn_that_is_given_up_tells_the_sockets_that_came_during_it() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "Hello")
    [(conversation_id, _, _)] = world.waker.pending
    run = await world.runner.claim(conversation_id, "me")
    assert run is not None
    channel = world.holding.open(run)
    await world.conversations.listen("c1", Connection("b"), offset=0)
    assert await world.runner._watch._look(run, channel) is None
    await channel.close()
    await world.runner.give_up(run)
    assert world.gateway.kinds("b")[-1] == "status:failed"


async def test_an_event_that_comes_late_asks_nothing_ahead() -> None:
    world = World()
    await world.say("a", "Hello")
    [(conversation_id, turn_id, _)] = world.waker.pending
    world.clock.advance(1_001)
    run = await world.runner.claim(conversation_id, "late", world.waker.begun[turn_id])
    assert run is not None and run.ahead is None
    assert world.model.requests == []


async def test_a_turn_that_was_stopped_before_its_claim_ends_the_call_ahead() -> None:
    world = World()
    world.model.scripts.append(["Words", asyncio.Event()])
    await world.connect("a")
    await world.say("a", "Hello")
    await world.conversations.cancel("c1")
    commit_once(world, lambda: world.model.waiting == 1)
    await world.work()
    assert world.gateway.kinds("a") == ["chat:user", "status:thinking", "status:cancelled"]
    assert world.model.closed == 1
    assert world.metrics.values("PromptTokens") == [1]


async def test_a_socket_that_came_back_while_a_turn_was_being_begun_hears_all_of_it() -> None:
    world = World()
    await world.connect("a")
    await world.say("a", "Hello")
    await world.work()
    read, late = world.store.snapshot, Connection("late")

    async def read_before_it_came(conversation_id: str, messages: int) -> Snapshot:
        seen = await read(conversation_id, messages)
        world.store.snapshot = read
        await world.conversations.listen(conversation_id, late, offset=0)
        return seen

    world.store.snapshot = read_before_it_came
    await world.say("a", "And now?")
    await world.work()
    assert without_repeats(world.gateway.kinds("late")) == TURN
