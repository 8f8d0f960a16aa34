"""The authorizer, fed with the payloads of ``events/``: who asks, by which token, and what the gateway is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import authorizer
from copilotedge.adapters.tokens.oidc import OidcTokens
from copilotedge.entrance import Entrance
from copilotedge.errors import StoreUnavailable
from copilotedge.settings import Settings
from tests.fakes import FakeLog, FakeTokens
from tests.mocked_aws import mocked_aws
from tests.tokens import AUDIENCE, CURRENT, ISSUER, OTHER, signed

EVENTS = Path(__file__).parent.parent.parent / "events"
KINDS = ("authorizer-http", "authorizer-connect")


@pytest.fixture
def app() -> Iterator[Entrance]:
    app = Entrance(Settings())
    app.tokens = FakeTokens()
    app.log = FakeLog()
    yield app
    app.close()


@pytest.fixture
def deployed(monkeypatch) -> Iterator[Entrance]:
    """An entrance with nothing faked but AWS."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mocked_aws():
        keys = json.dumps({"current": CURRENT, "previous": ""})
        secret = boto3.client("secretsmanager").create_secret(Name="keys", SecretString=keys)
        app = Entrance(Settings(signing_keys_secret_arn=secret["ARN"], token_issuer=ISSUER, token_audience=AUDIENCE))
        yield app
        app.close()


def event(kind: str, *, query: dict[str, str] | None = None, **headers: str | None) -> dict[str, Any]:
    """The payload of ``events/`` with these headers in place of its token."""
    found = json.loads((EVENTS / f"{kind}.json").read_text())
    found["headers"] = {name: value for name, value in found["headers"].items() if "eyJ" not in value} | headers
    return found | ({"queryStringParameters": query} if query is not None else {})


def context(app: Entrance, kind: str, **changes: Any) -> dict[str, str]:
    return authorizer.handle(app, event(kind, **changes))["context"]


def connect(app: Entrance, headers: dict[str, str] | None = None, **query: str) -> dict[str, str]:
    request = event("authorizer-connect", query=query)
    request["headers"] |= headers or {}
    return authorizer.handle(app, request)["context"]


def test_an_http_request_passes_with_its_user(app):
    answer = authorizer.handle(app, event("authorizer-http", authorization="Bearer good-alice"))
    assert answer == {
        "isAuthorized": True,
        "context": {"user": "alice", "tokenExpires": "1800000000000", "refusal": ""},
    }


