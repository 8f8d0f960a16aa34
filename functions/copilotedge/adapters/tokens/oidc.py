"""Mode ``oidc``: tokens of an OpenID provider, such as Cognito or Auth0.

Source: https://openid.net/specs/openid-connect-discovery-1_0.html, section 4.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from copilotedge.adapters.tokens.claims import Claims, check_form, header_of, refusal
from copilotedge.adapters.tokens.jwks import ALGORITHMS, KeySet, key_set
from copilotedge.adapters.tokens.keys import Keys
from copilotedge.errors import StoreUnavailable
from copilotedge.identity import Identity
from copilotedge.ports import Clock, Log

FRESH_MS = 600_000
PAUSE_MS = 60_000
FETCH_SECONDS = 6.0
"""For both documents; the gateway waits 10 s for the authorizer."""

_LOOPBACK = ("127.0.0.1", "localhost")


class OidcTokens:
    """Implements ``ports.Tokens``. The client stays the caller's to close.

    Raises ``ValueError`` for an issuer that is no https URL; http will do on the machine itself. Of tokens, only those
    with the audience count: Cognito's ID tokens have one, its access tokens have none.
    """

    def __init__(self, client: httpx.AsyncClient, claims: Claims, clock: Clock, log: Log) -> None:
        self._client = client
        self._claims = claims
        self._discovery = _secure(claims.issuer.rstrip("/") + "/.well-known/openid-configuration")
        self._keys = Keys(self._fetch, clock, log, fresh_ms=FRESH_MS, pause_ms=PAUSE_MS)

    async def verify(self, token: str) -> Identity:
        check_form(token)
        header = header_of(token)
        if header.get("alg") not in ALGORITHMS:
            raise refusal()
        keys = await self._keys.known()
        if keys.lacks(header):
            keys = await self._keys.renewed() or keys
        key = keys.key_for(header)
        if key is None:
            raise refusal()
        return self._claims.identity(token, key.public, key.algorithms)

    async def _fetch(self) -> KeySet:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                provider = await self._get(self._discovery)
                if provider["issuer"] != self._claims.issuer:
                    raise StoreUnavailable("The provider calls itself something else than TOKEN_ISSUER.")
                return key_set(await self._get(_secure(provider["jwks_uri"])))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, TypeError, KeyError) as exc:
            raise StoreUnavailable("The provider's keys cannot be read.") from exc

    async def _get(self, url: str) -> Any:
        response = await self._client.get(url)
        return response.raise_for_status().json()


def _secure(url: str) -> str:
    found = httpx.URL(url)
    if not found.host or not (found.scheme == "https" or (found.scheme == "http" and found.host in _LOOPBACK)):
        raise ValueError("TOKEN_ISSUER and what it refers to must be https URLs")
    return url
