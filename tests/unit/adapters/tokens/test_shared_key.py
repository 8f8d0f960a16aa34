"""Mode jwt: no token but one that a key of the secret has signed is anybody's."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.adapters.tokens.claims import MAX_TOKEN_CHARACTERS, Claims, check_form
from copilotedge.adapters.tokens.keys import KEPT_MS
from copilotedge.adapters.tokens.shared_key import FRESH_MS, PAUSE_MS, SharedKeyTokens
from copilotedge.errors import StoreUnavailable, Unauthenticated
from copilotedge.identity import USER
from tests.fakes import FakeClock, FakeLog
from tests.tokens import (
    AUDIENCE,
    BAD_CLAIMS,
    CURRENT,
    ISSUER,
    OTHER,
    PREVIOUS,
    RSA_KEY,
    b64,
    claims,
    code_of,
    handmade,
    signed,
    tampered,
)


class SecretStore:
    """The secret, how often it was read, and whether it can be."""

    def __init__(self, current: str = CURRENT, previous: str = PREVIOUS) -> None:
        self.text = json.dumps({"current": current, "previous": previous})
        self.reads = 0
        self.broken = False

    def rotate(self, key: str) -> None:
        self.text = json.dumps({"current": key, "previous": json.loads(self.text)["current"]})

    async def read(self) -> str:
        self.reads += 1
        if self.broken:
            raise StoreUnavailable("Throttled.")
        return self.text


@pytest.fixture
def secret() -> SecretStore:
    return SecretStore()


@pytest.fixture
def shared(secret, clock, log) -> SharedKeyTokens:
    return SharedKeyTokens(secret.read, Claims(ISSUER, AUDIENCE), clock, log)


async def test_a_good_token_tells_its_user_and_its_end(shared):
    exp = int(time.time()) + 600
    identity = await shared.verify(signed(exp=exp))
    assert (identity.user, identity.expires_at) == ("alice", (exp + 30) * 1000)


async def test_the_previous_key_is_still_good(shared, secret):
    assert (await shared.verify(signed(PREVIOUS))).user == "alice"
    assert secret.reads == 1


@pytest.mark.parametrize("aud", [AUDIENCE, ["other", AUDIENCE]])
async def test_one_of_several_audiences_is_enough(shared, aud):
    assert await shared.verify(signed(aud=aud))


@pytest.mark.parametrize("changes", [{"nbf": 0, "iat": 0}, {"jti": "1"}, {"scope": "all", "extra": [1]}])
async def test_other_claims_do_no_harm(shared, changes):
    assert await shared.verify(signed(**changes))


async def test_clocks_may_be_half_a_minute_apart(shared):
    now = int(time.time())
    assert await shared.verify(signed(exp=now - 25, nbf=now + 25, iat=now + 25))


@pytest.mark.parametrize(("changes", "code"), BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_claims_that_are_not_as_they_should_be_are_refused(shared, changes, code):
    assert await code_of(shared, handmade({"alg": "HS256"}, claims(**changes))) == code


FORGED = {
    "wrong key": signed(OTHER),
    "empty key": handmade({"alg": "HS256"}, claims(), b""),
    "tampered payload": tampered(signed()),
    "no signature": signed().rpartition(".")[0] + ".",
    "alg none": jwt.encode(claims(), None, "none"),
    "alg None": handmade({"alg": "None"}, claims(), b"").rpartition(".")[0] + ".",
    "alg none, signed": handmade({"alg": "none"}, claims()),
    "no alg": handmade({}, claims()),
    "alg no string": handmade({"alg": ["HS256"]}, claims()),
    "another hash": signed(algorithm="HS512"),
    "RSA": signed(RSA_KEY, "RS256"),
    "critical extension": handmade({"alg": "HS256", "crit": ["x"], "x": 1}, claims()),
    "unencoded payload": handmade({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims()),
    "key id no string": handmade({"alg": "HS256", "kid": 1}, claims()),
    "key of its own": handmade({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(OTHER.encode())}}, claims(), b"o" * 64),
    "payload no object": handmade({"alg": "HS256"}, ["alice"]),
    "payload no JSON": handmade({"alg": "HS256"}, b"{"),
    "payload no text": handmade({"alg": "HS256"}, b"\xff\xfe"),
    "deep header": handmade(b'{"alg": ' + b"[" * 5000, {}),
    "deep payload": handmade({"alg": "HS256"}, b"[" * 5000),
    "header no object": handmade([], claims()),
    "encrypted": "a.b.c.d.e",
    "two parts": "a.b",
    "no token": "null",
    "empty": "",
    "padded": signed() + "=",
    "with a newline": signed() + "\n",
    "two tokens": f"{signed()},{signed()}",
    "beyond ASCII": "é.é.é",
    "half a character": "\ud800.a.a",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
async def test_what_nobody_of_ours_has_signed_is_refused(shared, token):
    assert await code_of(shared, token) == "token_invalid"


@given(st.text() | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{0,40}", fullmatch=True))
async def test_no_text_breaks_the_check(text):
    tokens = SharedKeyTokens(SecretStore().read, Claims(ISSUER, AUDIENCE), FakeClock(), FakeLog())
    assert await code_of(tokens, text) == "token_invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["sub", "iss", "aud", "exp", "nbf", "iat", "jti", "alg", "kid", "crit", "b64", "typ"])


@given(st.dictionaries(NAMES, JSON), st.dictionaries(NAMES, JSON))
async def test_a_signed_token_is_refused_or_names_a_user_and_an_end(header, changes):
    tokens = SharedKeyTokens(SecretStore().read, Claims(ISSUER, AUDIENCE), FakeClock(), FakeLog())
    with suppress(Unauthenticated):
        identity = await tokens.verify(handmade({"alg": "HS256"} | header, claims() | changes))
        assert USER.fullmatch(identity.user) and identity.expires_at > 0


async def test_a_token_that_is_too_long_costs_no_work(shared, secret):
    token = signed(padding="x" * MAX_TOKEN_CHARACTERS)
    assert await code_of(shared, token) == "token_invalid"
    assert secret.reads == 0


def test_a_token_of_just_the_longest_length_is_looked_at():
    check_form("a.b." + "c" * (MAX_TOKEN_CHARACTERS - 4))
    with pytest.raises(Unauthenticated):
        check_form("a.b." + "c" * (MAX_TOKEN_CHARACTERS - 3))


async def test_the_secret_is_read_once_and_again_after_five_minutes(shared, secret, clock):
    for _ in range(3):
        await shared.verify(signed())
    assert secret.reads == 1
    clock.advance(FRESH_MS)
    await shared.verify(signed())
    assert secret.reads == 2


async def test_a_rotation_is_noticed_by_its_first_token_and_outs_nobody(shared, secret):
    await shared.verify(signed(CURRENT))
    secret.rotate(OTHER)
    assert await shared.verify(signed(OTHER))
    assert await shared.verify(signed(CURRENT))
    assert await code_of(shared, signed(PREVIOUS)) == "token_invalid"


async def test_a_key_that_was_rotated_out_is_forgotten_in_time(shared, secret, clock):
    await shared.verify(signed(PREVIOUS))
    secret.rotate(OTHER)
    clock.advance(FRESH_MS)
    assert await code_of(shared, signed(PREVIOUS)) == "token_invalid"


async def test_forged_tokens_do_not_have_the_secret_read_again_and_again(shared, secret, clock):
    await shared.verify(signed())
    for _ in range(10):
        await code_of(shared, signed(OTHER))
    assert secret.reads == 2
    clock.advance(PAUSE_MS)
    await code_of(shared, signed(OTHER))
    assert secret.reads == 3


async def test_an_expired_token_does_not_have_the_secret_read_again(shared, secret):
    assert await code_of(shared, signed(exp=1)) == "token_expired"
    assert secret.reads == 1


async def test_without_keys_nobody_is_let_in(shared, secret):
    secret.broken = True
    with pytest.raises(StoreUnavailable):
        await shared.verify(signed())
    secret.broken = False
    assert await shared.verify(signed())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t0ken",
        "null",
        "[]",
        "{}",
        '{"current": ""}',
        json.dumps({"current": None, "previous": PREVIOUS}),
        '{"current": "short", "previous": ""}',
        json.dumps({"current": CURRENT, "previous": "short"}),
        json.dumps({"current": [CURRENT] * 40}),
    ],
)
async def test_a_secret_without_proper_keys_lets_nobody_in(shared, secret, text):
    secret.text = text
    with pytest.raises(StoreUnavailable) as failed:
        await shared.verify(signed())
    assert failed.value.__cause__ is None


async def test_an_empty_previous_key_signs_nothing(clock, log):
    tokens = SharedKeyTokens(SecretStore(previous="").read, Claims(ISSUER, AUDIENCE), clock, log)
    assert await tokens.verify(signed())
    assert await code_of(tokens, handmade({"alg": "HS256"}, claims(), b"")) == "token_invalid"


async def test_known_keys_serve_for_an_hour_when_they_cannot_be_read_again(shared, secret, clock, log):
    await shared.verify(signed())
    secret.broken = True
    clock.advance(FRESH_MS)
    assert await shared.verify(signed())
    assert await shared.verify(signed())
    assert (secret.reads, log.lines) == (2, [("keys_not_refreshed", {"age_seconds": 300})])
    clock.advance(KEPT_MS)
    with pytest.raises(StoreUnavailable):
        await shared.verify(signed())


async def test_an_unknown_key_is_not_called_wrong_while_the_keys_cannot_be_read(shared, secret, clock):
    await shared.verify(signed())
    secret.broken = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await shared.verify(signed(OTHER))
    assert secret.reads == 2
    assert await shared.verify(signed())


@pytest.mark.parametrize(("issuer", "audience"), [("", AUDIENCE), (ISSUER, "")])
def test_an_issuer_and_an_audience_have_to_be_asked_for(issuer, audience):
    with pytest.raises(ValueError, match="TOKEN_ISSUER"):
        Claims(issuer, audience)
