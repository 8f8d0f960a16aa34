"""Tokens and the keys that sign them."""

import json
import secrets
import time
from typing import Any

import jwt

from operations.errors import OperationError

KEY_BYTES = 48  # 64 characters of base64url


def mint(key: str, user: str, issuer: str, audience: str, seconds: float) -> str:
    """A token of `user`, good for `seconds` from now. Raises OperationError for a name that no token can carry."""
    if not (user.isascii() and user.isprintable() and " " not in user and 1 <= len(user) <= 128):
        raise OperationError("A user is 1 to 128 visible ASCII characters, without spaces.")
    now = int(time.time())
    claims = {"sub": user, "iss": issuer, "aud": audience, "iat": now, "exp": now + int(seconds)}
    return jwt.encode(claims, key, algorithm="HS256")


class SigningKeys:
    """The secret that holds them, `{"current": ..., "previous": ...}`. `client` is Secrets Manager's."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def current(self) -> str:
        """The key that new tokens are signed with."""
        found: str = json.loads(self._client.get_secret_value(SecretId=self._arn)["SecretString"])["current"]
        return found

    def rotate(self) -> None:
        """Makes a new current key. The one it replaces becomes the previous one, whose tokens stay good."""
        keys = {"current": secrets.token_urlsafe(KEY_BYTES), "previous": self.current()}
        self._client.put_secret_value(SecretId=self._arn, SecretString=json.dumps(keys))
