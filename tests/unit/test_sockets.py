"""What a socket may ask, and what it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from copilotedge.models import Connection
from copilotedge.transitions import Submission
from tests.fakes import FakeGateway, FakeWaker, World, until


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilotedge.watching.WATCH_SECONDS", 0.01)


async def command(world: World, name: str, content: str, **metadata: Any) -> str:
    return await world.send(name, type="system", content=content, metadata=metadata)


async def answered(world: World, *texts: str) -> None:
    """Exchanges that are over, with no one listening."""
    for text in texts:
        await world.conversations.submit("c1", Submission(f"m-{text}", text, world.clock.now, client_id=True))
        world.waker.pending = [("c1", (await world.store.state("c1")).turn.turn_id, "")]
        await world.work()
        world.clock.advance(1_000)


async def begin(world: World) -> asyncio.Task[None]:
    """Start the worker, and let the model come to where its script holds it."""
    task = asyncio.create_task(world.work())
    await until(lambda: world.model.waiting == 1)
    return task


def told(world: World, name: str) -> list[dict[str, Any]]:
    return world.gateway.frames.get(name, [])


def texts(world: World, name: str) -> list[str]:
    return [frame["content"] for frame in told(world, name) if frame["type"] == "chat"]


# --- Coming and going --------------------------------------------------------------------------------------------


async def test_a_socket_is_listed_from_connect_to_disconnect():
    world = World()
    socket = Connection("a", "alice", 5)
    await world.sockets.connect("alice/c1", socket)
    assert await world.store.connections("alice/c1") == (socket,)
    await world.sockets.disconnect("alice/c1", socket)
    assert await world.store.connections("alice/c1") == ()


async def test_a_ping_is_answered_and_lists_the_socket_anew():
    world = World()
    assert await command(world, "a", "ping") == ""
    assert world.gateway.kinds("a") == ["system:pong"]
    assert await world.store.connections("c1") == (Connection("a"),)


@pytest.mark.parametrize("next_command", ["ping", "get_history"])
async def test_a_wish_to_resume_outlives_the_next_command(next_command):
    world = World()
    await world.say("a", "Hi")
    await command(world, "a", "resume", turnId="t1", offset=5)
    await command(world, "a", next_command)
    (listed,) = await world.store.connections("c1")
    assert listed.resume is not None


# --- Chat --------------------------------------------------------------------------------------------------------


async def test_a_message_wakes_a_worker_that_speaks_to_its_sender():
    world = World()
    assert await world.say("a", "Hi") == ""
    turn = (await world.store.state("c1")).turn
    assert world.waker.pending == [("c1", turn.turn_id, "a")]


async def test_a_message_during_a_turn_is_told_its_place():
    world = World()
    for text in ("1", "2", "3"):
        await world.say("a", text, id=f"m{text}")
    assert [(f["status"], f["metadata"]["messageId"], f["metadata"]["position"]) for f in told(world, "a")] == [
        ("queued", "m2", 1),
        ("queued", "m3", 2),
    ]
    assert len(world.waker.pending) == 1


async def test_what_is_wrong_with_a_frame_is_told_to_its_sender_only():
    world = World()
    await world.connect("a", "b")
    assert await world.send("a", type="chat", role="user", content="") == "invalid_content"
    assert world.gateway.kinds("a") == ["error:invalid_content"]
    assert told(world, "b") == []


async def test_a_frame_that_is_no_json_is_an_error_and_no_end():
    world = World()
    assert await world.sockets.receive("c1", Connection("a"), "{", 0) == "invalid_json"
    assert world.gateway.kinds("a") == ["error:invalid_json"]


async def test_a_refused_message_is_told_by_its_id():
    world = World(max_queued_messages=0)
    await world.say("a", "1")
    assert await world.say("a", "2", id="m2") == "queue_full"
    assert told(world, "a")[0]["metadata"] == {"messageId": "m2"}


async def test_an_id_with_other_content_is_refused():
    world = World()
    await world.say("a", "1", id="m1")
    assert await world.say("a", "2", id="m1") == "message_id_reused"


async def test_a_repeated_message_gets_its_answer_again_and_no_second_one():
    world = World()
    await answered(world, "1")
    await world.say("b", "1", id="m-1")
    assert world.gateway.kinds("b") == ["chat:user", "chat:assistant", "status:complete"]
    assert world.waker.pending == []


async def test_a_repeated_message_that_runs_gets_its_text_so_far_from_the_holder():
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.say("a", "Hi", id="m1")
    worker = await begin(world)
    await world.say("b", "Hi", id="m1")
    await until(lambda: world.gateway.text("b") == "Once ")
    assert texts(world, "b") == ["Hi"]
    await world.conversations.cancel("c1")
    await worker


async def test_a_repeated_message_that_waits_hears_that_it_waits():
    world = World()
    await world.say("a", "1", id="m1")
    for _ in range(2):
        await world.say("a", "2", id="m2")
    assert world.gateway.kinds("a") == ["status:queued", "status:queued"]


async def test_a_repeated_message_whose_conversation_is_gone_hears_that_it_was_withdrawn(monkeypatch):
    world = World()
    await answered(world, "1")
    listen = world.conversations.listen

    async def delete_meanwhile(*args: Any, **more: Any) -> Any:
        await world.conversations.delete("c1")
        return await listen(*args, **more)

    monkeypatch.setattr(world.conversations, "listen", delete_meanwhile)
    await world.say("a", "1", id="m-1")
    assert world.gateway.kinds("a") == ["status:cancelled"]


async def test_a_withdrawn_message_that_is_sent_again_is_not_said_to_wait():
    world = World()
    await world.say("a", "1", id="m1")
    await world.say("a", "2", id="m2")
    await command(world, "a", "cancel", messageId="m2")
    await world.work()
    world.gateway.frames.clear()
    await world.say("a", "2", id="m2")
    await world.work()
    assert "status:queued" not in world.gateway.kinds("a")


# --- History -----------------------------------------------------------------------------------------------------


async def test_the_history_is_told_with_its_totals():
    world = World()
    await answered(world, "1", "2")
    await command(world, "a", "get_history", limit=3)
    (frame,) = told(world, "a")
    assert [entry["content"] for entry in frame["metadata"]["messages"]] == ["You said: 1", "2", "You said: 2"]
    assert (frame["metadata"]["totalTokens"], frame["metadata"]["hasMore"]) == (30, True)
    assert frame["metadata"]["epoch"] == (await world.store.state("c1")).epoch


async def test_an_empty_history_is_told_too():
    world = World()
    await command(world, "a", "get_history")
    metadata = told(world, "a")[0]["metadata"]
    assert (metadata["messages"], metadata["epoch"], metadata["hasMore"]) == ([], "", False)


async def test_older_history_can_be_asked_for():
    world = World()
    await answered(world, "1", "2")
    before = await world.store.state("c1")
    await command(world, "a", "get_history", before=3)
    assert [entry["seq"] for entry in told(world, "a")[0]["metadata"]["messages"]] == [1, 2]
    assert await world.store.state("c1") == before


async def test_a_history_too_long_for_one_frame_has_the_newest_and_says_that_there_is_more():
    world = World()
    for number in range(20):
        await world.append("c1", "assistant", "x" * 9_000 + str(number), 0)
    await command(world, "a", "get_history")
    (frame,) = told(world, "a")
    seqs = [entry["seq"] for entry in frame["metadata"]["messages"]]
    assert seqs == list(range(seqs[0], 21)) and 1 < seqs[0] < 20
    assert frame["metadata"]["hasMore"]


async def test_all_of_a_long_history_can_be_walked_through():
    world = World()
    for number in range(20):
        await world.append("c1", "assistant", "x" * 9_000 + str(number), 0)
    seen: list[int] = []
    while not seen or seen[0] > 1:
        await command(world, "a", "get_history", before=seen[0] if seen else 0)
        seen = [entry["seq"] for entry in told(world, "a")[-1]["metadata"]["messages"]] + seen
    assert seen == list(range(1, 21))


# --- Clear, cancel, regenerate -----------------------------------------------------------------------------------


async def test_a_clear_is_told_to_who_asked_and_to_all():
    world = World()
    await world.connect("a", "b")
    await answered(world, "1")
    world.gateway.frames.clear()
    await command(world, "a", "clear_history")
    assert world.gateway.kinds("a") == ["system:history_cleared", "system:conversation_cleared"]
    assert world.gateway.kinds("b") == ["system:conversation_cleared"]
    assert told(world, "b")[0]["metadata"]["epoch"] == (await world.store.state("c1")).epoch


async def test_a_clear_during_a_turn_is_told_to_all_by_its_holder():
    world = World()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.connect("b")
    await world.say("a", "Hi")
    worker = await begin(world)
    await command(world, "a", "clear_history")
    await worker
    assert world.gateway.kinds("b").count("system:conversation_cleared") == 1


async def test_a_clear_is_told_to_all_even_if_who_asked_cannot_be_reached():
    @dataclass
    class Refusing(FakeGateway):
        async def post(self, connection_id: str, frame: bytes) -> bool:
            if connection_id == "a":
                raise OSError("refused")
            return await super().post(connection_id, frame)

    world = World()
    await world.connect("a", "b")
    await answered(world, "1")
    world.gateway = world.sockets._gateway = world.holding._gateway = Refusing()
    await asyncio.gather(command(world, "a", "clear_history"), return_exceptions=True)
    assert world.gateway.kinds("b") == ["system:conversation_cleared"]


async def test_a_clear_is_told_however_long_it_took():
    @dataclass
    class Slow(FakeWaker):
        async def sweep(self, conversation_id: str) -> None:
            world.clock.advance(300)

    world = World()
    world.conversations._waker = Slow()
    await world.connect("a", "b")
    await answered(world, "1")
    await command(world, "a", "clear_history")
    assert world.gateway.kinds("b")[-1] == "system:conversation_cleared"


async def test_a_clear_right_behind_another_is_told_with_its_own_epoch():
    world = World()

    @dataclass
    class Clearing(FakeGateway):
        cleared: bool = False

        async def post(self, connection_id: str, frame: bytes) -> bool:
            if b"conversation_cleared" in frame and not self.cleared:
                self.cleared = True
                await command(world, "b", "clear_history")
            return await super().post(connection_id, frame)

    world.gateway = world.sockets._gateway = world.holding._gateway = Clearing()
    world.model.scripts.append(["Once ", asyncio.Event()])
    await world.connect("a")
    await world.say("a", "Hi")
    worker = await begin(world)
    await command(world, "b", "clear_history")
    await worker
    assert told(world, "a")[-1]["metadata"]["epoch"] == (await world.store.state("c1")).epoch


async def test_a_cancel_reaches_the_running_turn():
    world = World()
    await world.say("a", "Hi")
    assert await command(world, "b", "cancel") == ""
    assert (await world.store.state("c1")).turn.cancel


@pytest.mark.parametrize("metadata", [{}, {"messageId": "nobody"}])
async def test_a_cancel_of_nothing_is_an_error(metadata):
    world = World()
    assert await command(world, "a", "cancel", **metadata) == "nothing_to_cancel"
    assert world.gateway.kinds("a") == ["error:nothing_to_cancel"]


async def test_a_withdrawn_message_is_told_to_be_cancelled():
    world = World()
    await world.connect("a")
    await world.say("a", "1")
    await world.say("a", "2", id="m2")
    await command(world, "a", "cancel", messageId="m2")
    assert world.gateway.kinds("a")[-1] == "status:cancelled"


async def test_a_regeneration_wakes_a_worker_that_speaks_to_who_asked():
    world = World()
    await answered(world, "1")
    assert await command(world, "a", "regenerate") == ""
    assert [(conversation, name) for conversation, _, name in world.waker.pending] == [("c1", "a")]


async def test_without_a_question_there_is_nothing_to_regenerate():
    assert await command(World(), "a", "regenerate") == "nothing_to_regenerate"


# --- Resume ------------------------------------------------------------------------------------------------------


async def test_a_resume_brings_what_was_missed_and_how_things_stand():
    world = World()
    await answered(world, "1", "2")
    epoch = (await world.store.state("c1")).epoch
    await command(world, "a", "resume", epoch=epoch, afterSeq=2)
    assert texts(world, "a") == ["2", "You said: 2"]
    assert told(world, "a")[-1] == {
        "type": "system",
        "content": "resumed",
        "metadata": {"epoch": epoch, "lastSeq": 4, "turnId": None},
    }


async def test_a_resume_that_missed_nothing_brings_nothing():
    world = World()
    await answered(world, "1")
    await command(world, "a", "resume", afterSeq=2)
    assert world.gateway.kinds("a") == ["system:resumed"]
    assert told(world, "a")[0]["metadata"]["lastSeq"] == 2


async def test_a_resume_during_a_turn_names_it():
    world = World()
    await world.say("a", "Hi")
    await command(world, "b", "resume")
    turn = (await world.store.state("c1")).turn
    assert texts(world, "b") == ["Hi"]
    assert told(world, "b")[-1]["metadata"]["turnId"] == turn.turn_id


async def test_a_resume_from_before_a_clear_begins_anew():
    world = World()
    await answered(world, "1")
    before = (await world.store.state("c1")).epoch
    await world.conversations.clear("c1")
    await answered(world, "2")
    await command(world, "a", "resume", epoch=before, afterSeq=2)
    assert world.gateway.kinds("a") == ["system:conversation_cleared", "chat:user", "chat:assistant", "system:resumed"]
    assert texts(world, "a") == ["2", "You said: 2"]


async def test_a_resume_of_a_conversation_that_is_gone_says_so():
    world = World()
    await command(world, "a", "resume", epoch="1-old", afterSeq=9)
    assert world.gateway.kinds("a") == ["system:conversation_cleared", "system:resumed"]
    assert told(world, "a")[-1]["metadata"] == {"epoch": "", "lastSeq": 0, "turnId": None}


async def test_a_resume_brings_every_missed_message_however_many(monkeypatch):
    monkeypatch.setattr("copilotedge.sockets.RESUME_PAGE", 3)
    world = World()
    for number in range(10):
        await world.append("c1", "user", str(number), 0)
    await command(world, "a", "resume", afterSeq=1)
    assert texts(world, "a") == [str(number) for number in range(1, 10)]
    assert told(world, "a")[-1]["metadata"]["lastSeq"] == 10


async def test_a_resume_stops_where_a_clear_comes_between_its_pages(monkeypatch):
    monkeypatch.setattr("copilotedge.sockets.RESUME_PAGE", 2)
    world = World()
    for number in range(6):
        await world.append("c1", "user", str(number), 0)
    page, pages = world.conversations.page, []

    async def clear_before_the_second(*args: Any, **more: Any) -> Any:
        if pages:
            await world.conversations.clear("c1")
        pages.append(args)
        return await page(*args, **more)

    monkeypatch.setattr(world.conversations, "page", clear_before_the_second)
    await command(world, "a", "resume", afterSeq=0)
    assert texts(world, "a") == ["0", "1"]


async def test_a_socket_that_resumed_once_hears_the_next_turn_without_repeats():
    world = World()
    await command(world, "a", "resume")
    await world.say("a", "Hi")
    await world.work()
    assert world.gateway.kinds("a").count("status:thinking") == 1


# --- Announcing --------------------------------------------------------------------------------------------------


async def test_an_announcement_reaches_every_listed_socket():
    world = World()
    await world.connect("a", "b")
    await world.sockets.announce("c1", {"type": "system", "content": "pong"}, {"type": "delta"})
    assert world.gateway.kinds("a") == world.gateway.kinds("b") == ["system:pong", "delta"]


async def test_an_announcement_without_sockets_is_done_at_once():
    world = World()
    await world.sockets.announce("c1", {"type": "system", "content": "pong"})
    assert world.gateway.frames == {}


async def test_a_socket_that_pings_hears_the_next_life_of_its_conversation():
    world = World()
    await world.connect("a", "b")
    await answered(world, "1")
    await world.sockets.tell_cleared("c1", await world.conversations.delete("c1"))
    await world.store.sweep("c1")
    await command(world, "b", "ping")
    await world.say("a", "Hi")
    await world.work()
    assert "Hi" in texts(world, "b")
