import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import httpx
import pytest

from copilotedge.adapters.workers_ai import WorkersAi
from copilotedge.errors import (
    ModelError,
    ModelInterrupted,
    ModelNotAllowed,
    ModelOutOfCapacity,
    ModelQuotaExhausted,
    ModelRequestRejected,
    ModelTimeout,
    ModelUnavailable,
)
from copilotedge.models import Finished, ModelRequest, PromptMessage, TextDelta, ToolCall, ToolCallDelta, Usage
from tests.scripted_model import Reply, ScriptedModel

BASE_URL = "https://models.test/client/v4/accounts/a/ai"
REQUEST = ModelRequest("@cf/m", (PromptMessage("system", "Be kind."), PromptMessage("user", "hi")), 100)
FOR_EVER = object()
OUT_OF_CAPACITY = {"success": False, "result": None, "errors": [{"code": 3040, "message": "busy"}], "messages": []}


class Log:
    def __init__(self):
        self.entries = []

    def info(self, event, **fields):
        self.entries.append((event, fields))

    error = info


class Token:
    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.refreshed = 0

    async def __call__(self, *, refresh=False):
        self.refreshed += refresh
        return self.tokens[min(self.refreshed, len(self.tokens) - 1)]


class Bench:
    """A ``WorkersAi`` whose server gives these replies in turn, the last one for ever."""

    def __init__(self, *replies, base_url=BASE_URL, token=None, **options):
        self.replies, self.requests, self.waits, self.log = list(replies), [], [], Log()
        self.token = token or Token("secret")
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        seams = {"log": self.log, "sleep": self.sleep, "random": lambda: 1.0, "api_token": self.token}
        self.model = WorkersAi(self.client, base_url=base_url, **seams, **options)

    async def answer(self, request):
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def sleep(self, seconds):
        self.waits.append(seconds)

    async def events(self, request=REQUEST):
        return [event async for event in self.model.stream(request)]

    async def failure(self, request=REQUEST):
        with pytest.raises(ModelError) as raised:
            await self.events(request)
        return raised.value

    @property
    def models(self):
        return [json.loads(request.content)["model"] for request in self.requests]


class Body(httpx.AsyncByteStream):
    def __init__(self, *chunks):
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self):
        for chunk in self.chunks:
            if chunk is FOR_EVER:
                await asyncio.Event().wait()
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self):
        self.closed = True


def sse(*payloads, done=True):
    lines = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])]).encode()


def stream(*chunks):
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(*chunks))


def delta(content, finish_reason=None, **fields):
    return {"choices": [{"index": 0, "delta": {"content": content, **fields}, "finish_reason": finish_reason}]}


def error(status, code=None, **headers):
    body = {"success": False, "result": None, "errors": [{"code": code, "message": "told to"}], "messages": []}
    return httpx.Response(status, json=body, headers=headers)


def hello(model="@cf/m"):
    return [TextDelta("Hello"), Finished(Usage(), model)]


def said_hello():
    return stream(sse(delta("Hello")))


# --- What is sent


async def test_chat_completions_get_an_openai_request():
    bench = Bench(said_hello())
    await bench.events()
    [request] = bench.requests
    assert str(request.url) == f"{BASE_URL}/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer secret"
    assert json.loads(request.content) == {
        "model": "@cf/m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_run_gets_the_model_in_its_path():
    bench = Bench(stream(sse({"response": "Hello"})), endpoint="run")
    assert await bench.events() == hello()
    assert str(bench.requests[0].url) == f"{BASE_URL}/run/@cf/m"
    assert json.loads(bench.requests[0].content).keys() == {"messages", "max_tokens", "stream"}


@pytest.mark.parametrize("model", ["../../zones", "@cf/../x", "a//b", "", "a?b", "a/%2e%2e/b", "é"])
async def test_run_posts_nowhere_but_to_a_model(model):
    bench = Bench(said_hello(), endpoint="run")
    failure = await bench.failure(ModelRequest(model, (), 100))
    assert (failure.code, bench.requests) == ("unknown_model", [])


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/"])
async def test_a_base_url_may_end_in_v1(base_url):
    bench = Bench(said_hello(), base_url=base_url)
    await bench.events()
    assert str(bench.requests[0].url) == "http://127.0.0.1:8080/v1/chat/completions"


async def test_a_temperature_is_sent_when_there_is_one():
    bench = Bench(said_hello())
    await bench.events(ModelRequest("@cf/m", (), 100, temperature=0.0))
    assert json.loads(bench.requests[0].content)["temperature"] == 0.0


async def test_tools_calls_and_results_are_sent_by_openais_names():
    calls = PromptMessage("assistant", "", (ToolCall("call-1", "weather", '{"city":"Oslo"}'),))
    result = PromptMessage("tool", "rain", tool_call_id="call-1")
    bench = Bench(said_hello())
    await bench.events(ModelRequest("@cf/m", (calls, result), 100, options='{"tools":[{"type":"function"}],"seed":7}'))
    sent = json.loads(bench.requests[0].content)
    function = {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert (sent["tools"], sent["seed"]) == ([{"type": "function"}], 7)
    assert sent["messages"] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call-1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "call-1"},
    ]


