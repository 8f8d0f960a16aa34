"""Who calls, by what the authorizer has put into the event: it says who, we say no (docs/decisions/0006)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copilotedge.errors import Unauthenticated
from copilotedge.identity import ANONYMOUS, Identity
from copilotedge.settings import Settings

_REASONS = {
    "token_missing": "This needs an access token: Authorization: Bearer <token>.",
    "token_expired": "The access token has expired.",
    "token_not_yet_valid": "The access token is not valid yet.",
}


def bearer(header: str) -> str:
    """The token of an ``Authorization`` header; empty when it carries none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def caller(context: Mapping[str, Any] | None, settings: Settings, now: int) -> Identity:
    """The caller by the authorizer's context (None: there was none). ``now`` in ms; the gateway keeps answers a while.

    Raises ``Unauthenticated``; also when nobody has said who it is, for the door is closed by default.
    """
    if settings.auth_mode == "none":
        return Identity(ANONYMOUS, 0)
    said = context or {}
    user, expires = said.get("user") or "", int(said.get("tokenExpires") or 0)
    refusal = said.get("refusal") or ("" if user else "token_missing")
    if not refusal and 0 < expires <= now:
        refusal = "token_expired"
    if refusal:
        raise Unauthenticated(_REASONS.get(refusal, "The access token is not valid."), code=refusal)
    return Identity(user, expires)
