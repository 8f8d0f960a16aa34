"""The stream API as deployed: its door, its edge, and where it is found."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.clients import http_client
from tests.scripted_model import Reply
from tests.stack import DeployedStack, wait_until

ORIGIN = "https://shop.example"


def test_it_is_healthy_for_everybody(stack: DeployedStack):
    with http_client(stack.stream_url) as nobody:
        answer = nobody.get("health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"


def test_the_endpoints_name_it(stack: DeployedStack):
    endpoints = json.loads(stack.local.endpoints_file.read_text())
    assert endpoints["stream_url"] == stack.stream_url
    assert not stack.stream_url.endswith("/")
    assert stack.outputs["StreamUrl"].startswith("https://") and not stack.outputs["StreamUrl"].endswith("/")


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("route", ["GET v1/models", "POST v1/chat/completions", "GET nowhere", "GET health/more"])
@pytest.mark.parametrize("token", ["", "not-a-token"])
def test_every_other_route_known_or_not_asks_for_a_token(stack: DeployedStack, route: str, token: str):
    method, path = route.split()
    with http_client(stack.stream_url, token) as nobody:
        answer = nobody.request(method, path)
    assert error_of(answer) == (401, "token_invalid" if token else "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_browser_of_another_origin_may_ask_and_read(stack: DeployedStack):
    asks = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    with http_client(stack.stream_url) as browser:
        asked = browser.options("v1/chat/completions", headers=asks)
        refused = browser.post("v1/chat/completions", headers={"origin": ORIGIN})
    assert asked.status_code == 200 and "POST" in asked.headers["access-control-allow-methods"]
    assert "x-stainless-os" in asked.headers["access-control-allow-headers"]
    assert {answer.headers["access-control-allow-origin"] for answer in (asked, refused)} == {"*"}


def test_the_stacks_origins_are_its_own_too(stack: DeployedStack):
    with stack.settings("stream-api", CORS_ALLOW_ORIGINS=f"https://a.example,{ORIGIN}"), stack.stream() as browser:
        ours = browser.get("health", headers={"origin": ORIGIN})
        others = browser.get("health", headers={"origin": "https://evil.example"})
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in others.headers


def test_unknown_routes_and_wrong_methods_are_refused(stack: DeployedStack):
    with stack.stream() as client:
        assert error_of(client.get("nowhere")) == (404, "route_not_found")
        assert error_of(client.put("v1/chat/completions")) == (405, "method_not_allowed")


def test_a_body_that_is_too_long_is_refused_before_its_end(stack: DeployedStack):
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 65_536

    with stack.stream() as client:
        assert error_of(client.post("v1/chat/completions", content=b" " * 1_048_577)) == (413, "request_too_large")
        client.event_hooks = {}  # they would read the request
        assert error_of(client.post("v1/chat/completions", content=endless())) == (413, "request_too_large")


def test_a_request_is_one_line_in_the_log(stack: DeployedStack):
    with stack.stream() as client:
        client.get("nowhere/of-alice?token=secret")
    wait_until(lambda: json.loads(stack.logs("stream-api")[-1]).get("status") == 404, "the line of the request")
    entry = json.loads(stack.logs("stream-api")[-1])
    assert (entry["message"], entry["method"], entry["route"], entry["status"]) == ("request", "GET", "/...", 404)


def test_it_runs_with_the_credentials_of_its_role(stack: DeployedStack):
    mark = stack.calls_so_far()
    with stack.settings("stream-api"), stack.stream("carol") as client:
        client.get("nowhere")
    calls = [call for call in stack.calls(mark) if call.function == stack.function_name("stream-api")]
    assert {(call.action, call.allowed) for call in calls} == {("secretsmanager:GetSecretValue", True)}
    assert {"dynamodb:Query", "lambda:InvokeFunction"} <= {grant.action for grant in stack.grants("stream-api")}


def test_it_comes_back_after_a_crash(stack: DeployedStack):
    assert stack.kill("stream-api") == 1
    with stack.stream() as client:
        assert client.get("health").status_code == 200


def test_a_stateless_chat_ends_with_its_caller(stack: DeployedStack):
    stack.model.script(Reply(chunks=[f"word{n} " for n in range(600)], delay_between=0.05))
    body = {"stream": True, "messages": [{"role": "user", "content": "Tell me everything"}]}
    with stack.stream() as client, client.stream("POST", "v1/chat/completions", json=body) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    wait_until(lambda: stack.model.requests[-1].outcome == "client_closed", "the end of the model's call")
