"""No door but the public ones opens without a good token, over REST, WebSocket and the stream API alike."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, get_args

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from copilotedge import openapi
from copilotedge.adapters.tokens.claims import LEEWAY_SECONDS
from copilotedge.settings import Settings
from operations import mint
from operations.signing import SigningKeys
from streaming.routes import ROUTES
from tests.clients import Rest, Socket, Via, is_delta, is_end, is_system, new_conversation
from tests.integration.test_websocket import rows
from tests.scripted_model import Reply
from tests.stack import DeployedStack, wait_until
from tests.tokens import BAD_CLAIMS, OTHER, RSA_KEY, claims, handmade, jwk, public_pem, signed, tampered

DOCUMENT = openapi.document(Settings())
OPERATIONS = [(method, path, entry) for path, entries in DOCUMENT["paths"].items() for method, entry in entries.items()]
PUBLIC = [(method, path) for method, path, entry in OPERATIONS if entry.get("security") == []]
CLOSED = [(method, path) for method, path, entry in OPERATIONS if entry.get("security") != []]
UNKNOWN = [("get", "/nowhere"), ("post", "/conversation"), ("patch", "/health"), ("get", "/assets/app.js")]
STREAM_PUBLIC = [("get", "/health")]
STREAM_CLOSED = [
    (method.lower(), re.sub(r"{[^}]+}", "{conversationId}", route.path))
    for route in ROUTES
    for method in sorted((route.methods or set()) - {"HEAD"})
    if (method.lower(), route.path) not in STREAM_PUBLIC
]


def ours(stack: DeployedStack, **changes: Any) -> dict[str, Any]:
    """The claims of a good token of the stack, but for the changes."""
    return claims(**({"iss": stack.outputs["TokenIssuer"], "aud": stack.outputs["TokenAudience"]} | changes))


def signed_by(stack: DeployedStack, key: Any = None, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(ours(stack, **changes), key or stack.signing_keys["current"], algorithm)


def unsigned(header: dict[str, Any], payload: dict[str, Any]) -> str:
    return handmade(header, payload).rpartition(".")[0] + "."


Forge = Callable[[DeployedStack], str]

FORGED: dict[str, Forge] = {
    "garbage": lambda stack: "not-a-token",
    "three words": lambda stack: "a.b.c",
    "very long": lambda stack: "a" * 7000 + ".b.c",
    "wrong key": lambda stack: signed_by(stack, OTHER),
    "tampered payload": lambda stack: tampered(signed_by(stack)),
    "signature of another": lambda stack: signed_by(stack, sub="bob").rpartition(".")[0] + "." + last_part(stack),
    "signature left out": lambda stack: signed_by(stack).rpartition(".")[0] + ".",
    "alg none": lambda stack: unsigned({"alg": "none", "typ": "JWT"}, ours(stack)),
    "alg nOnE": lambda stack: unsigned({"alg": "nOnE", "typ": "JWT"}, ours(stack)),
    "alg none, signed": lambda stack: handmade({"alg": "none"}, ours(stack), key(stack)),
    "no alg": lambda stack: handmade({"typ": "JWT"}, ours(stack), key(stack)),
    "another HMAC of the same key": lambda stack: signed_by(stack, algorithm="HS512"),
    "RS256 of a key of their own": lambda stack: signed_by(stack, RSA_KEY, "RS256"),
    "HS256 with a public key": lambda stack: handmade({"alg": "HS256"}, ours(stack), public_pem(RSA_KEY)),
    "the key in the token": lambda stack: handmade({"alg": "HS256", "jwk": jwk(RSA_KEY)}, ours(stack), b"k" * 64),
    "an empty key by its file": lambda stack: handmade({"alg": "HS256", "kid": "/dev/null"}, ours(stack), b""),
    "claims that are none": lambda stack: handmade({"alg": "HS256"}, [], key(stack)),
}


def key(stack: DeployedStack) -> bytes:
    return stack.signing_keys["current"].encode()


def last_part(stack: DeployedStack) -> str:
    return signed_by(stack).rpartition(".")[2]


def misclaiming(changes: dict[str, Any]) -> Forge:
    return lambda stack: signed_by(stack, **changes)


BAD = [(name, forge, "token_invalid") for name, forge in FORGED.items()]
BAD += [(name, misclaiming(changes), code) for name, (changes, code) in BAD_CLAIMS.items()]


@pytest.fixture(scope="module")
def conversation(stack: DeployedStack) -> str:
    """One that exists, of the user whom the tokens name."""
    name = new_conversation("door")
    with stack.rest() as rest:
        assert rest.chat("Behind the door", name).status_code == 200
    return name


def answers(rest: Rest, conversation: str, routes: list[tuple[str, str]], **options: Any) -> dict[str, Any]:
    asked = {f"{method} {path}": path.replace("{conversationId}", conversation).lstrip("/") for method, path in routes}
    with ThreadPoolExecutor(4) as pool:
        given = pool.map(lambda name: rest.client.request(name.split()[0], asked[name], **options), asked)
        return dict(zip(asked, given, strict=True))


@pytest.mark.parametrize(("forge", "code"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_token_opens_no_route_and_no_socket(stack: DeployedStack, conversation: str, forge: Forge, code: str):
    token = forge(stack)
    before = rows(stack, conversation)
    with Rest(stack.http_url, token) as rest:
        for name, answer in answers(rest, conversation, CLOSED + UNKNOWN).items():
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, code), name
            assert answer.headers["www-authenticate"] == "Bearer", name
        assert {a.status_code for a in answers(rest, conversation, PUBLIC).values()} == {200}
    with Rest(stack.stream_url, token) as stream:
        for name, answer in answers(stream, conversation, STREAM_CLOSED + UNKNOWN).items():
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, code), name
            assert answer.headers["www-authenticate"] == "Bearer", name
        assert {a.status_code for a in answers(stream, conversation, STREAM_PUBLIC).values()} == {200}
    for via in get_args(Via):
        assert status_of_handshake(stack, conversation, token, via) == 401, via
    assert rows(stack, conversation) == before


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ,", "Basic YWxpY2U6c2VjcmV0", "alice", "{token}", "Token {token}"]
)
def test_without_a_token_no_route_opens_but_the_public_ones(
    stack: DeployedStack, conversation: str, header: str | None
):
    """The token has to be where it belongs. (Without the header it is the gateway that answers.)"""
    headers = {} if header is None else {"authorization": header.replace("{token}", stack.token())}
    doors = [(stack.http_url, CLOSED, PUBLIC), (stack.stream_url, STREAM_CLOSED, STREAM_PUBLIC)]
    for url, closed, public in doors:
        with Rest(url) as rest:
            refused = answers(rest, conversation, closed + UNKNOWN, headers=headers)
            assert {name for name, answer in refused.items() if answer.status_code != 401} == set()
            opened = answers(rest, conversation, public, headers=headers)
            assert {name for name, answer in opened.items() if answer.status_code != 200} == set()


def test_a_route_takes_no_token_from_its_address(stack: DeployedStack, conversation: str):
    with Rest(stack.http_url) as rest:
        answer = rest.client.get(f"conversation/{conversation}/messages", params={"token": stack.token()})
    assert answer.status_code == 401


def test_without_a_token_there_is_no_socket(stack: DeployedStack, conversation: str):
    assert status_of_handshake(stack, conversation, "", "header") == 401
    assert status_of_handshake(stack, conversation, "nothing", "subprotocol") == 401


@pytest.mark.parametrize("via", get_args(Via))
def test_a_good_token_opens_a_socket_whichever_way_it_comes(stack: DeployedStack, via: Via):
    with stack.socket(new_conversation("door"), via=via) as socket:
        assert socket.subprotocol == ("bearer" if via == "subprotocol" else None)
        assert socket.ask("Who is there?") == "You said: Who is there?"


def ending_token(stack: DeployedStack, seconds: float) -> tuple[str, float]:
    """A token that is good for some more seconds, and when that ends. Clocks may differ by the leeway."""
    end = int(time.time() + seconds)
    return signed_by(stack, exp=end - LEEWAY_SECONDS), end


@pytest.mark.alone
def test_a_socket_is_told_at_its_next_frame_that_its_token_has_expired_and_is_closed(stack: DeployedStack):
    with stack.socket(new_conversation("end")) as socket:
        socket.ask("Wake up")  # so that the rest is quick
    token, end = ending_token(stack, 6)
    with Socket(stack.websocket_url, new_conversation("end"), token) as socket:
        assert socket.ask("Still there?") == "You said: Still there?"
        wait_until(lambda: time.time() > end, "the token's end")
        socket.say("And now?")
        assert [frame["code"] for frame in socket.receive_rest()] == ["token_expired"]
    assert [request.last_user_message for request in stack.model.requests] == ["Wake up", "Still there?"]


@pytest.mark.alone
def test_a_socket_hears_nothing_once_its_token_has_expired(stack: DeployedStack):
    conversation = new_conversation("end")
    with stack.socket(conversation) as talker:
        talker.ask("Wake up")  # so that the rest is quick
        token, end = ending_token(stack, 6)
        listener = Socket(stack.websocket_url, conversation, token)
        talker.ask("Before the end")
        listener.receive_turn()
        wait_until(lambda: time.time() > end, "the token's end")
        talker.ask("After the end")
        listener.command("resume", afterSeq=0)
        assert [frame.get("code") for frame in listener.receive_rest()] == ["token_expired"]


@pytest.mark.alone
def test_a_socket_whose_token_expires_is_closed_by_the_stream_that_it_hears(stack: DeployedStack):
    conversation = new_conversation("end")
    with stack.socket(conversation) as socket:
        socket.ask("Wake up")  # so that the rest is quick
    stack.model.script(Reply(chunks=[f"word{n} " for n in range(300)], delay_between=0.2))
    token, end = ending_token(stack, 8)
    listener = Socket(stack.websocket_url, conversation, token)
    body = {"messages": [{"role": "user", "content": "Speak beyond the end"}], "stream": True}
    named = {"x-conversation-id": conversation}
    with stack.stream() as stream, stream.stream("POST", "v1/chat/completions", json=body, headers=named):
        heard = listener.receive_rest()
        assert time.time() > end
    assert any(is_delta(frame) for frame in heard) and not any(is_end(frame) for frame in heard)
    with stack.rest() as rest:
        assert rest.client.post(f"conversation/{conversation}/cancel").json()["cancelled"]


def test_a_route_is_closed_once_the_token_has_expired_though_the_gateway_remembers_it(stack: DeployedStack):
    token, end = ending_token(stack, 6)
    with Rest(stack.http_url, token) as rest:
        assert rest.client.get("conversations").status_code == 200
        wait_until(lambda: time.time() > end, "the token's end")
        answer = rest.client.get("conversations")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


@pytest.mark.alone
def test_the_stream_api_is_closed_once_the_token_has_expired(stack: DeployedStack):
    token, end = ending_token(stack, 3)
    with Rest(stack.stream_url, token) as stream:
        assert stream.client.get("nowhere").status_code == 404
        wait_until(lambda: time.time() > end, "the token's end")
        answer = stream.client.get("nowhere")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


def test_a_new_key_works_at_once_and_the_tokens_of_the_old_one_stay_good(stack: DeployedStack):
    client, arn = stack.client("secretsmanager"), stack.outputs["SigningKeysSecretArn"]
    keys, old = SigningKeys(client, arn), signed_by(stack, sub="carol")
    issuer, audience = stack.outputs["TokenIssuer"], stack.outputs["TokenAudience"]
    try:
        keys.rotate()
        new = mint(keys.current(), "carol", issuer, audience, 60)
        assert [statuses_with(stack, token) for token in (new, old)] == [200, 200]
    finally:
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(stack.signing_keys))


def test_a_public_key_of_an_openid_provider_is_no_secret_to_sign_with(stack: DeployedStack):
    """RS/HS confusion where it would matter: the provider's key is known to everybody."""
    doors = ("authorizer", "stream-api")
    with provider(jwk(RSA_KEY, "k1")) as issuer, stack.settings(*doors, AUTH_MODE="oidc", TOKEN_ISSUER=issuer):
        named = {"kid": "k1"}
        good = claims(iss=issuer, sub="carol")
        assert statuses_with(stack, signed(RSA_KEY, "RS256", named, **good)) == 200
        for header in ({"alg": "HS256"}, {"alg": "HS256"} | named, {"alg": "RS256"} | named):
            assert statuses_with(stack, handmade(header, good, public_pem(RSA_KEY))) == 401, header
        assert statuses_with(stack, unsigned({"alg": "none"} | named, good)) == 401
        assert statuses_with(stack, signed_by(stack, iss=issuer, sub="carol")) == 401


def statuses_with(stack: DeployedStack, token: str) -> int:
    """The status that requests and a handshake with this token have in common (101 counts as 200)."""
    with Rest(stack.http_url, token) as rest, Rest(stack.stream_url, token) as stream:
        status = rest.client.get("conversations").status_code
        assert stream.client.get("nowhere").status_code == (404 if status == 200 else status)
    assert status_of_handshake(stack, new_conversation("door"), token, "header") == status
    return status


def status_of_handshake(stack: DeployedStack, conversation: str, token: str, via: Via) -> int:
    try:
        with Socket(stack.websocket_url, conversation, token, via) as socket:
            socket.command("ping")
            socket.receive_until(is_system("pong"))
    except InvalidStatus as refused:
        return refused.response.status_code
    return 200


@contextmanager
def provider(*keys: dict[str, Any]) -> Iterator[str]:
    """An OpenID provider with these keys; its issuer."""

    class Documents(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = {"keys": keys} if self.path == "/keys" else {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Documents) as server:
        issuer = f"http://127.0.0.1:{server.server_port}"
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            serving.join()
