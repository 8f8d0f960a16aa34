"""A token for whoever plays with the local stack."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from operations import mint

USER = "you"
LIFE_SECONDS = 30 * 24 * 3600


def local_token(clients: Callable[[str], Any], outputs: Mapping[str, str]) -> str | None:
    """By the outputs of a deployed stack. None where no token is needed, or somebody else issues them."""
    if outputs.get("AuthMode") != "jwt":
        return None
    secret = clients("secretsmanager").get_secret_value(SecretId=outputs["SigningKeysSecretArn"])
    key = json.loads(secret["SecretString"])["current"]
    return mint(key, USER, outputs["TokenIssuer"], outputs["TokenAudience"], LIFE_SECONDS)
