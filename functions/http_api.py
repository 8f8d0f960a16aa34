"""Lambda behind the HTTP API: REST routes, the chat page, and what clients need to find their way."""

from __future__ import annotations

from dataclasses import replace
from traceback import extract_tb
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from copilotedge import frames, openai_shapes, openapi, page, requests
from copilotedge.errors import ConversationsDisabled, CopilotEdgeError, InvalidRequest, NotFound
from copilotedge.http_errors import body_of, headers_of, status_of
from copilotedge.models import ConversationSettings, State
from copilotedge.replies import Pending
from copilotedge.wiring import Application, application, now

routes = APIGatewayHttpResolver()

JSON = "application/json"
MARGIN_MS = 2_000
"""Kept of the function's time for saying something to the caller."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return handle(application(), event, context)


def handle(app: Application, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Serve one request (API Gateway payload format 2.0) and log one line about it."""
    routes.append_context(app=app)
    answer = routes.resolve(event, context)
    http = event["requestContext"]["http"]
    app.log.info("request", method=http["method"], path=event["rawPath"], status=answer["statusCode"])
    return answer


@routes.get("/")
def chat_page() -> Response[str]:
    return _file("index.html")


@routes.get("/assets/<name>")
def asset(name: str) -> Response[str]:
    return _file(unquote(name))


@routes.get("/config.json")
def page_config() -> Response[Any]:
    return _json(200, page.config(_app().settings))


@routes.get("/health")
def health() -> Response[Any]:
    return _json(200, {"status": "ok"})


@routes.get("/openapi.json")
def api_description() -> Response[Any]:
    return _json(200, openapi.document())


@routes.post("/api/copilotedge")
def chat() -> Response[Any]:
    app = _app()
    request = requests.parse_chat(_body(), app.settings)
    key = routes.current_event.headers.get("idempotency-key", "")
    message_id = requests.check_message_id(key) if key else ""
    reply = app.run(app.replies.reply(request, _arrival(), _deadline(app), message_id))
    if isinstance(reply, Pending):
        return _pending(reply)
    if request.stream:
        return Response(200, "text/event-stream; charset=utf-8", openai_shapes.event_stream(reply))
    return _json(200, openai_shapes.completion(reply))


