"""The stream API's door and edge: tokens, unknown routes, errors, CORS, headers, the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Send

from copilotedge.errors import Conflict, LimitExceeded, ModelNotAllowed
from streaming import incoming
from streaming.edge import Line
from streaming.outgoing import answer
from tests.fakes import FakeLog, FakeTokens
from tests.unit.invocations import http

END = {"type": "http.response.body", "body": b""}
NOBODY = {"authorization": ""}
ORIGIN = "https://shop.example"


async def test_the_line_of_a_request_is_written_before_its_end_is_told_for_the_process_may_sleep_then():
    log, lines = FakeLog(), []

    async def told(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({**END, "body": b"word", "more_body": True})
        await send(END)

    async def send(_message: Message) -> None:
        lines.append(len(log.lines))

    await Line(told, log)({"type": "http", "method": "GET"}, receive_nothing, send)
    assert lines == [0, 0, 1]
    assert len(log.lines) == 1


async def receive_nothing() -> Message:
    return {"type": "http.disconnect"}


async def whoami(request: Request) -> Response:
    return answer(200, {"user": incoming.user(request)})


async def read(request: Request) -> Response:
    return answer(200, {"text": await incoming.text(request)})


async def fail(request: Request) -> Response:
    raise ERRORS[request.path_params["error"]]


ERRORS = {
    "conflict": Conflict("The conversation was cleared.", code="conversation_cleared"),
    "limit": LimitExceeded("Slow down.", retry_after=7, limit=60),
    "model": ModelNotAllowed("The model may not be used.", detail="account 42"),
    "defect": ZeroDivisionError("divided alice's secret"),
}
ROUTES = [Route("/me", whoami), Route("/read", read, methods=["POST"]), Route("/fail/{error}", fail)]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_health_asks_for_no_token(client):
    answer = await client.get("/health", headers=NOBODY)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_route_knows_whose_token_came(serve):
    async with serve(ROUTES) as client:
        assert (await client.get("/me")).json() == {"user": "alice"}
        assert (await client.get("/me", headers={"authorization": "bearer  good-bob"})).json() == {"user": "bob"}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "token_missing"),
        ("Basic YWxpY2U6", "token_missing"),
        ("Bearer token_expired", "token_expired"),
        ("Bearer token_not_yet_valid", "token_not_yet_valid"),
        ("Bearer token_invalid", "token_invalid"),
    ],
)
@pytest.mark.parametrize("path", ["/me", "/nowhere", "/v1/models"])
async def test_a_caller_without_a_good_token_is_told_so_as_by_the_http_api(serve, app, header, code, path):
    async with serve(ROUTES) as client:
        refused = await client.get(path, headers={"authorization": header})
    assert error_of(refused) == (401, code)
    assert refused.headers["www-authenticate"] == "Bearer"
    if code == "token_missing":
        assert (401, refused.json()) == http(app, "GET", "/conversations", user=None)


async def test_a_token_is_refused_from_its_end_on(serve, entrance):
    entrance.tokens = FakeTokens(expires_at=1)
    async with serve(ROUTES) as client:
        assert error_of(await client.get("/me")) == (401, "token_expired")


async def test_without_keys_nobody_gets_in(client):
    assert error_of(await client.get("/nowhere", headers={"authorization": "Bearer lost"})) == (
        503,
        "store_unavailable",
    )


async def test_in_mode_none_everybody_is_the_same_user(serve, entrance):
    entrance.settings = replace(entrance.settings, auth_mode="none")
    async with serve(ROUTES) as client:
        assert (await client.get("/me", headers=NOBODY)).json() == {"user": "anonymous"}


async def test_an_unknown_route_and_a_wrong_method_are_told_apart(client):
    assert error_of(await client.get("/nowhere")) == (404, "route_not_found")
    assert error_of(await client.get("/health/")) == (404, "route_not_found")
    wrong = await client.post("/health")
    assert error_of(wrong) == (405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_an_error_of_ours_becomes_its_status_and_headers(serve, log):
    async with serve(ROUTES) as client:
        assert error_of(await client.get("/fail/conflict")) == (409, "conversation_cleared")
        limited = await client.get("/fail/limit")
    assert error_of(limited) == (429, "rate_limited")
    assert (limited.headers["retry-after"], limited.headers["x-ratelimit-limit"]) == ("7", "60")
    assert [event for event, _ in log.lines] == ["request", "request"]


async def test_what_is_wrong_on_the_operators_side_is_logged_for_him_only(serve, log):
    async with serve(ROUTES) as client:
        answer = await client.get("/fail/model")
    assert error_of(answer) == (502, "model_not_allowed") and "42" not in answer.text
    assert log.lines[0] == ("request_failed", {"code": "model_not_allowed", "detail": "account 42"})


async def test_a_defect_is_logged_by_kind_and_place_and_told_to_nobody(serve, log):
    async with serve(ROUTES) as client:
        answer = await client.get("/fail/defect", headers={"origin": ORIGIN})
    assert error_of(answer) == (500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == "*"
    event, fields = log.lines[0]
    assert (event, fields["error"]) == ("unhandled_error", "ZeroDivisionError")
    assert "test_shell.py" in fields["places"][-1] and "secret" not in str(log.lines)


async def test_a_request_is_logged_without_the_ids_and_the_query_in_it(serve, log):
    async with serve(ROUTES) as client:
        answers = [await client.get(path) for path in ("/fail/conflict?token=eyJ", "/nowhere/alice")]
    first, second = (answer.headers["x-request-id"] for answer in answers)
    assert log.lines == [
        ("request", {"method": "GET", "route": "/fail/{error}", "status": 409, "request_id": first}),
        ("request", {"method": "GET", "route": "/...", "status": 404, "request_id": second}),
    ]


async def test_no_answer_is_kept_or_sniffed(client):
    for path in ("/health", "/nowhere"):
        headers = (await client.get(path)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_a_body_up_to_the_limit_is_read(serve, app):
    app.settings = replace(app.settings, max_request_bytes=8)
    async with serve(ROUTES) as client:
        assert (await client.post("/read", content="zoë1234")).json() == {"text": "zoë1234"}
        assert error_of(await client.post("/read", content="zoë12345")) == (413, "request_too_large")


async def test_a_body_without_an_end_is_not_read_to_it(serve, app):
    app.settings = replace(app.settings, max_request_bytes=1000)
    sent = []

    async def endless():
        while True:
            sent.append(b"x" * 100)
            yield sent[-1]

    async with serve(ROUTES) as client:
        assert error_of(await client.post("/read", content=endless())) == (413, "request_too_large")
    assert len(sent) == 11


async def test_a_body_that_is_no_text_is_refused(serve):
    async with serve(ROUTES) as client:
        assert error_of(await client.post("/read", content=b"\xff")) == (400, "invalid_json")


PREFLIGHT = {"origin": ORIGIN, "access-control-request-method": "PATCH"}


async def test_a_browser_may_ask_without_a_token_what_it_may_send(client):
    answer = await client.options(
        "/v1/x",
        headers=NOBODY | PREFLIGHT | {"access-control-request-headers": "authorization,x-stainless-os"},
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"GET", "POST", "PATCH", "PUT", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert (await client.options("/v1/x", headers=NOBODY)).status_code == 204


async def test_a_browser_may_read_the_refusal_too(client):
    answer = await client.get("/v1/x", headers=NOBODY | {"origin": ORIGIN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")
    assert {"retry-after", "x-ratelimit-remaining", "x-should-retry", "location"} <= set(
        answer.headers["access-control-expose-headers"].split(", ")
    )


async def test_only_the_origins_that_are_named_may_read(serve, app):
    app.settings = replace(app.settings, cors_allow_origins=f"https://a.example, {ORIGIN}")
    async with serve(ROUTES) as client:
        named = await client.get("/me", headers={"origin": ORIGIN})
        other = await client.get("/me", headers={"origin": "https://evil.example"})
        refused = await client.options("/me", headers=PREFLIGHT | {"origin": "https://evil.example"})
    assert named.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in other.headers
    assert refused.status_code == 400


async def test_a_request_that_the_server_cuts_off_is_a_line_in_the_log_and_no_error(serve, log):
    begun = asyncio.Event()

    async def hang(_: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return answer(200, {})

    async with serve([Route("/hang", hang)]) as client:
        asked = asyncio.create_task(client.get("/hang"))
        await begun.wait()
        asked.cancel()
        await asyncio.wait({asked})
    assert [(event, fields["route"], fields["status"]) for event, fields in log.lines] == [("request", "/hang", 0)]