def test_a_socket_passes_with_its_user_and_conversation(app):
    request = event("authorizer-connect", Authorization="Bearer good-alice")
    answer = authorizer.handle(app, request)
    [statement] = answer["policyDocument"]["Statement"]
    assert statement == {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": request["methodArn"]}
    assert answer["principalId"] == "alice"
    assert answer["context"] == {
        "user": "alice",
        "tokenExpires": "1800000000000",
        "refusal": "",
        "conversationId": "user-123",
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", ["token_invalid", "token_expired", "token_not_yet_valid"])
def test_a_bad_token_passes_with_its_refusal_and_no_user(app, kind, code):
    found = context(app, kind, authorization=f"Bearer {code}")
    assert (found["user"], found["tokenExpires"], found["refusal"]) == ("", "0", code)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic good-alice", "good-alice", "Bearergood-alice"]
)
def test_without_a_token_that_is_the_refusal(app, kind, header):
    headers = {} if header is None else {"authorization": header}
    found = context(app, kind, **headers)
    assert (found["user"], found["refusal"]) == ("", "token_missing")
    assert app.tokens.asked == []


def test_a_refused_socket_has_a_principal_all_the_same(app):
    assert authorizer.handle(app, event("authorizer-connect"))["principalId"] == "nobody"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_names_of_headers_and_schemes_have_no_case(app, kind, name, scheme):
    assert context(app, kind, **{name: scheme + "good-alice"})["user"] == "alice"


@pytest.mark.parametrize(
    "offered", ["bearer, good-alice", "bearer,good-alice", "chat, bearer, good-alice", "bearer, good-alice, chat"]
)
@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
def test_a_socket_may_bring_its_token_as_a_subprotocol(app, name, offered):
    assert connect(app, {name: offered})["user"] == "alice"


@pytest.mark.parametrize("offered", ["", "bearer", "bearer,", "good-alice", "good-alice, bearer", "chat, v2"])
def test_other_subprotocols_are_no_tokens(app, offered):
    assert connect(app, {"Sec-WebSocket-Protocol": offered})["refusal"] == "token_missing"


def test_a_socket_may_bring_its_token_in_the_query(app):
    assert connect(app, token="good-alice")["user"] == "alice"


def test_an_http_request_may_bring_its_token_in_the_header_only(app):
    request = event("authorizer-http", query={"token": "good-alice"}, **{"sec-websocket-protocol": "bearer, good-bob"})
    assert authorizer.handle(app, request)["context"]["refusal"] == "token_missing"


def test_the_header_goes_before_the_subprotocol_and_that_before_the_query(app):
    header, subprotocol = {"authorization": "Bearer good-a"}, {"sec-websocket-protocol": "bearer, good-b"}
    assert connect(app, header | subprotocol, token="good-c")["user"] == "a"
    assert connect(app, subprotocol, token="good-c")["user"] == "b"
    assert connect(app, {"authorization": "Basic eDp5"}, token="good-c")["user"] == "c"


def test_a_bad_token_is_not_made_good_by_one_elsewhere(app):
    assert connect(app, {"authorization": "Bearer token_expired"}, token="good-c")["refusal"] == "token_expired"
    assert app.tokens.asked == ["token_expired"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_authentication_everybody_is_anonymous(kind):
    app = Entrance(Settings(auth_mode="none"))
    found = context(app, kind, authorization="Bearer whatever")
    assert (found["user"], found["tokenExpires"], found["refusal"]) == ("anonymous", "0", "")
    app.close()


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_let_in_and_nothing_cached_while_the_keys_cannot_be_read(app, kind):
    with pytest.raises(StoreUnavailable):
        context(app, kind, authorization="Bearer lost-alice")
    [(_, fields)] = app.log.lines
    assert fields["refusal"] == "store_unavailable"


@pytest.mark.parametrize("mode", ["", "None", "off", "JWT"])
def test_a_mode_that_does_not_exist_lets_nobody_in(mode):
    app = Entrance(Settings(auth_mode=mode, token_issuer=ISSUER))
    with pytest.raises(ValueError, match="AUTH_MODE"):
        context(app, "authorizer-http", authorization="Bearer x")
    app.close()


@pytest.mark.parametrize("mode", ["jwt", "oidc"])
def test_settings_without_an_issuer_let_nobody_in(mode):
    app = Entrance(Settings(auth_mode=mode))
    with pytest.raises(ValueError, match="TOKEN_ISSUER"):
        context(app, "authorizer-http", authorization="Bearer x")
    app.close()


def test_a_socket_that_names_no_conversation_gets_the_default_one(app):
    assert connect(app, token="good-alice")["conversationId"] == ""
    app.settings = Settings(default_conversation_id="lobby")
    assert connect(app, token="good-alice")["conversationId"] == "lobby"


def test_the_longest_shared_id_is_kept_whole_and_longer_ones_stay_too_long(app):
    longest = f"{'o' * 128}~{'c' * 128}"
    assert connect(app, conversationId=longest)["conversationId"] == longest
    assert len(connect(app, conversationId=longest + "cccc")["conversationId"]) == len(longest) + 1


@pytest.mark.parametrize("missing", ["headers", "queryStringParameters"])
def test_a_gateway_that_sends_null_for_nothing_is_understood(app, missing):
    request = event("authorizer-connect") | {missing: None}
    assert authorizer.handle(app, request)["context"]["refusal"] == "token_missing"


@pytest.mark.parametrize(
    ("kind", "name", "route"), [(KINDS[0], "http", "$default"), (KINDS[1], "websocket", "$connect")]
)
def test_one_line_is_logged_without_the_token(app, kind, name, route):
    context(app, kind, authorization="Bearer token_expired", query={"token": "good-bob"})
    assert app.log.lines == [("admission", {"kind": name, "route": route, "refusal": "token_expired"})]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stacks_own_token_is_good_from_the_secret_to_the_context(deployed, kind):
    assert context(deployed, kind, authorization=f"Bearer {signed(CURRENT)}")["user"] == "alice"
    assert context(deployed, kind, authorization=f"Bearer {signed(OTHER)}")["refusal"] == "token_invalid"


def test_a_secret_that_is_not_there_lets_nobody_in(deployed):
    deployed.settings = Settings(signing_keys_secret_arn="gone", token_issuer=ISSUER)
    with pytest.raises(StoreUnavailable):
        context(deployed, "authorizer-http", authorization=f"Bearer {signed(CURRENT)}")


def test_the_tokens_of_the_event_files_are_foreign(deployed):
    for kind in KINDS:
        request = json.loads((EVENTS / f"{kind}.json").read_text())
        assert authorizer.handle(deployed, request)["context"]["refusal"] == "token_invalid"


def test_a_provider_is_asked_in_oidc_mode():
    app = Entrance(Settings(auth_mode="oidc", token_issuer=ISSUER))
    assert isinstance(app.tokens, OidcTokens)
    app.close()


def test_the_handler_has_the_settings_of_the_environment(monkeypatch):
    app = Entrance(Settings.from_environment({"AUTH_MODE": "none"}))
    monkeypatch.setattr(authorizer, "entrance", lambda: app)
    assert authorizer.handler(event("authorizer-http"), None)["context"]["user"] == "anonymous"
    app.close()
