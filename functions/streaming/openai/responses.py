"""The Responses API."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge import answer_headers, requests
from copilotedge.answering import Answering, Pending
from copilotedge.openai import response_shapes
from copilotedge.openai.response_requests import ResponseRequest, parse_response
from copilotedge.openai.response_shapes import ResponseHead
from copilotedge.openai.responses import Place
from copilotedge.wiring import Application
from streaming import incoming
from streaming.incoming import application, arrival, deadline, user
from streaming.openai import told
from streaming.openai.told import event
from streaming.outgoing import EventStream, answer


async def create(request: Request) -> Response:
    app = application(request)
    asked = parse_response(await incoming.text(request), app.settings)
    place = await app.responses.place(asked, user(request), told.message_id(request))
    if asked.background:
        return await _leave(request, asked, place)
    until = deadline(request, streamed=bool(asked.stream))
    with told.asking(request, place.known_as):
        answering = await app.replies.open(
            asked.question, user(request), place.key, arrival(request), until, told.message_id(request)
        )
    told.note(request, place.known_as, answer_headers.of_answering(answering))
    head = app.responses.head(asked, place, answering.message_id or answering.turn_id, answering.created_at)
    if asked.stream:
        return _stream(app, answering, head, until)
    reply = await answering.end()
    if isinstance(reply, Pending):
        return answer(200, response_shapes.unfinished(head, "in_progress"))
    return answer(200, response_shapes.ended(head, reply), answer_headers.of_reply(reply))


async def read(request: Request) -> Response:
    """With ``stream=true``, its events, behind the number ``starting_after``: from the log, or as they come."""
    app = application(request)
    found = await app.responses.find(user(request), request.path_params["response_id"])
    if request.query_params.get("stream") != "true":
        return answer(200, app.responses.shown(found))
    after = requests.parse_count(request.query_params.get("starting_after"), "starting_after", -1, 0, 10**15)
    until = deadline(request)
    answering = await app.replies.follow(user(request), found.place.key, found.message_id, until)
    return _stream(app, answering, found.head, until, after)


async def cancel(request: Request) -> Response:
    return answer(200, await application(request).responses.cancel(user(request), request.path_params["response_id"]))


async def delete(request: Request) -> Response:
    response_id = request.path_params["response_id"]
    await application(request).responses.delete(user(request), response_id)
    return answer(200, {"id": response_id, "object": "response", "deleted": True})


async def _leave(request: Request, asked: ResponseRequest, place: Place) -> Response:
    """A worker answers; the stream only listens."""
    app = application(request)
    with told.asking(request, place.known_as):
        taken = await app.replies.leave(
            asked.question, user(request), place.key, arrival(request), told.message_id(request)
        )
    told.note(request, place.known_as, answer_headers.of_quota(taken.quota))
    head = app.responses.head(asked, place, taken.message_id, arrival(request))
    if asked.stream:
        until = deadline(request)
        answering = await app.replies.follow(user(request), place.key, taken.message_id, until, just_asked=True)
        return _stream(app, answering, head, until)
    if taken.repeated:
        return answer(200, app.responses.shown(await app.responses.find(user(request), head.response_id)))
    return answer(200, response_shapes.unfinished(head, "queued" if taken.position else "in_progress"))


def _stream(app: Application, answering: Answering, head: ResponseHead, until: int, after: int = -1) -> EventStream:
    return EventStream(
        _events(app, answering, head, after),
        finished=answering.finished,
        close_on_disconnect=answering.ends_with_caller,
        deadline=until,
    )


async def _events(
    app: Application, answering: Answering, head: ResponseHead, after: int
) -> AsyncGenerator[bytes, None]:
    async for told_event in app.responses.events(answering, head, after):
        yield event(told_event, told_event["type"])


ONE = "/v1/responses/{response_id}"

routes = [
    Route("/v1/responses", create, methods=["POST"]),
    Route(f"{ONE}/cancel", cancel, methods=["POST"]),
    Route(ONE, read, methods=["GET"]),
    Route(ONE, delete, methods=["DELETE"]),
]
