"""Tokens for tests: good ones, and what no library would make."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from copilotedge.errors import Unauthenticated

CURRENT, PREVIOUS, OTHER = "c" * 64, "p" * 64, "o" * 64
ISSUER, AUDIENCE = "https://id.example/tenant", "copilotedge"

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def claims(**changes: Any) -> dict[str, Any]:
    """Good ones, but for the changes; None removes a claim."""
    good = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: Any = CURRENT, algorithm: str = "HS256", header: Any = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, header)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def handmade(header: Any, payload: Any, key: bytes = CURRENT.encode()) -> str:
    """What no library would make: any header, any payload, signed with HMAC-SHA256."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    signing_input = ".".join(b64(part) for part in parts)
    return f"{signing_input}.{b64(hmac.digest(key, signing_input.encode(), hashlib.sha256))}"


def tampered(token: str) -> str:
    header, payload, signature = token.split(".")
    changed = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"sub": "bob"}
    return f"{header}.{b64(json.dumps(changed).encode())}.{signature}"


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


async def code_of(tokens: Any, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await tokens.verify(token)
    return refused.value.code


def jwk(key: Any, key_id: str | None = None, **members: Any) -> dict[str, Any]:
    kinds = {
        rsa.RSAPublicKey: RSAAlgorithm,
        ec.EllipticCurvePublicKey: ECAlgorithm,
        ed25519.Ed25519PublicKey: OKPAlgorithm,
    }
    public = key.public_key()
    algorithm = next(found for kind, found in kinds.items() if isinstance(public, kind))
    found = algorithm.to_jwk(public, as_dict=True)
    found.pop("key_ops", None)
    return found | ({"kid": key_id} if key_id else {}) | members


LATER = int(time.time()) + 10 * 365 * 86_400
BAD_CLAIMS = {
    "wrong audience": ({"aud": "other"}, "token_invalid"),
    "audience as a part": ({"aud": AUDIENCE + "x"}, "token_invalid"),
    "no audience": ({"aud": None}, "token_invalid"),
    "empty audience": ({"aud": []}, "token_invalid"),
    "audience of no strings": ({"aud": [1]}, "token_invalid"),
    "wrong issuer": ({"iss": "https://other.example"}, "token_invalid"),
    "issuer with a slash": ({"iss": ISSUER + "/"}, "token_invalid"),
    "no issuer": ({"iss": None}, "token_invalid"),
    "no end": ({"exp": None}, "token_invalid"),
    "expired": ({"exp": int(time.time()) - 31}, "token_expired"),
    "long expired": ({"exp": 1}, "token_expired"),
    "end in words": ({"exp": "tomorrow"}, "token_invalid"),
    "end as a string": ({"exp": "99999999999"}, "token_invalid"),
    "end beyond all dates": ({"exp": 10**300}, "token_invalid"),
    "infinite": ({"exp": float("inf")}, "token_invalid"),
    "no number": ({"exp": float("nan")}, "token_invalid"),
    "not yet": ({"nbf": LATER}, "token_not_yet_valid"),
    "issued in the future": ({"iat": LATER}, "token_not_yet_valid"),
    "not before words": ({"nbf": "now"}, "token_invalid"),
    "no user": ({"sub": None}, "token_invalid"),
    "empty user": ({"sub": ""}, "token_invalid"),
    "user too long": ({"sub": "x" * 129}, "token_invalid"),
    "user no string": ({"sub": 42}, "token_invalid"),
    "user with a space": ({"sub": "alice bob"}, "token_invalid"),
    "user with a newline": ({"sub": "alice\n"}, "token_invalid"),
    "user beyond ASCII": ({"sub": "zoë"}, "token_invalid"),
}
