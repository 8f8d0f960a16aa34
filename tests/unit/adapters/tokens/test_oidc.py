"""Mode oidc: no token but one that the provider has signed for us is anybody's."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jwt
import pytest

from copilotedge.adapters.tokens.claims import Claims
from copilotedge.adapters.tokens.oidc import OidcTokens
from copilotedge.errors import StoreUnavailable
from tests.tokens import (
    AUDIENCE,
    BAD_CLAIMS,
    CURRENT,
    EC_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    claims,
    code_of,
    handmade,
    jwk,
    public_pem,
    signed,
    tampered,
)

MINUTE = 60_000


class Provider:
    """An OpenID provider, the requests that it has had, and what it answers."""

    def __init__(self) -> None:
        self.keys: list[Any] = [jwk(RSA_KEY, "r1", use="sig", alg="RS256"), jwk(EC_KEY, "e1")]
        self.document: Any = {"issuer": ISSUER, "jwks_uri": "https://keys.example/jwks"}
        self.status = 200
        self.asked: list[str] = []

    @property
    def fetches(self) -> int:
        return self.asked.count("https://keys.example/jwks")

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.status != 200:
            return httpx.Response(self.status, headers={"location": "https://elsewhere.example"})
        discovery = request.url.path.endswith("/.well-known/openid-configuration")
        return httpx.Response(200, json=self.document if discovery else {"keys": self.keys})


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def oidc(provider, clock, log):
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider.answer)) as client:
        yield OidcTokens(client, Claims(ISSUER, AUDIENCE), clock, log)


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"), [(RSA_KEY, "RS256", "r1"), (EC_KEY, "ES256", "e1"), (EC_KEY, "ES256", None)]
)
async def test_a_providers_token_is_good(oidc, provider, key, algorithm, key_id):
    header = {"kid": key_id} if key_id else None
    assert (await oidc.verify(signed(key, algorithm, header))).user == "alice"
    assert provider.asked == [f"{ISSUER}/.well-known/openid-configuration", "https://keys.example/jwks"]


async def test_an_rsa_key_that_names_no_algorithm_may_be_used_with_pss(oidc, provider):
    provider.keys = [jwk(RSA_KEY, "r1")]
    assert await oidc.verify(signed(RSA_KEY, "PS256", {"kid": "r1"}))
    assert await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))


@pytest.mark.parametrize(("changes", "code"), BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_a_providers_claims_are_checked_alike(oidc, changes, code):
    token = jwt.api_jws.encode(json.dumps(claims(**changes)).encode(), EC_KEY, "ES256", {"kid": "e1"})
    assert await code_of(oidc, token) == code


def confused(public_key: bytes) -> str:
    """The public key, which everybody knows, used as if it were a secret."""
    return handmade({"alg": "HS256", "kid": "r1"}, claims(), public_key)


OIDC_FORGED = {
    "another's RSA key": signed(OTHER_RSA_KEY, "RS256", {"kid": "r1"}),
    "another's key, no name": signed(OTHER_RSA_KEY, "RS256"),
    "tampered payload": tampered(signed(RSA_KEY, "RS256", {"kid": "r1"})),
    "public key as a secret": confused(public_pem(RSA_KEY)),
    "public key as a secret, stripped": confused(public_pem(RSA_KEY).strip()),
    "public modulus as a secret": confused(jwk(RSA_KEY)["n"].encode()),
    "our own kind of token": signed(CURRENT, header={"kid": "r1"}),
    "alg none": jwt.encode(claims(), None, "none", {"kid": "r1"}),
    "alg of another kind of key": signed(EC_KEY, "ES256", {"kid": "r1"}),
    "alg that the key does not name": signed(RSA_KEY, "PS256", {"kid": "r1"}),
    "another hash": signed(RSA_KEY, "RS512", {"kid": "r1"}),
    "key in the header": signed(OTHER_RSA_KEY, "RS256", {"kid": "r1", "jwk": jwk(OTHER_RSA_KEY)}),
    "key at an address": signed(OTHER_RSA_KEY, "RS256", {"kid": "r1", "jku": "https://evil.example/jwks"}),
    "unknown key": signed(OTHER_RSA_KEY, "RS256", {"kid": "r2"}),
    "no token": "null",
}


@pytest.mark.parametrize("token", OIDC_FORGED.values(), ids=OIDC_FORGED)
async def test_what_the_provider_has_not_signed_is_refused(oidc, provider, token):
    assert await code_of(oidc, token) == "token_invalid"
    assert not [url for url in provider.asked if "evil" in url]


@pytest.mark.parametrize("token", [confused(public_pem(RSA_KEY)), "a.b.c", "x" * 9000, jwt.encode({}, None, "none")])
async def test_what_cannot_be_a_providers_token_costs_no_request(oidc, provider, token):
    assert await code_of(oidc, token) == "token_invalid"
    assert provider.asked == []


async def test_the_keys_are_fetched_once(oidc, provider, clock):
    for _ in range(3):
        await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))
    assert provider.fetches == 1
    clock.advance(10 * MINUTE)
    await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))
    assert provider.fetches == 2


async def test_a_new_key_of_the_provider_is_fetched_when_a_token_names_it(oidc, provider):
    await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))
    provider.keys = [jwk(OTHER_RSA_KEY, "r2")]
    assert await oidc.verify(signed(OTHER_RSA_KEY, "RS256", {"kid": "r2"}))
    assert await code_of(oidc, signed(RSA_KEY, "RS256", {"kid": "r1"})) == "token_invalid"


async def test_unknown_keys_cause_one_fetch_a_minute_at_most(oidc, provider, clock):
    await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))
    for number in range(10):
        await code_of(oidc, signed(OTHER_RSA_KEY, "RS256", {"kid": f"made-up-{number}"}))
        clock.advance(MINUTE // 10 - 1)
    assert provider.fetches == 2
    clock.advance(MINUTE)
    await code_of(oidc, signed(OTHER_RSA_KEY, "RS256", {"kid": "made-up"}))
    assert provider.fetches == 3


async def test_a_token_that_names_no_key_is_not_guessed_among_several(oidc, provider):
    provider.keys = [jwk(RSA_KEY, "r1"), jwk(OTHER_RSA_KEY, "r2")]
    assert await code_of(oidc, signed(RSA_KEY, "RS256")) == "token_invalid"


BROKEN_PROVIDERS = {
    "another issuer": {"document": {"issuer": "https://other.example", "jwks_uri": "https://keys.example/jwks"}},
    "issuer with a slash": {"document": {"issuer": ISSUER + "/", "jwks_uri": "https://keys.example/jwks"}},
    "keys without TLS": {"document": {"issuer": ISSUER, "jwks_uri": "http://keys.example/jwks"}},
    "keys in a file": {"document": {"issuer": ISSUER, "jwks_uri": "file:///etc/keys"}},
    "keys nowhere": {"document": {"issuer": ISSUER}},
    "keys at no address": {"document": {"issuer": ISSUER, "jwks_uri": 1}},
    "no object": {"document": []},
    "not found": {"status": 404},
    "out of order": {"status": 500},
    "moved": {"status": 302},
    "no usable key": {"keys": [jwk(RSA_KEY, "r1", use="enc")]},
}


@pytest.mark.parametrize("changes", BROKEN_PROVIDERS.values(), ids=BROKEN_PROVIDERS)
async def test_a_provider_that_does_not_answer_properly_lets_nobody_in(oidc, provider, changes):
    vars(provider).update(changes)
    with pytest.raises(StoreUnavailable):
        await oidc.verify(signed(RSA_KEY, "RS256", {"kid": "r1"}))
    assert {httpx.URL(url).host for url in provider.asked} <= {"id.example", "keys.example"}


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
async def test_a_provider_out_of_reach_lets_nobody_in(clock, log, error):
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as client:
        with pytest.raises(StoreUnavailable):
            await OidcTokens(client, Claims(ISSUER, AUDIENCE), clock, log).verify(signed(EC_KEY, "ES256"))


async def test_known_keys_outlast_a_short_absence_of_the_provider(oidc, provider, clock):
    await oidc.verify(signed(EC_KEY, "ES256", {"kid": "e1"}))
    provider.status = 503
    clock.advance(10 * MINUTE)
    assert await oidc.verify(signed(EC_KEY, "ES256", {"kid": "e1"}))


@pytest.mark.parametrize("issuer", ["http://id.example", "ftp://id.example", "copilotedge", "https:/x"])
async def test_an_issuer_without_tls_is_refused(clock, log, issuer):
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="https"):
            OidcTokens(client, Claims(issuer, AUDIENCE), clock, log)


async def test_an_issuer_may_end_with_a_slash(clock, log):
    provider = Provider()
    provider.document = {"issuer": ISSUER + "/", "jwks_uri": "https://keys.example/jwks"}
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider.answer)) as client:
        tokens = OidcTokens(client, Claims(ISSUER + "/", AUDIENCE), clock, log)
        assert await tokens.verify(signed(EC_KEY, "ES256", {"kid": "e1"}, iss=ISSUER + "/"))
    assert provider.asked[0] == f"{ISSUER}/.well-known/openid-configuration"
