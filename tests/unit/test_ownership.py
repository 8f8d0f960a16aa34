"""Who is let in by the handlers, and what one user can see of another."""

from __future__ import annotations

import json
from typing import Any

import pytest

import websocket_api
from copilotedge import openapi
from copilotedge.settings import Settings
from copilotedge.wiring import Application, now
from tests.unit.invocations import answer_of, event, http

PUBLIC = {("GET", "/"), ("GET", "/health"), ("GET", "/openapi.json")}
ROUTES = [
    (method.upper(), path.replace("{conversationId}", "c1"))
    for path, operations in openapi.document(Settings())["paths"].items()
    for method in operations
    if method in ("get", "put", "post", "patch", "delete") and (method.upper(), path) not in PUBLIC
]


def question(content: str, **extra: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **extra}


def frame(app: Application, kind: str, user: str, conversation_id: str, **changes: Any) -> dict[str, Any]:
    """One event of a user's socket."""
    request = event(f"websocket-{kind}")
    request["requestContext"]["connectionId"] = f"socket of {user}"
    request["requestContext"]["authorizer"] |= {"user": user, "conversationId": conversation_id} | changes
    return websocket_api.handle(app, request)


def say(app: Application, user: str, conversation_id: str, **message: Any) -> list[str]:
    """What the user's socket is told at once."""
    request = event("websocket-message") | {"body": json.dumps(message)}
    request["requestContext"]["connectionId"] = f"socket of {user}"
    request["requestContext"]["authorizer"] |= {"user": user, "conversationId": conversation_id}
    websocket_api.handle(app, request)
    return app.gateway.kinds(f"socket of {user}")


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/nowhere"), ("POST", "/")])
def test_without_an_authorizers_word_every_route_but_the_public_ones_is_closed(app, method, path):
    answer = answer_of(app, method, path, user=None)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (401, "token_missing")
    assert answer["headers"]["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), sorted(PUBLIC))
def test_the_public_routes_need_no_token(app, method, path):
    assert answer_of(app, method, path, user=None)["statusCode"] == 200


def test_a_refusal_of_the_authorizer_is_told(app):
    request = event("http-messages")
    request["requestContext"]["authorizer"]["lambda"] = {"user": "", "tokenExpires": "0", "refusal": "token_expired"}
    import http_api

    answer = http_api.handle(app, request, None)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (401, "token_expired")


def test_without_authentication_everybody_is_let_in(app):
    app.settings = Settings(auth_mode="none", table_name=app.settings.table_name)
    assert http(app, "GET", "/conversation/c1/messages", user=None)[0] == 200


def test_two_users_of_one_id_have_two_conversations(app):
    http(app, "POST", "/api/copilotedge", question("a secret", conversationId="c1"), user="alice")
    status, theirs = http(app, "GET", "/conversation/c1/messages", user="bob")
    assert (status, theirs["messages"]) == (200, [])
    assert theirs == http(app, "GET", "/conversation/c1/messages", user="carol")[1]


@pytest.mark.parametrize("name", ["c1", "nothing"])
def test_a_strangers_conversation_is_not_found_whether_it_exists_or_not(app, name):
    http(app, "POST", "/api/copilotedge", question("a secret", conversationId="c1"), user="alice")
    answers = [
        http(app, "GET", f"/conversation/alice~{name}/messages", user="bob"),
        http(app, "PUT", f"/conversation/alice~{name}/state", {"userId": "bob"}, user="bob"),
        http(app, "DELETE", f"/conversation/alice~{name}", user="bob"),
        http(app, "POST", "/api/copilotedge", question("Hi", conversationId=f"alice~{name}"), user="bob"),
    ]
    assert {(status, body["error"]["code"]) for status, body in answers} == {(404, "not_found")}


def test_a_member_reads_and_with_leave_writes(app):
    http(app, "POST", "/api/copilotedge", question("Hi", conversationId="c1"), user="alice")
    _, shared = http(app, "PUT", "/conversation/c1/members", {"members": {"bob": "read"}}, user="alice")
    assert shared == {"conversationId": "c1", "sharedId": "alice~c1", "members": {"bob": "read"}}
    path = f"/conversation/{shared['sharedId']}"
    status, read = http(app, "GET", f"{path}/messages", user="bob")
    assert (status, read["conversationId"], len(read["messages"])) == (200, "alice~c1", 2)
    assert http(app, "POST", f"{path}/clear", user="bob")[1]["error"]["code"] == "read_only"
    http(app, "PUT", "/conversation/c1/members", {"members": {"bob": "write"}}, user="alice")
    assert http(app, "POST", f"{path}/clear", user="bob")[0] == 200
    assert http(app, "DELETE", path, user="bob")[1]["error"]["code"] == "not_owner"
    assert http(app, "GET", "/conversation/c1/members", user="alice")[1]["members"] == {"bob": "write"}


def test_a_member_that_is_removed_loses_its_socket_at_once(app):
    http(app, "PUT", "/conversation/c1/members", {"members": {"bob": "write"}}, user="alice")
    assert frame(app, "connect", "bob", "alice~c1")["statusCode"] == 200
    http(app, "PUT", "/conversation/c1/members", {"members": {}}, user="alice")
    assert app.gateway.closed == ["socket of bob"]
    assert frame(app, "connect", "bob", "alice~c1")["statusCode"] == 404


def test_a_member_that_may_only_read_cannot_write_over_its_socket(app):
    http(app, "PUT", "/conversation/c1/members", {"members": {"bob": "read"}}, user="alice")
    assert say(app, "bob", "alice~c1", type="chat", role="user", content="Hi") == ["error:read_only"]
    assert say(app, "bob", "alice~c1", type="system", content="get_history")[-1] == "system:history"


@pytest.mark.parametrize(
    "members", [{"": "read"}, {"has spaces": "read"}, {"bob": "own"}, {"x" * 129: "read"}, ["bob"]]
)
def test_members_that_make_no_sense_are_refused(app, members):
    assert http(app, "PUT", "/conversation/c1/members", {"members": members})[0] == 400


def test_a_socket_without_a_good_token_is_refused(app):
    assert frame(app, "connect", "", "c1", refusal="token_invalid")["statusCode"] == 401
    assert frame(app, "connect", "alice", "c1", tokenExpires=str(now() - 1))["statusCode"] == 401


def test_a_socket_ends_with_its_token(app):
    frame(app, "connect", "alice", "c1")
    frame(app, "message", "alice", "c1", tokenExpires=str(now() - 1))
    assert app.gateway.kinds("socket of alice") == ["error:token_expired"]
    assert app.gateway.closed == ["socket of alice"]
    assert app.run(app.store.connections("alice/c1")) == ()


def test_a_browsers_question_what_it_may_do_is_answered_without_a_token(app):
    assert answer_of(app, "OPTIONS", "/conversations", user=None) == {"statusCode": 204}


def test_a_token_that_came_as_a_subprotocol_is_answered_by_one(app):
    request = event("websocket-connect")
    request["headers"]["Sec-WebSocket-Protocol"] = "bearer, abc.def.ghi"
    assert websocket_api.handle(app, request) == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "bearer"}}


