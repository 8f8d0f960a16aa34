"""Which keys of a set may check what."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import RSAAlgorithm

from copilotedge.adapters.tokens.jwks import key_set
from tests.tokens import CURRENT, EC_KEY, RSA_KEY, b64, jwk

SMALL_RSA_KEY = rsa.generate_private_key(65537, 1024)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
P384_KEY = ec.generate_private_key(ec.SECP384R1())
NO_KEYS = {
    "for encryption": jwk(RSA_KEY, "k", use="enc"),
    "for other operations": jwk(RSA_KEY, "k", key_ops=["encrypt"]),
    "operations of no list": jwk(RSA_KEY, "k", key_ops=None),
    "of an encryption algorithm": jwk(RSA_KEY, "k", alg="RSA-OAEP"),
    "of a signature that it cannot make": jwk(RSA_KEY, "k", alg="ES256"),
    "a public key said to be a secret's": jwk(RSA_KEY, "k", alg="HS256"),
    "a secret": {"kty": "oct", "kid": "k", "k": b64(CURRENT.encode()), "alg": "HS256"},
    "too short": jwk(SMALL_RSA_KEY, "k"),
    "another curve": jwk(P384_KEY, "k"),
    "Edwards curve": jwk(ED_KEY, "k"),
    "without its numbers": {"kty": "RSA", "kid": "k"},
    "with numbers that are none": {"kty": "RSA", "kid": "k", "n": 1, "e": "!"},
    "off the curve": jwk(EC_KEY, "k", y=jwk(EC_KEY)["x"]),
    "of no kind": {"kid": "k"},
    "of a strange kind": {"kty": ["RSA"]},
    "no key": "key",
}


@pytest.mark.parametrize("entry", NO_KEYS.values(), ids=NO_KEYS)
def test_keys_of_other_uses_are_left_out(entry):
    assert [key.key_id for key in key_set({"keys": [entry, jwk(EC_KEY, "e1")]}).keys] == ["e1"]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": "abc"}, {"keys": []}, {"keys": ["key"]}])
def test_a_set_without_usable_keys_is_none(document):
    with pytest.raises(ValueError, match="no usable key"):
        key_set(document)


def test_a_private_key_that_somebody_has_published_is_only_read_as_a_public_one():
    entry = RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"key_ops": ["verify"]}
    assert isinstance(key_set({"keys": [entry]}).keys[0].public, rsa.RSAPublicKey)
