import json
from typing import Any

import jwt

from local.tokens import local_token

OUTPUTS = {"AuthMode": "jwt", "SigningKeysSecretArn": "keys", "TokenIssuer": "shop", "TokenAudience": "chat"}
KEY = "k" * 64


class Secrets:
    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        assert SecretId == "keys"
        return {"SecretString": json.dumps({"current": KEY, "previous": ""})}


def test_whoever_plays_with_the_local_stack_gets_a_token_for_a_month() -> None:
    token = local_token(lambda _: Secrets(), OUTPUTS)
    claims = jwt.decode(token or "", KEY, algorithms=["HS256"], issuer="shop", audience="chat")
    assert claims["sub"] == "you"
    assert claims["exp"] - claims["iat"] == 30 * 24 * 3600


def test_where_none_is_needed_or_somebody_else_issues_them_there_is_none() -> None:
    for mode in ("none", "oidc"):
        assert local_token(lambda _: Secrets(), OUTPUTS | {"AuthMode": mode}) is None
