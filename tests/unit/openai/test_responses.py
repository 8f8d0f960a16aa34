"""Which response a next one may go on from."""

from __future__ import annotations

import asyncio

import pytest

from copilotedge.door import Door
from copilotedge.errors import InvalidRequest
from copilotedge.models import Connection
from copilotedge.openai import response_ids
from copilotedge.openai.response_requests import ResponseRequest
from copilotedge.openai.responses import Place, Responses
from copilotedge.transitions import Submission
from tests.fakes import World, until


async def behind(world: World, message_id: str) -> Place:
    responses = Responses(Door(world.store), world.conversations, world.sockets, world.settings, world.clock, world.log)
    request = ResponseRequest(input="And then?", previous_response_id=response_ids.encode("c", message_id))
    return await responses.place(request, "alice")


async def test_while_its_end_is_told_a_response_is_the_last_one_unless_a_message_waits():
    world = World()
    await world.store.connect("alice/c", Connection("stuck", "alice"))
    world.gateway.stuck.add("stuck")
    await world.conversations.submit("alice/c", Submission("m1", "1", world.clock.now, client_id=True, user="alice"))
    run = await world.runner.claim("alice/c", "me")
    working = asyncio.create_task(world.runner.serve(run, world.deadline))
    try:
        await until(lambda: any(event == "turn_ended" for event, _ in world.log.lines))
        assert (await world.store.state("alice/c")).turn.telling
        assert (await behind(world, "m1")).key == "alice/c"
        await world.conversations.submit("alice/c", Submission("m2", "2", world.clock.now, user="alice"))
        with pytest.raises(InvalidRequest) as refused:
            await behind(world, "m1")
        assert refused.value.code == "previous_response_not_last"
    finally:
        working.cancel()
