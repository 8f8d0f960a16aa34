"""The REST routes' own JSON shapes. ``known_as`` is the conversation id as the caller gave it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from copilotedge import frames
from copilotedge.addresses import address_of_key
from copilotedge.answering import Pending
from copilotedge.models import ConversationSettings, MemberRole, State
from copilotedge.outcomes import Page
from copilotedge.prices import PricedModel, Prices, dollars
from copilotedge.settings import Settings

if TYPE_CHECKING:
    from copilotedge.users import Entry

MAX_BYTES = 5_000_000
"""Of messages in an answer, as Lambda hands them on: a JSON string in ASCII. It may be 6 MB (quotas page of Lambda)."""

_FIRST = {"api", "conversation", "conversations", "users", "models", "health", "openapi.json"}
_LAST = {"messages", "clear", "cancel", "state", "members", "export"}


def history(known_as: str, page: Page, *, forward: bool) -> dict[str, Any]:
    """Of what was read, ``forward`` or back from the newest, as much as fits into one answer."""
    state, entries = page.state, [frames.history_entry(message) for message in page.messages]
    fit = _fitting(entries if forward else reversed(entries))
    kept = entries[:fit] if forward else entries[len(entries) - fit :]
    turn = state.running if state and state.running and not state.running.closing else None
    running = {"turnId": turn.turn_id, "messageId": turn.message_id, "attempt": turn.attempt} if turn else None
    return {
        "conversationId": known_as,
        "epoch": state.epoch if state else "",
        "messages": kept,
        "totalTokens": state.total_tokens if state else 0,
        "hasMore": page.more or len(kept) < len(entries),
        "turn": running,
    }


def _fitting(entries: Iterable[dict[str, Any]]) -> int:
    """How many of them; at least one."""
    sizes = accumulate(len(json.dumps(json.dumps(entry))) for entry in entries)
    return max(1, sum(1 for _ in takewhile(lambda size: size <= MAX_BYTES, sizes)))


def conversation_state(
    settings: Settings, known_as: str, state: State | None, stored: ConversationSettings, title: str
) -> dict[str, Any]:
    return {
        "conversationId": known_as,
        "title": title,
        "userId": stored.user_id or None,
        "model": settings.model_for(stored.model),
        "context": dict(stored.context),
        "messageCount": min(state.message_count, settings.max_stored_messages) if state else 0,
        "queued": state.queued if state else 0,
        "totalTokens": state.total_tokens if state else 0,
        "totalCostUsd": dollars(state.total_cost) if state else 0.0,
        "createdAt": state.created_at if state else None,
        "lastActivity": state.last_activity if state else None,
    }


def listed(settings: Settings, entry: Entry) -> dict[str, Any]:
    return {
        "conversationId": entry.name,
        "title": entry.listing.title,
        "pinned": entry.listing.pinned,
        "archived": entry.listing.archived,
        "createdAt": entry.state.created_at,
        "lastActivity": entry.state.last_activity,
        "messageCount": min(entry.state.message_count, settings.max_stored_messages),
        "totalTokens": entry.state.total_tokens,
        "totalCostUsd": dollars(entry.state.total_cost),
    }


def models(settings: Settings, prices: Prices) -> dict[str, Any]:
    return {"models": [_model(model) for model in prices.offered(settings)], "default": settings.model}


def _model(model: PricedModel) -> dict[str, Any]:
    price = model.price
    return {
        "id": model.name,
        "inputUsdPerMillion": float(price.input) if price else None,
        "outputUsdPerMillion": float(price.output) if price else None,
    }


def members(known_as: str, key: str, allowed: Mapping[str, MemberRole]) -> dict[str, Any]:
    return {"conversationId": known_as, "sharedId": address_of_key(key).shared_id, "members": dict(allowed)}


def pending(reply: Pending, known_as: str) -> dict[str, Any]:
    """The answer will be in the log."""
    return {
        "status": "pending",
        "conversationId": known_as,
        "turnId": reply.turn_id,
        "messageId": reply.message_id,
        "messagesUrl": f"/conversation/{quote(known_as, safe='')}/messages",
    }


def route_of(path: str) -> str:
    """For the log: where a path goes, without the ids in it."""
    first, _, rest = path.strip("/").partition("/")
    last = rest.rpartition("/")[2]
    tail = f"/{last}" if first == "conversation" and last in _LAST else ""
    return f"/{first}" + ("/{id}" if rest and first == "conversation" else "") + tail if first in _FIRST else "/..."
