"""CopilotKit's runtime, under ``/api/copilotedge``: AG-UI by many routes, or by one whose body names the method."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge.answer_headers import of_quota
from copilotedge.copilotkit import agui_events, agui_requests, agui_shapes
from copilotedge.copilotkit.agui_events import Event
from copilotedge.copilotkit.agui_requests import AGENT, SingleRoute
from copilotedge.copilotkit.graphql_operations import Operation, operation_of
from copilotedge.errors import CopilotEdgeError, NotFound
from copilotedge.http_errors import defect, headers_of
from copilotedge.requests import load, parse
from streaming import copilotkit_threads
from streaming.edge import Caught
from streaming.incoming import application, arrival, deadline, text, user
from streaming.openai.chat import chat
from streaming.outgoing import EventStream, answer

PATH = "/api/copilotedge"
Fields = dict[str, Any]


async def info(_: Request) -> Response:
    return answer(200, agui_shapes.info())


async def run(request: Request) -> Response:
    return await _run(request, request.path_params["agent"], await _fields(request))


async def connect(request: Request) -> Response:
    return await _connect(request, request.path_params["agent"], await _fields(request))


async def stop(request: Request) -> Response:
    await text(request)
    return await _stop(request, request.path_params["agent"], request.path_params["thread"])


async def single_route(request: Request) -> Response:
    """By what the body is: a method of AG-UI's, GraphQL, or OpenAI's chat."""
    body = await text(request)
    fields = load(body, application(request).settings)
    if "method" in fields:
        return await _call(request, parse(SingleRoute, fields))
    if operation := operation_of(fields):
        return await _graphql(request, operation, fields)
    return await chat(request, body)


async def _call(request: Request, call: SingleRoute) -> Response:
    match call.method:
        case "info":
            return await info(request)
        case "agent/run" | "agent/suggest":
            return await _run(request, call.params.agent_id, call.fields)
        case "agent/connect":
            return await _connect(request, call.params.agent_id, call.fields)
        case "agent/stop":
            return await _stop(request, call.params.agent_id, call.params.thread_id)
        case "resource/request":
            return await copilotkit_threads.resource(request, call.params, call.body)
    raise NotFound("There is no such method.", code="route_not_found")


async def _run(request: Request, agent: str, fields: Fields) -> Response:
    """What is wrong with the question itself, or too much, its sender is told in the stream, which shows it."""
    _check_agent(agent)
    threads, asked = application(request).threads, agui_requests.parse_run(fields)
    key = await threads.enter(asked, user(request), "write")
    try:
        answering = await threads.ask(asked, user(request), key, arrival(request), deadline(request))
    except CopilotEdgeError as exc:
        application(request).log.info("run_refused", code=exc.code)
        return EventStream(_encoded(request, threads.refuse(asked, exc)), headers=headers_of(exc))
    return EventStream(
        _encoded(request, threads.run(asked, answering, user(request))),
        finished=answering.close,
        close_on_disconnect=answering.ends_with_caller,
        deadline=deadline(request),
        headers=of_quota(answering.quota),
    )


async def _connect(request: Request, agent: str, fields: Fields) -> Response:
    _check_agent(agent)
    threads, asked = application(request).threads, agui_requests.parse_run(fields)
    key = await threads.enter(asked, user(request), "read")
    events = threads.connect(asked, user(request), key, deadline(request))
    return EventStream(_encoded(request, events), close_on_disconnect=True, deadline=deadline(request))


async def _stop(request: Request, agent: str, thread_id: str) -> Response:
    _check_agent(agent)
    return answer(200, await application(request).threads.stop(user(request), thread_id))


async def _graphql(request: Request, operation: Operation, fields: Fields) -> Response:
    calls = application(request).graphql
    body, quota = await calls.answer(operation, fields, user(request), arrival(request), deadline(request))
    return answer(200, body, of_quota(quota))


async def _encoded(request: Request, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """A defect of ours ends the stream too: clients take one that just stops for a run that went well."""
    with Caught() as caught:
        async with aclosing(events):
            async for event in events:
                yield agui_events.encode(event)
    if caught.error is not None:
        application(request).log.error("unhandled_error", **defect(caught.error))
        yield agui_events.encode(agui_events.run_error(CopilotEdgeError("Something went wrong on our side.")))


async def _fields(request: Request) -> Fields:
    return load(await text(request), application(request).settings)


def _check_agent(agent: str) -> None:
    if agent != AGENT:
        raise NotFound("There is no such agent.", code="agent_not_found")


routes = [
    Route(PATH, single_route, methods=["POST"]),
    Route(f"{PATH}/info", info, methods=["GET"]),
    Route(f"{PATH}/agent/{{agent}}/run", run, methods=["POST"]),
    Route(f"{PATH}/agent/{{agent}}/suggest", run, methods=["POST"]),
    Route(f"{PATH}/agent/{{agent}}/connect", connect, methods=["POST"]),
    Route(f"{PATH}/agent/{{agent}}/stop/{{thread}}", stop, methods=["POST"]),
    *copilotkit_threads.routes(PATH),
]
