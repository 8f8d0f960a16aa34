"""The Lambda handlers, each fed with the payloads of ``events/``, over moto's AWS and a scripted model server."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

import http_api
import janitor
import turn_worker
import websocket_api
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Change
from copilotedge.settings import Settings
from copilotedge.transitions import Rules, Submission, submit
from copilotedge.transitions.steps import next_state
from copilotedge.wiring import Application, now
from tests.scripted_model import Reply
from tests.unit.invocations import EVENTS, Context, answer_of, event, http

COST_USD = (10 * 0.282 + 5 * 0.827) / 10**6
"""Of the scripted model's usage, at the default model's price."""


def ask(app: Application, content: str, **extra: Any) -> dict[str, Any]:
    """A chat in conversation c1 that must succeed."""
    messages = [{"role": "user", "content": content}]
    status, body = http(app, "POST", "/api/copilotedge", {"conversationId": "c1", "messages": messages} | extra)
    assert status == 200, body
    return body


def test_every_event_file_is_served(app, monkeypatch):
    for handlers in (http_api, websocket_api, turn_worker, janitor):
        monkeypatch.setattr(handlers, "application", lambda: app)
    served = {
        "http": lambda e: http_api.handler(e, Context())["statusCode"] == 200,
        "websocket": lambda e: websocket_api.handler(e, Context())["statusCode"] == 200,
        "turn": lambda e: turn_worker.handler(e, Context()) is None,
        "janitor": lambda e: janitor.handler(e, Context()) == {"batchItemFailures": []},
    }
    files = [file for file in sorted(EVENTS.glob("*.json")) if not file.name.startswith("authorizer")]
    assert {file.name.partition("-")[0] for file in files} == set(served)  # the authorizer's: test_authorizer.py
    for file in files:
        assert served[file.name.partition("-")[0]](json.loads(file.read_text())), file.name


def test_a_chat_answers_in_the_openai_shape(app):
    body = ask(app, "Hello")
    assert body["object"] == "chat.completion"
    assert body["conversationId"] == "c1"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "You said: Hello"}
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost_usd": COST_USD}


def test_what_an_answer_took_is_told_in_headers_too(app):
    asked = {"messages": [{"role": "user", "content": "Hi"}]}
    for more in ({}, {"conversationId": "c1"}, {"stream": True}):
        headers = answer_of(app, "POST", "/api/copilotedge", asked | more)["headers"]
        assert (headers["x-usage-tokens"], headers["x-cost-usd"]) == ("15", f"{COST_USD:.9f}")


def test_costs_add_up_in_state_list_and_log(app):
    ask(app, "one")
    ask(app, "two")
    assert http(app, "GET", "/conversation/c1/state")[1]["totalCostUsd"] == 2 * COST_USD
    (listed,) = http(app, "GET", "/conversations")[1]["conversations"]
    assert listed["totalCostUsd"] == 2 * COST_USD
    messages = http(app, "GET", "/conversation/c1/messages")[1]["messages"]
    assert [message.get("costUsd") for message in messages] == [None, COST_USD, None, COST_USD]


def test_models_are_listed_with_their_prices(app):
    status, body = http(app, "GET", "/models")
    priced = {model["id"]: (model["inputUsdPerMillion"], model["outputUsdPerMillion"]) for model in body["models"]}
    assert (status, body["default"]) == (200, "@cf/meta/llama-3.1-8b-instruct")
    assert priced["@cf/meta/llama-3.1-8b-instruct"] == (0.282, 0.827)


def test_a_deployments_own_model_is_listed_without_a_price(app):
    app.settings = replace(app.settings, model="@cf/new", fallback_model="@cf/newer")
    body = http(app, "GET", "/models")[1]
    unpriced = [model for model in body["models"] if model["inputUsdPerMillion"] is None]
    assert [model["id"] for model in unpriced] == ["@cf/new", "@cf/newer"]
    assert body["default"] == "@cf/new"


def test_a_price_table_that_is_none_stops_the_cold_start():
    with pytest.raises(ValueError, match="PRICE_TABLE is not JSON"):
        Application(Settings(price_table="cheap")).prepare("prices")


def test_a_stateless_answer_that_was_given_before_says_so(app):
    app.settings = replace(app.settings, response_cache_seconds=60)
    asked = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
    answers = [answer_of(app, "POST", "/api/copilotedge", asked, user) for user in ("alice", "alice", "bob")]
    assert [answer["headers"]["x-cache"] for answer in answers] == ["MISS", "HIT", "MISS"]
    assert [answer["headers"]["x-usage-tokens"] for answer in answers] == ["15", "0", "15"]
    assert "x-cache" not in answer_of(app, "POST", "/api/copilotedge", asked | {"conversationId": "c1"})["headers"]


def test_the_history_is_read_in_order(app):
    ask(app, "one")
    ask(app, "two")
    _, body = http(app, "GET", "/conversation/c1/messages")
    assert [m["content"] for m in body["messages"]] == ["one", "You said: one", "two", "You said: two"]
    assert body["conversationId"] == "c1"
    assert body["totalTokens"] == 30
    assert body["turn"] is None


def test_the_history_is_paged_both_ways(app):
    for text in ("one", "two", "three"):
        ask(app, text)
    _, newest = http(app, "GET", "/conversation/c1/messages?limit=2")
    _, older = http(app, "GET", "/conversation/c1/messages?limit=2&before=5")
    _, later = http(app, "GET", "/conversation/c1/messages?limit=4&after=1")
    assert [m["seq"] for m in newest["messages"]] == [5, 6]
    assert [m["seq"] for m in older["messages"]] == [3, 4]
    assert [m["seq"] for m in later["messages"]] == [2, 3, 4, 5]
    assert newest["hasMore"] and older["hasMore"] and later["hasMore"]


def test_a_history_that_outgrows_an_answer_is_read_in_pages(app, monkeypatch):
    monkeypatch.setattr("copilotedge.rest_shapes.MAX_BYTES", 900)
    for text in ("one", "two", "three"):
        ask(app, text)
    _, newest = http(app, "GET", "/conversation/c1/messages")
    read = [message["seq"] for message in newest["messages"]]
    assert 1 <= len(read) < 6 and newest["hasMore"]
    while (page := http(app, "GET", f"/conversation/c1/messages?before={read[0]}")[1])["messages"]:
        read = [message["seq"] for message in page["messages"]] + read
    assert read == [1, 2, 3, 4, 5, 6]
    _, oldest = http(app, "GET", "/conversation/c1/messages?after=0")
    assert [message["seq"] for message in oldest["messages"]] == read[: len(oldest["messages"])]
    assert len(oldest["messages"]) < 6 and oldest["hasMore"]


def test_a_message_that_is_too_long_for_an_answer_is_read_nevertheless(app, monkeypatch):
    monkeypatch.setattr("copilotedge.rest_shapes.MAX_BYTES", 1)
    ask(app, "one")
    _, body = http(app, "GET", "/conversation/c1/messages")
    assert ([message["seq"] for message in body["messages"]], body["hasMore"]) == ([2], True)


def test_a_chat_without_a_conversation_is_stateless(app):
    status, body = http(app, "POST", "/api/copilotedge", {"messages": [{"role": "user", "content": "Hi"}]})
    assert status == 200
    assert "conversationId" not in body
    assert conversations_kept() == 0


def test_the_default_conversation_is_that_of_requests_that_name_none(app):
    app.settings = replace(app.settings, default_conversation_id="home")
    _, body = http(app, "POST", "/api/copilotedge", {"messages": [{"role": "user", "content": "Hi"}]})
    assert body["conversationId"] == "home"
    assert len(http(app, "GET", "/conversation/home/messages")[1]["messages"]) == 2


def test_the_stored_state_shapes_the_next_answer(app, model):
    state = json.loads(event("http-state")["body"])
    status, body = http(app, "PUT", "/conversation/c1/state", state)
    assert (status, body["success"]) == (200, True)
    ask(app, "Hi")
    sent = model.requests[-1].body
    assert sent["model"] == "@cf/openai/gpt-oss-120b"
    assert sent["temperature"] == 0.7
    assert sent["messages"][0] == {"role": "system", "content": "You are a helpful assistant"}


def test_the_state_is_read_back(app):
    http(app, "PUT", "/conversation/c1/state", {"userId": "u", "context": {"a": 1}})
    http(app, "PUT", "/conversation/c1/state", {"context": {"b": 2}})
    _, body = http(app, "GET", "/conversation/c1/state")
    assert (body["userId"], body["context"], body["messageCount"]) == ("u", {"a": 1, "b": 2}, 0)


def test_clear_empties_the_conversation_and_keeps_its_settings(app):
    http(app, "PUT", "/conversation/c1/state", {"model": "m"})
    ask(app, "Hi")
    assert http(app, "POST", "/conversation/c1/clear") == (200, {"success": True})
    assert http(app, "GET", "/conversation/c1/messages")[1]["messages"] == []
    assert http(app, "GET", "/conversation/c1/state")[1]["model"] == "m"


def test_delete_ends_the_conversation_with_its_settings(app):
    http(app, "PUT", "/conversation/c1/state", {"model": "m"})
    ask(app, "Hi")
    assert http(app, "DELETE", "/conversation/c1") == (200, {"success": True})
    assert http(app, "GET", "/conversation/c1/state")[1]["messageCount"] == 0
    assert http(app, "GET", "/conversation/c1/state")[1]["model"] == app.settings.model


def test_append_stores_without_answering(app, model):
    status, body = http(app, "POST", "/conversation/c1/messages", {"role": "assistant", "content": "Hi", "tokens": 7})
    assert (status, body["success"], body["message"]["content"]) == (200, True, "Hi")
    assert http(app, "GET", "/conversation/c1/messages")[1]["totalTokens"] == 7
    assert model.requests == []


def test_append_tells_how_much_is_left(app):
    answer = answer_of(app, "POST", "/conversation/c1/messages", {"role": "user", "content": "Hi"})
    assert (answer["headers"]["x-ratelimit-limit"], answer["headers"]["x-ratelimit-remaining"]) == ("60", "59")


def test_a_wrong_method_is_told_the_right_ones(app):
    answer = answer_of(app, "PUT", "/conversation/c1")
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "DELETE, PATCH")


def test_a_list_is_no_longer_than_the_operator_allows_even_if_nobody_says_how_long(app):
    app.settings = replace(app.settings, max_history_page=1)
    for name in ("c1", "c2"):
        http(app, "POST", f"/conversation/{name}/messages", {"role": "user", "content": "Hi"})
    status, body = http(app, "GET", "/conversations")
    assert (status, len(body["conversations"])) == (200, 1)
    assert body["nextCursor"]


def test_a_conversation_is_renamed_pinned_and_archived(app):
    ask(app, "Hello")
    status, entry = http(app, "PATCH", "/conversation/c1", {"title": "Mine", "pinned": True, "archived": True})
    assert status == 200
    assert (entry["conversationId"], entry["title"], entry["pinned"], entry["archived"]) == ("c1", "Mine", True, True)
    assert http(app, "GET", "/conversations")[1]["conversations"] == []
    assert http(app, "GET", "/conversations?archived=true&q=mine")[1]["conversations"] == [entry]
    assert http(app, "GET", "/conversation/c1/state")[1]["title"] == "Mine"
    assert http(app, "PATCH", "/conversation/c1", {"title": None})[1]["title"] == "Hello"


def test_what_does_not_exist_cannot_be_renamed(app):
    status, body = http(app, "PATCH", "/conversation/c1", {"title": "Mine"})
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert conversations_kept() == 0


def test_a_conversation_is_exported_as_a_file(app):
    ask(app, "Hello")
    as_json = answer_of(app, "GET", "/conversation/c1/export")
    as_markdown = answer_of(app, "GET", "/conversation/c1/export?format=markdown&after=1")
    assert as_json["headers"]["content-disposition"] == 'attachment; filename="conversation-c1.json"'
    assert [message["content"] for message in json.loads(as_json["body"])["messages"]] == ["Hello", "You said: Hello"]
    assert as_markdown["headers"]["Content-Type"] == "text/markdown; charset=utf-8"
    assert "> You said: Hello" in as_markdown["body"]
    assert "> Hello" not in as_markdown["body"]


def test_a_client_that_resends_the_history_does_not_double_it(app, model):
    first = ask(app, "one")["choices"][0]["message"]
    messages = [{"role": "user", "content": "one"}, first, {"role": "user", "content": "two"}]
    ask(app, "", messages=messages)
    _, body = http(app, "GET", "/conversation/c1/messages")
    assert [m["content"] for m in body["messages"]] == ["one", "You said: one", "two", "You said: two"]


def test_a_stream_is_well_formed_server_sent_events(app):
    request = event("http-chat")
    request["body"] = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    answer = http_api.handle(app, request, Context())
    events = [block.removeprefix("data: ") for block in answer["body"].split("\n\n") if block]
    assert answer["headers"]["Content-Type"].startswith("text/event-stream")
    assert events[-1] == "[DONE]"
    chunks = [json.loads(data) for data in events[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "You said: Hi"
    assert chunks[-1]["usage"]["total_tokens"] == 15


def test_the_same_idempotency_key_gives_the_same_answer_and_one_model_call(app, model):
    request = event("http-chat")
    first, second = (json.loads(http_api.handle(app, request, Context())["body"]) for _ in range(2))
    assert first["choices"] == second["choices"]
    assert first["usage"] == second["usage"]
    assert len(model.requests) == 1


def test_an_idempotency_key_with_other_content_is_a_conflict(app):
    key = {"idempotency-key": "k1"}
    for content, expected in (("one", 200), ("two", 409)):
        messages = [{"role": "user", "content": content}]
        status, body = http(app, "POST", "/api/copilotedge", {"conversationId": "c1", "messages": messages}, **key)
        assert status == expected
    assert body["error"]["code"] == "message_id_reused"


USER = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("not JSON", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        ("", 400, "invalid_json"),
        ({}, 400, "invalid_messages"),
        ({"messages": []}, 400, "invalid_messages"),
        ({"messages": [{"role": "user"}]}, 400, "invalid_content"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 400, "invalid_role"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "invalid_text"),
        ({"messages": [{"role": "user", "content": "x" * 10_001}]}, 413, "message_too_large"),
        ({"messages": USER * 101}, 400, "too_many_messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 400, "invalid_message"),
        ({"messages": USER, "conversationId": "has spaces"}, 400, "invalid_conversation_id"),
        ({"messages": USER, "conversationId": "x" * 300}, 400, "invalid_conversation_id"),
        ({"messages": USER, "temperature": "hot"}, 400, "invalid_request"),
        ({"messages": [{"role": "user", "content": "x" * 1_100_000}]}, 413, "request_too_large"),
    ],
)
def test_bad_input_is_refused_with_a_stable_code_and_nothing_stored(app, model, body, status, code):
    found, answer = http(app, "POST", "/api/copilotedge", body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert conversations_kept() == 0
    assert model.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route_not_found"),
        ("GET", "/conversation/c1", 405, "method_not_allowed"),
        ("GET", "/conversation/\x84/messages", 404, "route_not_found"),
        ("GET", "/conversation/c1/export?format=pdf", 400, "invalid_parameter"),
        ("GET", "/conversation/c1/export?after=x", 400, "invalid_parameter"),
        ("GET", "/conversation/c1/export", 404, "not_found"),
        ("GET", "/conversations?archived=yes", 400, "invalid_parameter"),
        ("GET", f"/conversations?q={'x' * 201}", 400, "invalid_parameter"),
        ("GET", "/conversations?limit=101", 400, "invalid_parameter"),
        ("GET", "/conversation/has%20spaces/messages", 400, "invalid_conversation_id"),
        ("GET", f"/conversation/{'x' * 300}/messages", 400, "invalid_conversation_id"),
        ("GET", "/conversation/c1/messages?limit=0", 400, "invalid_parameter"),
        ("GET", "/conversation/c1/messages?limit=101", 400, "invalid_parameter"),
        ("GET", "/conversation/c1/messages?before=x", 400, "invalid_parameter"),
        ("GET", "/conversation/c1/messages?before=1&after=1", 400, "invalid_parameter"),
    ],
)
def test_bad_paths_are_refused_with_a_stable_code(app, method, path, status, code):
    found, answer = http(app, method, path)
    assert (found, answer["error"]["code"]) == (status, code)


def test_a_defect_of_ours_says_nothing_of_itself(app):
    class Broken:
        def page(self, *_: object) -> None:
            raise RuntimeError("inside story")

    app.conversations = Broken()
    status, body = http(app, "GET", "/conversation/c1/messages")
    assert (status, body["error"]["code"]) == (500, "internal_error")
    assert "inside" not in json.dumps(body)


def test_disabled_conversations_leave_only_stateless_chat(app, model):
    app.settings = Settings(enable_conversations=False, workers_ai_base_url=model.base_url)
    assert http(app, "GET", "/conversation/c1/messages")[1]["error"]["code"] == "conversations_disabled"
    assert websocket_api.handle(app, event("websocket-connect"))["statusCode"] == 403


def test_the_page_comes_with_a_strict_policy(app):
    request = event("http-messages")
    request["rawPath"] = request["requestContext"]["http"]["path"] = "/"
    answer = http_api.handle(app, request, Context())
    assert answer["statusCode"] == 200
    assert "<title>" in answer["body"]
    policy = answer["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self' wss://w1x2y3z4.execute-api.eu-central-1.amazonaws.com" in policy


def test_the_page_travels_compressed_and_only_when_it_has_changed(app):
    request = event("http-messages")
    request["rawPath"] = request["requestContext"]["http"]["path"] = "/"
    plain = http_api.handle(app, request, Context())
    request["headers"]["accept-encoding"] = "gzip, br"
    packed = http_api.handle(app, request, Context())
    assert packed["headers"]["content-encoding"] == "gzip" and packed["isBase64Encoded"]
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]
    request["headers"]["if-none-match"] = plain["headers"]["etag"]
    assert http_api.handle(app, request, Context())["statusCode"] == 304


@pytest.mark.parametrize("conversation_id", ["", "has spaces", "x" * 129])
def test_a_socket_needs_a_valid_conversation_id(app, conversation_id):
    request = event("websocket-connect")
    request["requestContext"]["authorizer"]["conversationId"] = conversation_id
    assert websocket_api.handle(app, request)["statusCode"] == 400


@pytest.mark.parametrize("route", ["websocket-connect", "websocket-disconnect"])
def test_a_store_that_is_out_of_reach_gives_a_status_to_the_gateway(app, route):
    class OutOfReach:
        async def connect(self, *_: object) -> None:
            raise StoreUnavailable("Throttled.")

        disconnect = connect

    app.store = OutOfReach()
    assert websocket_api.handle(app, event(route))["statusCode"] == 503


def test_it_is_known_since_when_a_socket_is_listed(app, monkeypatch):
    monkeypatch.setattr(websocket_api, "now", lambda: 123)
    for name in ("websocket-connect", "websocket-message"):
        websocket_api.handle(app, event(name))
        [connection] = app.run(app.store.connections("alice/user-123"))
        assert connection.connected_at == 123


def test_the_worker_runs_the_turn_that_a_socket_began(app):
    websocket_api.handle(app, event("websocket-connect"))
    websocket_api.handle(app, event("websocket-message"))
    (conversation_id, turn_id, connection_id), *_ = app.waker.pending
    woken = {"action": "run_turn", "conversationId": conversation_id, "turnId": turn_id, "connectionId": connection_id}
    turn_worker.handle(app, woken, Context())
    assert app.gateway.kinds(connection_id)[-2:] == ["chat:assistant", "status:complete"]


def test_a_worker_that_finds_its_turn_ended_and_told_says_nothing(app):
    websocket_api.handle(app, event("websocket-connect"))
    websocket_api.handle(app, event("websocket-message"))
    (conversation_id, turn_id, _), *_ = app.waker.pending
    woken = {"action": "run_turn", "conversationId": conversation_id, "turnId": turn_id}
    turn_worker.handle(app, woken, Context())
    app.gateway.frames.clear()
    turn_worker.handle(app, woken, Context())
    assert app.gateway.frames == {}


def test_a_worker_that_stands_by_wakes_another_for_a_turn_that_nobody_holds(app):
    submit_alone(app, "alice/user-123", begun=now() - 60_000)
    turn_worker.handle(app, event("turn-worker-stand-by"), Context())
    ((conversation_id, _, _),) = app.waker.pending
    assert conversation_id == "alice/user-123"


def test_the_worker_finds_a_title(app, model):
    http(app, "POST", "/conversation/user-123/messages", {"role": "user", "content": "How do magnets work?"})
    model.script(Reply("Magnets"))
    turn_worker.handle(app, event("turn-worker-entitle"), Context())
    assert http(app, "GET", "/conversation/user-123/state")[1]["title"] == "Magnets"


def test_copilotkits_graphql_is_answered(app):
    message = {"id": "m-1", "textMessage": {"role": "user", "content": "Hello"}}
    body = {"operationName": "generateCopilotResponse", "variables": {"data": {"threadId": "t", "messages": [message]}}}
    status, answer = http(app, "POST", "/api/copilotedge", body)
    assert (status, answer["data"]["generateCopilotResponse"]["messages"][0]["content"]) == (200, ["You said: Hello"])
    assert len(http(app, "GET", "/conversation/t/messages")[1]["messages"]) == 2


def test_graphql_that_nobody_needs_is_refused(app):
    assert http(app, "POST", "/api/copilotedge", {"query": "{ secrets }"})[1]["error"]["code"] == "invalid_request"


def test_a_socket_that_left_is_no_longer_listed(app):
    websocket_api.handle(app, event("websocket-connect"))
    websocket_api.handle(app, event("websocket-disconnect"))
    assert app.run(app.store.connections("alice/user-123")) == ()


def test_the_janitor_deletes_what_a_removed_state_leaves_behind(app):
    began = submit_alone(app, "alice/user-123")
    app.run(app.store.commit("alice/user-123", Change(began.state, next_state(began.state), removes_state=True)))
    assert conversations_kept() == 1
    janitor.handle(app, event("janitor-state-removed"))
    assert conversations_kept() == 0


def conversations_kept() -> int:
    """Items of conversations in the table."""
    items = boto3.client("dynamodb").scan(TableName="conversations")["Items"]
    return sum(item["pk"]["S"].startswith("CONV#") for item in items)


def submit_alone(app: Application, conversation_id: str, begun: int | None = None) -> Change:
    """Begin a turn that nobody runs."""
    snapshot = app.run(app.store.snapshot(conversation_id, 10))
    began = submit(snapshot, Submission("m1", "Hi", now()), Rules(), begun or now())
    app.run(app.store.commit(conversation_id, began.change))
    return began.change