async def test_options_do_not_replace_what_we_decide():
    bench = Bench(said_hello())
    await bench.events(ModelRequest("@cf/m", (), 100, options='{"stream":false,"max_tokens":9}'))
    sent = json.loads(bench.requests[0].content)
    assert (sent["stream"], sent["max_tokens"]) == (True, 100)


async def test_every_silence_is_bounded():
    bench = Bench(said_hello(), timeout_seconds=7)
    await bench.events()
    assert bench.requests[0].extensions["timeout"] == {"connect": 7, "read": 7, "write": 7, "pool": 7}


# --- What comes back


async def test_text_comes_in_pieces_and_ends_with_usage_and_reason():
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
    bench = Bench(stream(sse(delta(""), delta("Hel"), delta("lo"), delta(None, "length"), usage)))
    assert await bench.events() == [TextDelta("Hel"), TextDelta("lo"), Finished(Usage(9, 2), "@cf/m", "length")]


async def test_run_streams_text_and_usage():
    last = {"response": "", "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    bench = Bench(stream(sse({"response": "Hello", "p": "abc"}, last)), endpoint="run")
    assert await bench.events() == [TextDelta("Hello"), Finished(Usage(9, 2), "@cf/m")]


PLAIN = [
    {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]},
    {"result": {"response": "Hello"}, "success": True, "errors": [], "messages": []},
    {"result": {"choices": [{"message": {"content": "Hello"}}]}, "success": True},
]


@pytest.mark.parametrize("body", PLAIN)
async def test_a_plain_json_body_is_read_too(body):
    assert await Bench(httpx.Response(200, json=body)).events() == hello()


async def test_what_a_reasoning_model_thinks_is_no_answer():
    bench = Bench(stream(sse(delta(None, reasoning_content="Well..."), delta("Hello"))))
    assert await bench.events() == hello()


def calling(*calls):
    return delta(None, tool_calls=list(calls))


