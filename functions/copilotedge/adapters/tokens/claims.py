"""From a token to an ``Identity``: the one place that asks PyJWT, and translates its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from jwt.types import Options

from copilotedge.errors import Unauthenticated
from copilotedge.identity import USER, Identity

LEEWAY_SECONDS = 30
"""How far the clocks of whoever makes tokens and ours may be apart."""

MAX_TOKEN_CHARACTERS = 8192

_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_LATEST = 253_402_300_799
"""The year 9999, in seconds; no later time is taken."""

_OPTIONS: Options = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
_CODES: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "token_expired",
    jwt.ImmatureSignatureError: "token_not_yet_valid",
}
_TEXTS = {
    "token_expired": "The token has expired.",
    "token_not_yet_valid": "The token is not valid yet.",
    "token_invalid": "The token is not valid.",
}


class WrongKey(Unauthenticated):
    """The signature is not this key's; it may be another's."""


class Claims:
    """What a token has to claim. ``issuer`` and ``audience`` must not be empty: ``ValueError``."""

    def __init__(self, issuer: str, audience: str) -> None:
        if not (issuer and audience):
            raise ValueError("TOKEN_ISSUER and TOKEN_AUDIENCE must be set")
        self.issuer = issuer
        self.audience = audience

    def identity(self, token: str, key: Any, algorithms: Sequence[str]) -> Identity:
        """Whose token it is, if ``key`` has signed it. ``algorithms`` follow from the key, never from the token.

        ``expires_at`` counts the leeway in: it is when the token begins to be refused. Raises ``Unauthenticated``.
        """
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_SECONDS,
                options=_OPTIONS,
            )
        except jwt.InvalidSignatureError as exc:
            raise WrongKey(_TEXTS["token_invalid"]) from exc
        except jwt.PyJWTError as exc:
            raise refusal(_CODES.get(type(exc), "token_invalid")) from exc
        return Identity(_user(claims["sub"]), (_seconds(claims["exp"]) + LEEWAY_SECONDS) * 1000)


def check_form(token: str) -> None:
    """Costs next to nothing. Raises ``Unauthenticated`` for what is too long or is no signed token."""
    if len(token) > MAX_TOKEN_CHARACTERS or not _COMPACT.fullmatch(token):
        raise refusal()


def header_of(token: str) -> Mapping[str, Any]:
    """What the token says of its key; nobody has checked it. Raises ``Unauthenticated``."""
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError as exc:
        raise refusal() from exc


def refusal(code: str = "token_invalid") -> Unauthenticated:
    return Unauthenticated(_TEXTS[code], code=code)


def _user(subject: str) -> str:
    if not USER.fullmatch(subject):
        raise refusal()
    return subject


def _seconds(time: Any) -> int:
    """A NumericDate (RFC 7519, section 2), as whole seconds."""
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time <= _LATEST:
        raise refusal()
    return int(time)
