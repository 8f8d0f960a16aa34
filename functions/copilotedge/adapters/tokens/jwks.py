"""A JSON Web Key Set (RFC 7517): which of its keys may check what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from copilotedge.values import dataclass

MIN_RSA_BITS = 2048

ALGORITHMS = ("RS256", "PS256", "ES256")
"""All that a key may be used for. Never HS256: then a public key would be a secret."""

_PUBLIC_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}


@dataclass(frozen=True, slots=True)
class Key:
    """``algorithms`` follow from what the key is."""

    key_id: str | None
    public: Any
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a provider."""

    keys: tuple[Key, ...]

    def lacks(self, header: Mapping[str, Any]) -> bool:
        """Whether the token names a key that is not here: there may be a newer set."""
        named = header.get("kid")
        return named is not None and all(key.key_id != named for key in self.keys)

    def key_for(self, header: Mapping[str, Any]) -> Key | None:
        """The key that the token names; if it names none, the only one of its algorithm."""
        named = header.get("kid")
        fitting = [key for key in self.keys if header.get("alg") in key.algorithms and named in (None, key.key_id)]
        return fitting[0] if fitting and (named is not None or len(fitting) == 1) else None


def key_set(document: Any) -> KeySet:
    """Leaves out what does not serve for checking signatures. Raises ``ValueError`` when nothing is left."""
    entries = document.get("keys") if isinstance(document, Mapping) else None
    listed = entries if isinstance(entries, Sequence) else ()
    keys = tuple(key for entry in listed if isinstance(entry, Mapping) and (key := _usable(entry)))
    if not keys:
        raise ValueError("no usable key")
    return KeySet(keys)


def _usable(entry: Mapping[str, Any]) -> Key | None:
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ("verify",)):
            return None
        public, algorithms = _public(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    named = entry.get("alg")
    allowed = tuple(name for name in algorithms if named in (None, name))
    return Key(entry.get("kid"), public, allowed) if allowed else None


def _public(entry: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The key without its private part, should somebody have published that, and what it may check."""
    members = {name: entry[name] for name in _PUBLIC_MEMBERS[entry["kty"]]}
    if members["kty"] == "RSA":
        rsa = RSAAlgorithm.from_jwk(members)
        return rsa, ("RS256", "PS256") if rsa.key_size >= MIN_RSA_BITS else ()
    return ECAlgorithm.from_jwk(members), ("ES256",) if members["crv"] == "P-256" else ()