async def test_tool_calls_come_in_pieces():
    begun = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    other = {"index": 1, "id": "call-2", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    pieces = [calling(begun), calling({"index": 0, "function": {"arguments": '{"city":'}}), calling(other)]
    pieces += [calling({"index": 0, "function": {"arguments": '"Oslo"}'}}), delta(None, "tool_calls")]
    assert await Bench(stream(sse(*pieces))).events() == [
        ToolCallDelta(0, "", "call-1", "weather"),
        ToolCallDelta(0, '{"city":'),
        ToolCallDelta(1, "{}", "call-2", "time"),
        ToolCallDelta(0, '"Oslo"}'),
        Finished(Usage(), "@cf/m", "tool_calls"),
    ]


async def test_run_tells_whole_tool_calls_without_ids():
    reply = {"response": None, "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "time"}]}
    first, second, _ = await Bench(
        httpx.Response(200, json={"result": reply, "success": True}), endpoint="run"
    ).events()
    assert (first.index, first.name, first.arguments) == (0, "weather", '{"city": "Oslo"}')
    assert (second.index, second.name, second.arguments) == (1, "time", "")
    assert first.call_id.startswith("call_") and first.call_id != second.call_id


async def test_calls_that_are_all_numbered_0_are_told_apart_by_their_ids():
    whole = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    events = await Bench(stream(sse(calling(whole[0]), calling(whole[1])))).events()
    assert events[:-1] == [ToolCallDelta(0, "{}", "a", "a"), ToolCallDelta(1, "{}", "b", "b")]


@pytest.mark.parametrize("calls", [7, "x", [7], {"a": 1}, None])
async def test_odd_tool_calls_are_none(calls):
    assert await Bench(stream(sse(delta("Hello", tool_calls=calls)))).events() == hello()


async def test_tokens_sent_as_numbers_are_text():
    bench = Bench(stream(sse(delta("["), delta(1), delta("]"), delta(0))))
    assert "".join(event.text for event in (await bench.events())[:-1]) == "[1]0"


async def test_run_tokens_sent_as_numbers_are_text():
    assert (await Bench(stream(sse({"response": 7}))).events())[0] == TextDelta("7")


async def test_halves_of_an_emoji_are_joined_and_lost_halves_replaced():
    bench = Bench(stream(sse('{"response":"a\\ud83d"}', '{"response":"\\ude00b"}', '{"response":"\\ud83dc"}')))
    assert "".join(event.text for event in (await bench.events())[:-1]) == "a😀b\ufffdc"


async def test_bad_json_is_skipped_and_counted():
    bench = Bench(stream(sse("{oops", delta("Hello"), "[1]")))
    assert await bench.events() == hello()
    assert bench.log.entries == [("model_payloads_skipped", {"model": "@cf/m", "count": 2})]


async def test_done_may_be_missing():
    assert await Bench(stream(sse(delta("Hello"), done=False).strip())).events() == hello()


async def test_nothing_after_done_is_answer():
    assert await Bench(stream(sse(delta("Hello")) + sse(delta("more")))).events() == hello()


@pytest.mark.parametrize("late", [httpx.ReadError("late"), FOR_EVER])
async def test_a_body_that_does_not_end_after_done_is_left(late):
    assert await Bench(stream(sse(delta("Hello")), late)).events() == hello()


async def test_an_empty_answer_is_an_answer():
    assert await Bench(stream(sse(delta(None, "stop")))).events() == [Finished(Usage(), "@cf/m")]


@pytest.mark.parametrize("content", [b"", b"<html>proxy</html>", b"data: {oops\n\n"])
async def test_a_reply_without_any_payload_is_no_answer(content):
    assert isinstance(await Bench(stream(content), max_tries=1).failure(), ModelUnavailable)


async def test_odd_usage_counts_as_none():
    usage = {"prompt_tokens": None, "completion_tokens": "many"}
    assert (await Bench(stream(sse({"response": "x", "usage": usage}))).events())[-1].usage == Usage()


# --- What goes wrong

ERRORS = [
    (400, 5007, ModelRequestRejected, "unknown_model"),
    (404, 3042, ModelRequestRejected, "unknown_model"),
    (404, None, ModelRequestRejected, "unknown_model"),
    (400, 3003, ModelRequestRejected, "model_request_rejected"),
    (400, 5004, ModelRequestRejected, "model_request_rejected"),
    (422, None, ModelRequestRejected, "model_request_rejected"),
    (413, 3006, ModelRequestRejected, "model_request_too_large"),
    (413, None, ModelRequestRejected, "model_request_too_large"),
    (403, 5018, ModelNotAllowed, "model_not_allowed"),
    (403, 3041, ModelNotAllowed, "model_not_allowed"),
    (403, 3023, ModelNotAllowed, "model_not_allowed"),
    (403, 5016, ModelNotAllowed, "model_not_allowed"),
    (401, 10000, ModelNotAllowed, "model_not_allowed"),
    (404, 7003, ModelNotAllowed, "model_not_allowed"),
    (429, 3036, ModelQuotaExhausted, "model_quota_exhausted"),
    (429, 4006, ModelQuotaExhausted, "model_quota_exhausted"),
    (429, 3040, ModelOutOfCapacity, "model_out_of_capacity"),
    (429, None, ModelOutOfCapacity, "model_out_of_capacity"),
    (408, 3007, ModelTimeout, "model_timeout"),
    (408, 3008, ModelTimeout, "model_timeout"),
    (408, None, ModelTimeout, "model_timeout"),
    (500, None, ModelUnavailable, "model_unavailable"),
    (524, None, ModelUnavailable, "model_unavailable"),
    (302, None, ModelUnavailable, "model_unavailable"),
]
RETRIED = {"model_out_of_capacity", "model_timeout", "model_unavailable"}


@pytest.mark.parametrize(("status", "code", "kind", "name"), ERRORS)
async def test_an_error_has_its_kind_and_only_some_are_retried(status, code, kind, name):
    bench = Bench(error(status, code))
    failure = await bench.failure()
    assert (type(failure), failure.code) == (kind, name)
    assert len(bench.waits) == (2 if name in RETRIED else 0)


@pytest.mark.parametrize(("status", "code", "kind", "name"), ERRORS)
async def test_the_fallback_model_is_asked_where_it_can_help(status, code, kind, name):
    bench = Bench(*[error(status, code)] * (3 if name in RETRIED else 1), said_hello(), fallback_model="@cf/f")
    if name in RETRIED | {"unknown_model"}:
        assert await bench.events() == hello("@cf/f")
        assert bench.models[-2:] == ["@cf/m", "@cf/f"]
    elif status != 401:
        assert type(await bench.failure()) is kind


OPENAI_ERRORS = [
    (404, {"error": {"message": "no such", "type": "NotFoundError", "code": 404}}, "unknown_model"),
    (404, {"object": "error", "message": "no such", "type": "NotFoundError", "code": 404}, "unknown_model"),
    (404, {"error": "model not found"}, "unknown_model"),
    (400, {"error": {"message": "no", "code": "model_not_found"}}, "unknown_model"),
    (400, {"error": {"message": "AiError: 3040: busy", "type": "x", "code": None}}, "model_out_of_capacity"),
    (429, {"error": {"message": "pay", "type": "insufficient_quota", "code": None}}, "model_quota_exhausted"),
    (429, {"error": {"message": "x", "code": "3036"}}, "model_quota_exhausted"),
    (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, "model_request_too_large"),
    (503, [], "model_unavailable"),
    (400, {"errors": ["odd"]}, "model_request_rejected"),
]


@pytest.mark.parametrize(("status", "body", "name"), OPENAI_ERRORS)
async def test_other_shapes_of_errors_are_read(status, body, name):
    assert (await Bench(httpx.Response(status, json=body)).failure()).code == name


STREAMED_ERRORS = [
    (OUT_OF_CAPACITY, "model_out_of_capacity"),
    ({"errors": [{"code": 3036, "message": "used up"}]}, "model_quota_exhausted"),
    ({"error": {"message": "x", "code": 5007}}, "unknown_model"),
    ({"error": {"message": "x", "code": 400}}, "model_request_rejected"),
    ({"error": "something"}, "model_unavailable"),
    ({"success": False}, "model_unavailable"),
]


@pytest.mark.parametrize(("payload", "name"), STREAMED_ERRORS)
async def test_an_error_inside_a_stream_is_an_error(payload, name):
    assert (await Bench(stream(sse(payload)), max_tries=1).failure()).code == name


async def test_an_error_in_a_plain_body_with_status_200_is_an_error():
    assert isinstance(await Bench(httpx.Response(200, json=OUT_OF_CAPACITY)).failure(), ModelOutOfCapacity)


TRANSPORT_ERRORS = [
    (httpx.ConnectError("no route"), ModelUnavailable),
    (httpx.ReadError("reset"), ModelUnavailable),
    (httpx.RemoteProtocolError("cut"), ModelUnavailable),
    (httpx.ConnectTimeout("slow"), ModelTimeout),
    (httpx.ReadTimeout("slow"), ModelTimeout),
    (httpx.PoolTimeout("slow"), ModelTimeout),
]


@pytest.mark.parametrize(("exc", "kind"), TRANSPORT_ERRORS)
async def test_trouble_on_the_way_is_retried(exc, kind):
    bench = Bench(exc)
    failure = await bench.failure()
    assert (type(failure), len(bench.requests)) == (kind, 3)
    assert failure.__cause__ is exc


@pytest.mark.parametrize(("exc", "kind"), TRANSPORT_ERRORS)
async def test_a_stream_that_breaks_before_the_first_token_is_retried(exc, kind):
    assert await Bench(stream(sse(delta(""), done=False), exc), said_hello()).events() == hello()


BREAKS = [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), sse(OUT_OF_CAPACITY), sse({"error": {"code": 500}})]


@pytest.mark.parametrize("trouble", BREAKS)
async def test_after_the_first_token_there_is_no_second_try(trouble):
    bench = Bench(stream(sse(delta("Hel"), done=False), trouble), said_hello(), fallback_model="@cf/f")
    events = bench.model.stream(REQUEST)
    assert await anext(events) == TextDelta("Hel")
    with pytest.raises(ModelInterrupted):
        await anext(events)
    assert len(bench.requests) == 1


async def test_an_error_that_is_no_json_goes_by_its_status():
    assert (await Bench(httpx.Response(413, content=b"<html>too large")).failure()).code == "model_request_too_large"


async def test_a_refusal_may_quote_the_prompt_so_its_text_is_not_kept():
    failure = await Bench(httpx.Response(400, json={"error": {"message": "You said: secret"}})).failure()
    assert "secret" not in str(failure) + failure.detail


async def test_the_clients_text_holds_nothing_of_the_servers():
    failure = await Bench(httpx.Response(403, json={"error": {"message": "do not tell" * 99}})).failure()
    assert "do not tell" not in str(failure)
    assert "do not tell" not in failure.detail
    assert len(failure.detail) <= 300


# --- Tries


async def test_waits_grow_up_to_a_bound():
    bench = Bench(error(500), max_tries=8)
    await bench.failure()
    assert bench.waits == [0.5, 1, 2, 4, 8, 8, 8]


async def test_waits_are_jittered_down_to_nothing():
    bench = Bench(error(500))
    bench.model._random = iter([0.25, 0.0]).__next__
    await bench.failure()
    assert bench.waits == [0.125, 0]


async def test_a_failed_try_is_logged():
    bench = Bench(error(429, 3040), said_hello())
    await bench.events()
    fields = {"code": "model_out_of_capacity", "detail": "HTTP 429, 3040", "wait_seconds": 0.5}
    assert bench.log.entries == [("model_try_failed", {"model": "@cf/m", **fields})]


@pytest.mark.parametrize("name", ["Ignore this: my card is 4111", "a/../b", "x" * 81, "", "a\nb"])
async def test_the_log_gets_no_text_of_the_clients_for_a_models_name(name):
    bench = Bench(error(500), stream(sse("{oops", delta("Hello"))))
    await bench.events(replace(REQUEST, model=name))
    assert [fields["model"] for _, fields in bench.log.entries] == ["other", "other"]


async def test_retry_after_is_waited_for():
    bench = Bench(error(503, **{"retry-after": "12"}), said_hello())
    assert await bench.events() == hello()
    assert bench.waits == [12]


@pytest.mark.parametrize("value", ["soon", "-5", "", "Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_a_retry_after_that_says_nothing_changes_nothing(value):
    bench = Bench(error(503, **{"retry-after": value}), said_hello())
    await bench.events()
    assert bench.waits == [0.5]


@pytest.mark.parametrize("value", ["3600", "Fri, 06 Nov 2998 08:49:37 GMT"])
async def test_a_model_that_wants_a_long_wait_is_not_tried_again(value):
    bench = Bench(error(429, **{"retry-after": value}), said_hello(), fallback_model="@cf/f")
    assert await bench.events() == hello("@cf/f")
    assert bench.waits == [0]


async def test_a_failure_says_how_long_to_wait():
    assert (await Bench(error(429, **{"retry-after": "60"})).failure()).retry_after == 60


async def test_the_fallback_model_is_tried_as_often():
    bench = Bench(error(500), fallback_model="@cf/f", max_tries=2)
    await bench.failure()
    assert bench.models == ["@cf/m", "@cf/m", "@cf/f", "@cf/f"]


async def test_an_unknown_model_falls_back_at_once():
    bench = Bench(error(400, 5007), said_hello(), fallback_model="@cf/f")
    assert await bench.events() == hello("@cf/f")
    assert bench.waits == [0]


async def test_when_both_models_fail_the_first_one_decides():
    failure = await Bench(error(400, 5007), error(429, 3036), fallback_model="@cf/f").failure()
    assert failure.code == "unknown_model"
    assert isinstance(failure.__cause__, ModelQuotaExhausted)


async def test_the_fallback_model_does_not_stand_in_for_itself():
    bench = Bench(error(400, 5007), fallback_model="@cf/m")
    await bench.failure()
    assert bench.models == ["@cf/m"]


# --- The token


async def test_a_refused_token_is_read_anew():
    bench = Bench(error(401, 10000), said_hello(), token=Token("old", "new\n"))
    assert await bench.events() == hello()
    assert [request.headers["authorization"] for request in bench.requests] == ["Bearer old", "Bearer new"]


async def test_a_token_is_read_anew_once():
    bench = Bench(error(401, 10000), fallback_model="@cf/f")
    assert isinstance(await bench.failure(), ModelNotAllowed)
    assert (bench.token.refreshed, len(bench.requests)) == (1, 2)


# --- Closing


async def test_closing_the_iterator_closes_the_reply():
    body = Body(sse(delta("Hel"), done=False), sse(delta("lo")))
    bench = Bench(httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body))
    async with aclosing(bench.model.stream(REQUEST)) as events:
        assert await anext(events) == TextDelta("Hel")
        assert not body.closed
    assert body.closed


@pytest.mark.parametrize("reply", [said_hello(), error(429, 3040), error(401, 10000)])
async def test_every_reply_is_closed(reply):
    await asyncio.gather(Bench(reply, max_tries=1).events(), return_exceptions=True)
    assert reply.is_closed


# --- With a real socket


@pytest.fixture
def server():
    with ScriptedModel() as server:
        yield server


@pytest.fixture
async def connect(server):
    async with httpx.AsyncClient() as client:
        seams = {"api_token": Token("secret"), "log": Log(), "sleep": Bench(None).sleep}
        yield lambda **options: WorkersAi(client, base_url=server.base_url, **seams, **options)


async def ask(model, request=REQUEST):
    *deltas, finished = [event async for event in model.stream(request)]
    return "".join(delta.text for delta in deltas), finished


@pytest.mark.parametrize("endpoint", ["chat-completions", "run"])
@pytest.mark.parametrize("how", [{}, {"plain": True}, {"split_bytes": 1}, {"bad_json": True}, {"done": False}])
async def test_an_answer_arrives_whole_however_it_is_sent(server, connect, endpoint, how):
    server.script(Reply("Žluťoučký 🐎 said hi", usage=(9, 4), reasoning="hm", **how))
    assert await ask(connect(endpoint=endpoint)) == ("Žluťoučký 🐎 said hi", Finished(Usage(9, 4), "@cf/m"))


@pytest.mark.parametrize("cut_after", [-1, 0])
async def test_a_reset_before_the_first_token_is_retried(server, connect, cut_after):
    server.script(Reply("lost", cut_after=cut_after), Reply("found"))
    assert (await ask(connect()))[0] == "found"


async def test_a_reset_after_the_first_token_interrupts(server, connect):
    server.script(Reply("one two", cut_after=1))
    with pytest.raises(ModelInterrupted):
        await ask(connect())
    assert len(server.requests) == 1


async def test_a_stall_interrupts(server, connect):
    server.script(*[Reply("one two", stall_after=1)] * 3)  # where even the first word takes too long it asks again
    with pytest.raises(ModelInterrupted):
        await ask(connect(timeout_seconds=0.3))


async def test_a_server_that_is_not_there_is_unavailable(server, connect):
    server.stop()
    with pytest.raises(ModelUnavailable):
        await ask(connect())


async def test_one_connection_serves_one_call_after_the_other(server, connect):
    model = connect()
    await ask(model)
    await ask(model)
    first, second = server.requests
    assert first.peer == second.peer


async def test_the_server_hears_at_once_that_no_one_listens(server, connect):
    server.script(Reply("one two", stall_after=1))
    async with aclosing(connect().stream(REQUEST)) as events:
        await anext(events)
    [request] = await asyncio.to_thread(server.wait_for_outcomes, 1)
    assert request.outcome == "client_closed"


async def test_the_server_hears_of_a_cancelled_task(server, connect):
    server.script(Reply("one two", stall_after=1))
    asking = asyncio.create_task(ask(connect()))
    await asyncio.to_thread(server.wait_until, lambda requests: requests and requests[0].chunks_sent == 1)
    asking.cancel()
    [request] = await asyncio.to_thread(server.wait_for_outcomes, 1)
    assert request.outcome == "client_closed"


async def test_concurrent_questions_get_their_own_answers(server, connect):
    model = connect()
    asked = [ModelRequest("@cf/m", (PromptMessage("user", f"number {n}"),), 100) for n in range(20)]
    answers = await asyncio.gather(*(ask(model, request) for request in asked))
    assert [text for text, _ in answers] == [f"You said: number {n}" for n in range(20)]
