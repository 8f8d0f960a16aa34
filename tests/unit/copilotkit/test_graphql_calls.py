from __future__ import annotations

from typing import Any

from copilotedge.copilotkit.graphql_calls import GraphqlCalls
from tests.fakes import World
from tests.unit.copilotkit.test_threads import threads_of


async def ask(world: World, operation: Any, **data: Any) -> dict[str, Any]:
    calls = GraphqlCalls(threads_of(world))
    fields = {"variables": {"data": data}}
    body, _ = await calls.answer(operation, fields, "alice", world.clock.now, world.deadline)
    return body["data"]


def said(content: str, message_id: str = "m-1") -> dict[str, Any]:
    return {"id": message_id, "textMessage": {"content": content, "role": "user"}}


async def test_the_mutation_answers_in_its_thread():
    world = World()
    response = await ask(world, "generateCopilotResponse", threadId="t", messages=[said("Hello")])
    (message,) = response["generateCopilotResponse"]["messages"]
    assert message["content"] == ["You said: Hello"]
    assert [content for _, content, _ in await world.log_of("alice/t")] == ["Hello", "You said: Hello"]


async def test_without_a_thread_nothing_is_stored():
    world = World()
    response = await ask(world, "generateCopilotResponse", messages=[said("Hello")])
    assert response["generateCopilotResponse"]["threadId"]
    assert await world.store.listings("alice") == ()


async def test_a_mutation_that_is_sent_again_is_answered_once():
    world = World()
    for _ in range(2):
        await ask(world, "generateCopilotResponse", threadId="t", messages=[said("Hello")])
    assert len(world.model.requests) == 1


async def test_a_thread_is_loaded():
    world = World()
    await ask(world, "generateCopilotResponse", threadId="t", messages=[said("Hello")])
    assert "You said: Hello" in (await ask(world, "loadAgentState", threadId="t"))["loadAgentState"]["messages"]


async def test_agents_and_the_schema_ask_nothing_of_the_model():
    world = World()
    assert "availableAgents" in await ask(world, "availableAgents")
    assert "__schema" in await ask(world, "IntrospectionQuery")
    assert world.model.requests == []
