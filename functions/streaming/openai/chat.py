"""Chat completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge import answer_headers
from copilotedge.answering import Answering, Pending
from copilotedge.errors import AnswerPending, CopilotEdgeError
from copilotedge.http_errors import body_of, status_of
from copilotedge.openai import chat_shapes, response_ids
from copilotedge.openai.chat_requests import ChatRequest, parse_chat
from copilotedge.openai.chat_shapes import DONE, Chunks
from copilotedge.wiring import Application
from streaming import incoming
from streaming.incoming import application, arrival, deadline, user
from streaming.openai import told
from streaming.openai.told import event
from streaming.outgoing import EventStream, answer

BEGIN_SECONDS = 10.0
"""How long a stream waits for its first word: until then, what goes wrong can still be a status."""


async def complete(request: Request) -> Response:
    return await chat(request, await incoming.text(request))


async def chat(request: Request, body: str) -> Response:
    """``body`` is the request's, which can be read only once."""
    app = application(request)
    asked = parse_chat(body, app.settings)
    known_as = _conversation(request, asked, app)
    key = await app.door.open(user(request), known_as, "write") if known_as else ""
    until = deadline(request, streamed=bool(asked.stream))
    with told.asking(request, known_as):
        answering = await app.replies.open(
            asked.question, user(request), key, arrival(request), until, told.message_id(request)
        )
    told.note(request, known_as, answer_headers.of_answering(answering))
    if asked.stream:
        return await _stream(app, asked, known_as, answering, until)
    reply = await answering.end()
    if isinstance(reply, Pending):
        raise _pending(known_as, reply)
    return answer(200, chat_shapes.completion(reply, known_as), answer_headers.of_reply(reply))


def _conversation(request: Request, asked: ChatRequest, app: Application) -> str:
    """The conversation's id as the caller gives it, "" for none."""
    if not app.settings.enable_conversations:
        return ""
    named = request.headers.get("x-conversation-id") or asked.known_as
    return named or app.settings.default_conversation_id


async def _stream(app: Application, asked: ChatRequest, known_as: str, answering: Answering, until: int) -> EventStream:
    with suppress(TimeoutError):
        async with asyncio.timeout(BEGIN_SECONDS):
            await answering.began()
    chunks = Chunks(
        answering.turn_id,
        answering.created_at,
        asked.model or app.settings.model,
        known_as,
        include_usage=bool((asked.stream_options or {}).get("include_usage")),
    )
    return EventStream(
        _events(app, chunks, known_as, answering),
        finished=answering.finished,
        close_on_disconnect=answering.ends_with_caller,
        deadline=until,
    )


async def _events(app: Application, chunks: Chunks, known_as: str, answering: Answering) -> AsyncGenerator[bytes, None]:
    """An error ends the stream: OpenAI's clients raise what stands under ``error``."""
    try:
        yield event(chunks.begin())
        async for piece in answering:
            yield event(chunks.piece(piece))
        reply = await answering.end()
        if isinstance(reply, Pending):
            raise _pending(known_as, reply)
        for chunk in chunks.rest(reply):
            yield event(chunk)
        yield event(DONE)
    except CopilotEdgeError as exc:
        if status_of(exc) >= 500:
            app.log.error("request_failed", code=exc.code, detail=getattr(exc, "detail", ""))
        yield event(body_of(exc))
    finally:
        await answering.close()


def _pending(known_as: str, pending: Pending) -> AnswerPending:
    where = response_ids.encode(known_as, pending.message_id)
    return AnswerPending(f"The answer takes longer: read it at /v1/responses/{where}", retry_after=5)


routes = [Route("/v1/chat/completions", complete, methods=["POST"])]
