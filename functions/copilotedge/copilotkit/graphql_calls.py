"""Answers the calls of ``graphql_shapes``, whichever door they come through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copilotedge import transitions
from copilotedge.copilotkit import graphql_shapes
from copilotedge.copilotkit.graphql_operations import Operation
from copilotedge.copilotkit.threads import Threads
from copilotedge.limits import UNLIMITED, Quota


class GraphqlCalls:
    """Stateless. A call that names a thread is part of that conversation."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def answer(
        self, operation: Operation, fields: Mapping[str, Any], user: str, arrival: int, deadline: int
    ) -> tuple[dict[str, Any], Quota]:
        """The result, and what the user may still ask. Raises the errors of ``errors``."""
        match operation:
            case "generateCopilotResponse":
                return await self._generate(fields, user, arrival, deadline)
            case "availableAgents":
                return graphql_shapes.available_agents(), UNLIMITED
            case "loadAgentState":
                return await self._load(graphql_shapes.thread_asked_for(fields), user), UNLIMITED
            case "IntrospectionQuery":
                return graphql_shapes.introspected(), UNLIMITED

    async def _generate(
        self, fields: Mapping[str, Any], user: str, arrival: int, deadline: int
    ) -> tuple[dict[str, Any], Quota]:
        run = graphql_shapes.run_of(fields, transitions.new_id())
        key = await self._threads.enter(run, user, "write") if run.thread_id else ""
        answering = await self._threads.ask(run, user, key, arrival, deadline)
        reply = await answering.end()
        return graphql_shapes.generated(run, run.thread_id or answering.turn_id, reply), answering.quota

    async def _load(self, thread_id: str, user: str) -> dict[str, Any]:
        state = await self._threads.state(user, thread_id)
        return graphql_shapes.loaded(thread_id, state, await self._threads.messages(user, thread_id))