@routes.get("/conversation/<conversation_id>/messages")
def read_messages(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    query = routes.current_event.query_string_parameters or {}
    limit = requests.parse_count(query.get("limit"), "limit", 50, 1, 100)
    before = requests.parse_count(query.get("before"), "before", 0, 0, 10**12)
    after = requests.parse_count(query.get("after"), "after", -1, 0, 10**12)
    if before and after >= 0:
        raise InvalidRequest("Give before or after, not both.", code="invalid_parameter")
    found = app.run(app.conversations.page(conversation_id, limit, before, after if after >= 0 else None))
    state = found.state
    turn = state.turn if state and state.turn and not state.turn.closing else None
    running = {"turnId": turn.turn_id, "messageId": turn.message_id, "attempt": turn.attempt} if turn else None
    return _json(
        200,
        {
            "conversationId": conversation_id,
            "epoch": state.epoch if state else "",
            "messages": [frames.history_entry(message) for message in found.messages],
            "totalTokens": state.total_tokens if state else 0,
            "hasMore": found.more,
            "turn": running,
        },
    )


@routes.post("/conversation/<conversation_id>/messages")
def append_message(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    request = requests.parse_append(_body(), app.settings)
    message, state = app.run(app.conversations.append(conversation_id, request.role, request.content, request.tokens))
    news = frames.chat(message, state.epoch)
    app.run(app.sockets.announce(conversation_id, news, voice_until=state.voice_until))
    return _json(200, {"success": True, "message": frames.history_entry(message)})


@routes.post("/conversation/<conversation_id>/clear")
def clear(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    cleared = app.run(app.conversations.clear(conversation_id))
    app.run(app.sockets.tell_cleared(conversation_id, cleared))
    return _json(200, {"success": True})


@routes.post("/conversation/<conversation_id>/cancel")
def cancel(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    return _json(200, {"success": True, "cancelled": bool(app.run(app.conversations.cancel(conversation_id)))})


@routes.get("/conversation/<conversation_id>/state")
def read_state(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    state, settings = app.run(app.conversations.settings(conversation_id))
    return _json(200, _state_body(app, conversation_id, state, settings))


@routes.put("/conversation/<conversation_id>/state")
def update_state(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    update = requests.parse_state_update(_body(), app.settings)

    def apply(stored: ConversationSettings) -> ConversationSettings:
        return replace(
            stored,
            model=stored.model if update.model is None else update.model,
            user_id=stored.user_id if update.user_id is None else update.user_id,
            context=requests.merge_context(stored.context, update.context),
        )

    state, settings = app.run(app.conversations.store_settings(conversation_id, apply))
    return _json(200, {"success": True, "state": _state_body(app, conversation_id, state, settings)})


@routes.delete("/conversation/<conversation_id>")
def delete(conversation_id: str) -> Response[Any]:
    app, conversation_id = _conversation(conversation_id)
    cleared = app.run(app.conversations.delete(conversation_id))
    app.run(app.sockets.tell_cleared(conversation_id, cleared))
    return _json(200, {"success": True})


@routes.not_found
def unknown_route(_: NotFoundError) -> Response[Any]:
    return _refuse(NotFound("There is no such route.", code="route_not_found"))


@routes.exception_handler(CopilotEdgeError)
def _refuse(exc: CopilotEdgeError) -> Response[Any]:
    detail = getattr(exc, "detail", "")
    if status_of(exc) >= 500:
        _app().log.error("request_failed", code=exc.code, detail=detail)
    return _json(status_of(exc), body_of(exc), headers_of(exc))


@routes.exception_handler(Exception)
def _break_down(exc: Exception) -> Response[Any]:
    """A defect of ours: its kind and place go to the log (its text could quote a message), nothing to the caller."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in extract_tb(exc.__traceback__)[-5:]]
    _app().log.error("unhandled_error", error=type(exc).__name__, places=places)
    return _refuse(CopilotEdgeError("Something went wrong on our side."))


def _app() -> Application:
    app: Application = routes.context["app"]
    return app


def _conversation(raw_id: str) -> tuple[Application, str]:
    """The application and the id of the path, once conversations are enabled and the id is well-formed."""
    app = _app()
    if not app.settings.enable_conversations:
        raise ConversationsDisabled("Conversations are not enabled.")
    return app, requests.check_conversation_id(unquote(raw_id))


def _body() -> str:
    try:
        return routes.current_event.decoded_body or ""
    except ValueError as exc:
        raise InvalidRequest("The body is not UTF-8 text.", code="invalid_json") from exc


def _arrival() -> int:
    return int(routes.current_event.raw_event["requestContext"].get("timeEpoch") or now())


def _deadline(app: Application) -> int:
    left = routes.lambda_context.get_remaining_time_in_millis() - MARGIN_MS
    return now() + min(int(app.settings.rest_time_budget_seconds * 1000), left)


def _pending(pending: Pending) -> Response[Any]:
    messages = f"conversation/{pending.conversation_id}/messages"
    body = {
        "status": "pending",
        "conversationId": pending.conversation_id,
        "turnId": pending.turn_id,
        "messageId": pending.message_id,
        "messagesUrl": f"/{messages}",
    }
    return _json(202, body, {"location": f"../{messages}", "retry-after": "5"})


def _state_body(
    app: Application, conversation_id: str, state: State | None, settings: ConversationSettings
) -> dict[str, Any]:
    return {
        "conversationId": conversation_id,
        "userId": settings.user_id or None,
        "model": settings.model or app.settings.model,
        "context": dict(settings.context),
        "messageCount": min(state.message_count, app.settings.max_stored_messages) if state else 0,
        "queued": state.queued if state else 0,
        "totalTokens": state.total_tokens if state else 0,
        "createdAt": state.created_at if state else None,
        "lastActivity": state.last_activity if state else None,
    }


def _file(name: str) -> Response[str]:
    found = page.file(name)
    if found is None:
        raise NotFound("There is no such file.", code="route_not_found")
    headers = page.headers(_app().settings) | {"etag": found.etag}
    if routes.current_event.headers.get("if-none-match") == found.etag:
        return Response(304, found.content_type, "", headers)
    return Response(200, found.content_type, found.text, headers)


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response[Any]:
    security = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(status, JSON, frames.dump(body).decode(), {**security, **(headers or {})})