def test_a_list_shows_ones_own_conversations(app):
    http(app, "POST", "/api/copilotedge", question("Hi", conversationId="mine"), user="alice")
    http(app, "POST", "/api/copilotedge", question("Hi", conversationId="theirs"), user="bob")
    _, found = http(app, "GET", "/conversations", user="alice")
    assert [(entry["conversationId"], entry["messageCount"]) for entry in found["conversations"]] == [("mine", 2)]
    assert found["nextCursor"] is None


def test_who_wants_to_be_forgotten_is(app):
    import turn_worker

    http(app, "POST", "/api/copilotedge", question("Hi", conversationId="mine"), user="alice")
    assert http(app, "DELETE", "/users/me", user="alice") == (202, {"status": "deleting"})
    assert app.waker.forgotten == ["alice"]
    turn_worker.handle(app, event("turn-worker-forget-user"), None)
    assert http(app, "GET", "/conversations", user="alice")[1]["conversations"] == []


def test_the_sixty_first_message_of_a_minute_is_refused_with_its_number(app):
    for _ in range(60):
        http(app, "POST", "/conversation/c1/messages", {"role": "user", "content": "Hi"})
    answer = answer_of(app, "POST", "/api/copilotedge", question("Hi", conversationId="c1"))
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (429, "rate_limited")
    assert answer["headers"]["x-ratelimit-limit"] == "60"
    assert answer["headers"]["x-ratelimit-remaining"] == "0"
    assert int(answer["headers"]["retry-after"]) > 0
    assert say(app, "alice", "c1", type="chat", role="user", content="Hi") == ["error:rate_limited"]
    assert http(app, "POST", "/api/copilotedge", question("Hi"), user="bob")[0] == 200


def test_an_answer_tells_what_is_left(app):
    answer = answer_of(app, "POST", "/api/copilotedge", question("Hi", conversationId="c1"))
    assert (answer["headers"]["x-ratelimit-limit"], answer["headers"]["x-ratelimit-remaining"]) == ("60", "59")
