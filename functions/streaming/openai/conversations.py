"""The Conversations API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge import answer_headers, frames, transitions
from copilotedge.door import Need
from copilotedge.errors import ConversationsDisabled, InvalidRequest, NotFound
from copilotedge.models import ConversationSettings, State
from copilotedge.openai import item_shapes
from copilotedge.openai.item_requests import messages_of, parse_conversation, parse_items
from copilotedge.outcomes import Appended
from copilotedge.requests import merge_context, parse_count
from copilotedge.wiring import Application
from streaming import incoming
from streaming.incoming import application, user
from streaming.openai import told
from streaming.outgoing import answer

DEFAULT_ITEMS = 20
METADATA = "metadata"
"""Its name in a conversation's context."""


async def create(request: Request) -> Response:
    app = application(request)
    asked = parse_conversation(await incoming.text(request), app.settings)
    known_as = f"conv_{transitions.new_id()}"
    key = await _open(request, known_as, "write")
    if asked.items:  # first, for they may be refused
        await _append(request, key, known_as, messages_of(asked.items, app.settings))
    return answer(200, await _store(app, key, known_as, asked.metadata))


async def read(request: Request) -> Response:
    known_as = request.path_params["conversation_id"]
    key = await _open(request, known_as, "read")
    return answer(200, _shown(known_as, *await _existing(application(request), key)))


async def update(request: Request) -> Response:
    app, known_as = application(request), request.path_params["conversation_id"]
    asked = parse_conversation(await incoming.text(request), app.settings)
    key = await _open(request, known_as, "write")
    if asked.metadata is None:
        raise InvalidRequest("metadata: Field required")
    await _existing(app, key)
    return answer(200, await _store(app, key, known_as, asked.metadata))


async def delete(request: Request) -> Response:
    app, known_as = application(request), request.path_params["conversation_id"]
    key = await _open(request, known_as, "own")
    await _existing(app, key)
    cleared = await app.conversations.delete(key)
    await app.sockets.tell_cleared(key, cleared)
    return answer(200, {"id": known_as, "object": "conversation.deleted", "deleted": True})


async def list_items(request: Request) -> Response:
    app, query = application(request), request.query_params
    key = await _open(request, request.path_params["conversation_id"], "read")
    limit = parse_count(query.get("limit"), "limit", DEFAULT_ITEMS, 1, 100)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order is asc or desc.", code="invalid_parameter")
    found = await app.items.page(key, limit, newest_first=order == "desc", after=query.get("after", ""))
    return answer(200, item_shapes.item_list(found.items, found.more))


async def add_items(request: Request) -> Response:
    known_as = request.path_params["conversation_id"]
    messages = parse_items(await incoming.text(request), application(request).settings)
    key = await _open(request, known_as, "write")
    appended = await _append(request, key, known_as, messages)
    items = [item for message in appended.messages for item in item_shapes.items_of(message)]
    return answer(200, item_shapes.item_list(items, more=False))


async def read_item(request: Request) -> Response:
    key = await _open(request, request.path_params["conversation_id"], "read")
    return answer(200, await application(request).items.find(key, request.path_params["item_id"]))


async def _open(request: Request, known_as: str, need: Need) -> str:
    app = application(request)
    if not app.settings.enable_conversations:
        raise ConversationsDisabled("Conversations are not enabled.")
    return await app.door.open(user(request), known_as, need)


async def _existing(app: Application, key: str) -> tuple[State, ConversationSettings]:
    """Raises ``NotFound``."""
    state, settings = await app.conversations.settings(key)
    if state is None:
        raise NotFound("There is no such conversation.")
    return state, settings


async def _append(request: Request, key: str, known_as: str, messages: tuple[Any, ...]) -> Appended:
    app = application(request)
    with told.asking(request, known_as, takes_ids=False):
        appended = await app.conversations.append_all(key, messages, user(request))
    told.note(request, known_as, answer_headers.of_quota(appended.quota))
    news = [frames.chat(message, appended.state.epoch) for message in appended.messages]
    await app.sockets.tell(appended.run, *news)
    return appended


async def _store(app: Application, key: str, known_as: str, metadata: dict[str, str] | None) -> dict[str, Any]:
    """The conversation as it is then; there is one afterwards."""

    def apply(stored: ConversationSettings) -> ConversationSettings:
        update = {} if metadata is None else {METADATA: metadata}
        return replace(stored, context=merge_context(stored.context, update))

    return _shown(known_as, *await app.conversations.store_settings(key, apply))


def _shown(known_as: str, state: State, settings: ConversationSettings) -> dict[str, Any]:
    metadata = settings.context.get(METADATA)
    return {
        "id": known_as,
        "object": "conversation",
        "created_at": state.created_at // 1000,
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


ONE = "/v1/conversations/{conversation_id:path}"
"""Ids of shared conversations may have slashes."""

routes = [
    Route("/v1/conversations", create, methods=["POST"]),
    Route(f"{ONE}/items", list_items, methods=["GET"]),
    Route(f"{ONE}/items", add_items, methods=["POST"]),
    Route(f"{ONE}/items/{{item_id:path}}", read_item, methods=["GET"]),
    Route(ONE, read, methods=["GET"]),
    Route(ONE, update, methods=["POST"]),
    Route(ONE, delete, methods=["DELETE"]),
]
