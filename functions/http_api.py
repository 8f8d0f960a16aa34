"""Lambda behind the HTTP API: REST routes, the chat page, and what clients need to find their way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from copilotedge import answer_headers, correlation, frames, requests, rest_shapes
from copilotedge.answering import Pending
from copilotedge.callers import caller
from copilotedge.copilotkit.graphql_operations import Operation, operation_of
from copilotedge.door import Need
from copilotedge.errors import (
    ConversationsDisabled,
    CopilotEdgeError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
)
from copilotedge.http_errors import body_of, defect, headers_of, status_of
from copilotedge.ids import check_message_id
from copilotedge.models import ConversationSettings
from copilotedge.openai import chat_shapes
from copilotedge.openai.chat_requests import ChatRequest, check_chat
from copilotedge.wiring import Application, application, now

routes = APIGatewayHttpResolver()

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "content-type": JSON}
PUBLIC = {("GET", "/"), ("GET", "/health"), ("GET", "/openapi.json")}
MARGIN_MS = 2_000
"""Kept of the function's time for saying something to the caller."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return handle(application(), event, context)


def handle(app: Application, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Serve one request (API Gateway payload format 2.0) and log one line about it."""
    http = event["requestContext"]["http"]
    with correlation.work():
        routes.append_context(app=app, user="")
        answer = _turn_away(app, event) or routes.resolve(event, context)
        if known := correlation.headers():
            answer["headers"] |= known
        app.log.info(
            "request", method=http["method"], route=rest_shapes.route_of(http["path"]), status=answer["statusCode"]
        )
    return answer


def _turn_away(app: Application, event: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a caller without a good token, whatever is asked for; None for the others, and what is public.

    A browser asks with OPTIONS, without a token, what it may do; the gateway puts the CORS headers on our answer.
    """
    context = event["requestContext"]
    if context["http"]["method"] == "OPTIONS":
        return {"statusCode": 204}
    if (context["http"]["method"], context["http"]["path"]) in PUBLIC:
        return None
    try:
        who = caller((context.get("authorizer") or {}).get("lambda"), app.settings, now())
    except Unauthenticated as exc:
        return {"statusCode": 401, "headers": HEADERS | headers_of(exc), "body": frames.dump(body_of(exc)).decode()}
    routes.append_context(user=who.user)
    return None


@routes.get("/")
def chat_page() -> Response[Any]:
    from copilotedge import page

    settings, asked = _app().settings, routes.current_event.headers
    document = page.document(settings)
    headers = page.headers(settings) | {"etag": document.etag, "vary": "accept-encoding"}
    if asked.get("if-none-match") == document.etag:
        return Response(304, document.content_type, "", headers)
    if "gzip" in asked.get("accept-encoding", ""):
        return Response(200, document.content_type, document.gzipped, headers | {"content-encoding": "gzip"})
    return Response(200, document.content_type, document.text, headers)


@routes.get("/health")
def health() -> Response[Any]:
    return _json(200, {"status": "ok"})


@routes.get("/openapi.json")
def api_description() -> Response[Any]:
    from copilotedge import openapi

    return _json(200, openapi.document(_app().settings))


@routes.post("/api/copilotedge")
def chat() -> Response[Any]:
    app = _app()
    fields = requests.load(_body(), app.settings)
    if operation := operation_of(fields):
        return _graphql(operation, fields)
    request = check_chat(requests.parse(ChatRequest, fields), app.settings)
    key = routes.current_event.headers.get("idempotency-key", "")
    message_id = check_message_id(key) if key else ""
    known_as = request.known_as or app.settings.default_conversation_id
    if not app.settings.enable_conversations:
        known_as = ""
    conversation_id = app.run(app.door.open(_user(), known_as, "write")) if known_as else ""
    deadline = _deadline(app)
    reply = app.run(app.replies.reply(request.question, _user(), conversation_id, _arrival(), deadline, message_id))
    if isinstance(reply, Pending):
        return _pending(reply, known_as)
    headers = answer_headers.of_reply(reply)
    if request.stream:
        events = chat_shapes.event_stream(reply, known_as)
        return Response(200, EVENTS, events, {**HEADERS, **headers, "content-type": EVENTS})
    return _json(200, chat_shapes.completion(reply, known_as), headers)


@routes.get("/conversations")
def list_conversations() -> Response[Any]:
    app = _app()
    if not app.settings.enable_conversations:
        raise ConversationsDisabled("Conversations are not enabled.")
    query = routes.current_event.query_string_parameters or {}
    most = app.settings.max_history_page
    limit = requests.parse_count(query.get("limit"), "limit", min(20, most), 1, most)
    search, archived = requests.parse_search(query.get("q")), requests.parse_flag(query.get("archived"), "archived")
    found = app.run(app.users.conversations(_user(), limit, query.get("cursor") or "", search, archived))
    body = {
        "conversations": [rest_shapes.listed(app.settings, entry) for entry in found.entries],
        "nextCursor": found.cursor or None,
    }
    return _json(200, body)


@routes.get("/models")
def list_models() -> Response[Any]:
    app = _app()
    return _json(200, rest_shapes.models(app.settings, app.prices))


@routes.delete("/users/me")
def forget_me() -> Response[Any]:
    app = _app()
    app.run(app.users.ask_to_forget(_user()))
    return _json(202, {"status": "deleting"})


@routes.patch("/conversation/<conversation_id>")
def change_listing(conversation_id: str) -> Response[Any]:
    from copilotedge import rest_requests

    app, _, conversation_id = _conversation(conversation_id, "own")
    marks = rest_requests.parse_marks(_body(), app.settings)
    return _json(200, rest_shapes.listed(app.settings, app.run(app.users.change(conversation_id, marks))))


@routes.get("/conversation/<conversation_id>/export")
def export(conversation_id: str) -> Response[Any]:
    from copilotedge import exports

    app, known_as, conversation_id = _conversation(conversation_id, "read")
    query = routes.current_event.query_string_parameters or {}
    form = exports.format_of(query.get("format"))
    after = requests.parse_count(query.get("after"), "after", 0, 0, requests.MAX_COUNT)
    found = app.run(app.exports.read(conversation_id, form, after))
    name = exports.file_name(conversation_id, form)
    headers = {**HEADERS, "content-type": form.media_type, "content-disposition": f'attachment; filename="{name}"'}
    return Response(200, form.media_type, form.whole(known_as, found), headers)


@routes.get("/conversation/<conversation_id>/messages")
def read_messages(conversation_id: str) -> Response[Any]:
    app, known_as, conversation_id = _conversation(conversation_id, "read")
    query = routes.current_event.query_string_parameters or {}
    most = app.settings.max_history_page
    limit = requests.parse_count(query.get("limit"), "limit", min(50, most), 1, most)
    before = requests.parse_count(query.get("before"), "before", 0, 0, 10**12)
    after = requests.parse_count(query.get("after"), "after", -1, 0, 10**12)
    if before and after >= 0:
        raise InvalidRequest("Give before or after, not both.", code="invalid_parameter")
    found = app.run(app.conversations.page(conversation_id, limit, before, after if after >= 0 else None))
    return _json(200, rest_shapes.history(known_as, found, forward=after >= 0))


@routes.post("/conversation/<conversation_id>/messages")
def append_message(conversation_id: str) -> Response[Any]:
    from copilotedge import rest_requests

    app, _, conversation_id = _conversation(conversation_id, "write")
    request = rest_requests.parse_append(_body(), app.settings)
    appended = app.run(
        app.conversations.append(conversation_id, request.role, request.content, request.tokens, _user())
    )
    news = frames.chat(appended.message, appended.state.epoch)
    app.run(app.sockets.tell(appended.run, news))
    body = {"success": True, "message": frames.history_entry(appended.message)}
    return _json(200, body, answer_headers.of_quota(appended.quota))


@routes.post("/conversation/<conversation_id>/clear")
def clear(conversation_id: str) -> Response[Any]:
    app, _, conversation_id = _conversation(conversation_id, "write")
    cleared = app.run(app.conversations.clear(conversation_id))
    app.run(app.sockets.tell_cleared(conversation_id, cleared))
    return _json(200, {"success": True})


@routes.post("/conversation/<conversation_id>/cancel")
def cancel(conversation_id: str) -> Response[Any]:
    app, _, conversation_id = _conversation(conversation_id, "write")
    return _json(200, {"success": True, "cancelled": bool(app.run(app.conversations.cancel(conversation_id)))})


@routes.get("/conversation/<conversation_id>/state")
def read_state(conversation_id: str) -> Response[Any]:
    app, known_as, conversation_id = _conversation(conversation_id, "read")
    state, settings = app.run(app.conversations.settings(conversation_id))
    title = app.run(app.users.title(conversation_id, state))
    return _json(200, rest_shapes.conversation_state(app.settings, known_as, state, settings, title))


@routes.put("/conversation/<conversation_id>/state")
def update_state(conversation_id: str) -> Response[Any]:
    from copilotedge import rest_requests

    app, known_as, conversation_id = _conversation(conversation_id, "write")
    update = rest_requests.parse_state_update(_body(), app.settings)

    def apply(stored: ConversationSettings) -> ConversationSettings:
        return replace(
            stored,
            model=stored.model if update.model is None else update.model,
            user_id=stored.user_id if update.user_id is None else update.user_id,
            context=requests.merge_context(stored.context, update.context),
        )

    state, settings = app.run(app.conversations.store_settings(conversation_id, apply))
    title = app.run(app.users.title(conversation_id, state))
    return _json(
        200, {"success": True, "state": rest_shapes.conversation_state(app.settings, known_as, state, settings, title)}
    )


@routes.get("/conversation/<conversation_id>/members")
def read_members(conversation_id: str) -> Response[Any]:
    app, known_as, conversation_id = _conversation(conversation_id, "own")
    return _json(
        200, rest_shapes.members(known_as, conversation_id, app.run(app.conversations.members(conversation_id)))
    )


@routes.put("/conversation/<conversation_id>/members")
def share(conversation_id: str) -> Response[Any]:
    from copilotedge import rest_requests

    app, known_as, conversation_id = _conversation(conversation_id, "own")
    members = rest_requests.parse_members(_body(), app.settings)
    app.run(app.sockets.share(conversation_id, members))
    return _json(200, rest_shapes.members(known_as, conversation_id, members))


@routes.delete("/conversation/<conversation_id>")
def delete(conversation_id: str) -> Response[Any]:
    app, _, conversation_id = _conversation(conversation_id, "own")
    cleared = app.run(app.conversations.delete(conversation_id))
    app.run(app.sockets.tell_cleared(conversation_id, cleared))
    return _json(200, {"success": True})


@routes.not_found
def unknown_route(_: NotFoundError) -> Response[Any]:
    from copilotedge import openapi

    allowed = openapi.methods_of(routes.current_event.path, _app().settings)
    if allowed and routes.current_event.http_method not in allowed:
        return _refuse(MethodNotAllowed("This route has no such method.", allowed=allowed))
    return _refuse(NotFound("There is no such route.", code="route_not_found"))


@routes.exception_handler(CopilotEdgeError)
def _refuse(exc: CopilotEdgeError) -> Response[Any]:
    detail = getattr(exc, "detail", "")
    if status_of(exc) >= 500:
        _app().log.error("request_failed", code=exc.code, detail=detail)
    return _json(status_of(exc), body_of(exc), headers_of(exc))


@routes.exception_handler(Exception)
def _break_down(exc: Exception) -> Response[Any]:
    """A defect of ours: the log is told, the caller nothing of it."""
    _app().log.error("unhandled_error", **defect(exc))
    return _refuse(CopilotEdgeError("Something went wrong on our side."))


def _app() -> Application:
    app: Application = routes.context["app"]
    return app


def _user() -> str:
    user: str = routes.context["user"]
    return user


def _conversation(raw_id: str, need: Need) -> tuple[Application, str, str]:
    """The application, the id as the caller gave it, and the conversation's key, once the caller may do this there."""
    app = _app()
    if not app.settings.enable_conversations:
        raise ConversationsDisabled("Conversations are not enabled.")
    known_as = unquote(raw_id)
    return app, known_as, app.run(app.door.open(_user(), known_as, need))


def _body() -> str:
    try:
        return routes.current_event.decoded_body or ""
    except ValueError as exc:
        raise InvalidRequest("The body is not UTF-8 text.", code="invalid_json") from exc


def _graphql(operation: Operation, fields: dict[str, Any]) -> Response[Any]:
    app = _app()
    answer = app.graphql.answer(operation, fields, _user(), _arrival(), _deadline(app))
    body, quota = app.run(answer)
    return _json(200, body, answer_headers.of_quota(quota))


def _arrival() -> int:
    return int(routes.current_event.raw_event["requestContext"].get("timeEpoch") or now())


def _deadline(app: Application) -> int:
    left = routes.lambda_context.get_remaining_time_in_millis() - MARGIN_MS
    return now() + min(int(app.settings.rest_time_budget_seconds * 1000), left)


def _pending(pending: Pending, known_as: str) -> Response[Any]:
    body = rest_shapes.pending(pending, known_as)
    headers = answer_headers.of_quota(pending.quota)
    return _json(202, body, {"location": f"..{body['messagesUrl']}", "retry-after": "5", **headers})


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(status, JSON, frames.dump(body).decode(), {**HEADERS, **(headers or {})})
