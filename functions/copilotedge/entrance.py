"""What tells users by their tokens, apart from ``wiring``: the authorizer's cold start pays for nothing else."""

from __future__ import annotations

import os
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from copilotedge.adapters import aws
from copilotedge.adapters.secrets_manager import Secret
from copilotedge.errors import StoreUnavailable, Unauthenticated
from copilotedge.identity import ANONYMOUS, Identity
from copilotedge.runtime import Runtime, now
from copilotedge.settings import Settings

if TYPE_CHECKING:
    from copilotedge.adapters.tokens.claims import Claims
    from copilotedge.ports import Tokens


class Entrance(Runtime):
    """For the authorizer and the stream API. Reading keys fails before the gateway gives up, at 10 s."""

    def prepare_to_identify(self) -> None:
        """Makes what that takes in this mode."""
        self.prepare(*([] if self.settings.auth_mode == "none" else ["tokens"]))

    async def identify(self, token: str) -> Identity:
        """Whose token it is; "" is none. Raises ``Unauthenticated`` with the reason, and ``StoreUnavailable``."""
        if self.settings.auth_mode == "none":
            return Identity(ANONYMOUS)
        if not token:
            raise Unauthenticated("There is no token.", code="token_missing")
        return await self.tokens.verify(token)

    @cached_property
    def tokens(self) -> Tokens:
        """Raises ``ValueError`` for settings with which nobody could be let in."""
        from copilotedge.adapters.tokens.claims import Claims

        claims = Claims(self.settings.token_issuer, self.settings.token_audience)
        if self.settings.auth_mode == "jwt":
            return self._shared_key_tokens(claims)
        if self.settings.auth_mode == "oidc":
            return self._oidc_tokens(claims)
        raise ValueError("AUTH_MODE must be jwt, oidc or none")

    def _shared_key_tokens(self, claims: Claims) -> Tokens:
        from copilotedge.adapters.tokens.shared_key import SharedKeyTokens

        client = aws.client("secretsmanager", read_timeout=2, attempts=2)
        secret = Secret(client, self.settings.signing_keys_secret_arn, StoreUnavailable)
        return SharedKeyTokens(partial(secret, refresh=True), claims, now, self.log)

    def _oidc_tokens(self, claims: Claims) -> Tokens:
        import httpx  # only this mode pays for it

        from copilotedge.adapters.tokens.oidc import OidcTokens

        client = httpx.AsyncClient(timeout=3)
        self._resources.push_async_callback(client.aclose)
        return OidcTokens(client, claims, now, self.log)


@cache
def entrance() -> Entrance:
    """The entrance of this execution environment."""
    return Entrance(Settings.from_environment(os.environ))
