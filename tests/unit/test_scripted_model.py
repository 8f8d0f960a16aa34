import asyncio
import json
import threading

import httpx
import pytest

from tests.scripted_model import Call, Reply, ScriptedModel


@pytest.fixture
def model():
    with ScriptedModel() as model:
        yield model


@pytest.fixture
async def client(model):
    async with httpx.AsyncClient(base_url=model.base_url) as client:
        yield client


def question(text="hi", **fields):
    return {"model": "@cf/m", "messages": [{"role": "user", "content": text}], **fields}


async def ask(client, text="hi", path="/v1/chat/completions", **fields):
    return await client.post(path, json=question(text, **fields))


def events(response):
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


def text_of(response):
    return "".join(
        choice["delta"].get("content") or ""
        for event in events(response)[:-1]
        for choice in json.loads(event)["choices"]
    )


async def test_it_repeats_the_question_by_default(client):
    assert text_of(await ask(client, "hello you", stream=True)) == "You said: hello you"


async def test_a_stream_is_of_openai_shape(client, model):
    model.script(Reply(chunks=["a"], usage=(3, 1), finish_reason="length"))
    opening, text, finish, usage, done = events(await ask(client, stream=True, stream_options={"include_usage": True}))
    assert json.loads(opening)["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert json.loads(text)["choices"] == [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]
    assert json.loads(finish)["choices"][0]["finish_reason"] == "length"
    assert json.loads(usage)["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert done == "[DONE]"


async def test_usage_comes_only_to_those_who_ask(client):
    assert "usage" not in (await ask(client, stream=True)).text


async def test_a_run_stream_is_of_cloudflares_shape(client, model):
    model.script(Reply(chunks=["a"], usage=(3, 1)))
    text, usage, done = events(await ask(client, path="/run/@cf/m", stream=True))
    assert json.loads(text) == {"response": "a", "p": "ab"}
    assert json.loads(usage)["usage"]["total_tokens"] == 4
    assert done == "[DONE]"


async def test_without_streaming_run_answers_in_cloudflares_envelope(client, model):
    model.script(Reply("whole answer"))
    reply = (await ask(client, path="/run/@cf/m")).json()
    assert reply["success"]
    assert reply["result"]["response"] == "whole answer"


async def test_without_streaming_chat_answers_with_a_message(client, model):
    model.script(Reply("whole answer"))
    assert (await ask(client)).json()["choices"][0]["message"]["content"] == "whole answer"


async def test_errors_have_the_shape_of_their_endpoint(client, model):
    model.script(Reply(status=429, code=3040, retry_after=7), Reply(status=429, code=3040))
    chat, run = await ask(client), await ask(client, path="/run/@cf/m")
    assert (chat.status_code, chat.headers["retry-after"], chat.json()["error"]["code"]) == (429, "7", 3040)
    assert run.json()["errors"] == [{"code": 3040, "message": "scripted error"}]


async def test_an_error_can_come_inside_the_stream(client, model):
    model.script(Reply("one two", code=3040, error_after=1))
    assert json.loads(events(await ask(client, stream=True))[-1])["error"]["code"] == 3040


async def test_replies_are_used_in_order_and_then_the_default(client, model):
    model.script(Reply("first"), Reply("second"))
    replies = [await ask(client, stream=True) for _ in range(3)]
    assert [text_of(reply) for reply in replies] == ["first", "second", "You said: hi"]


async def test_a_rule_picks_its_requests_and_leaves_the_script_alone(client, model):
    model.script(Reply("from the script"))
    model.when(lambda request: Reply("by rule") if request.model == "@cf/other" else None)
    assert text_of(await ask(client, stream=True, model="@cf/other")) == "by rule"
    assert text_of(await ask(client, stream=True)) == "from the script"


async def test_conversations_have_scripts_of_their_own(client, model):
    model.when_asked("apples", Reply("red"), Reply("green"))
    asked = ["apples", "pears", "apples", "apples"]
    answers = [text_of(await ask(client, text, stream=True)) for text in asked]
    assert answers == ["red", "You said: pears", "green", "You said: apples"]


async def test_a_rule_that_raises_says_so_to_the_client(client, model):
    model.when(lambda _: 1 / 0)
    reply = await ask(client)
    assert reply.status_code == 500
    assert "ZeroDivisionError" in reply.text


async def test_requests_are_logged(client, model):
    await ask(client, "hi", stream=True)
    [request] = model.wait_for_outcomes(1)
    assert request.path == "/client/v4/accounts/test/ai/v1/chat/completions"
    assert request.headers["content-type"] == "application/json"
    assert request.body == question(stream=True)
    assert (request.model, request.last_user_message, request.streaming) == ("@cf/m", "hi", True)
    assert (request.outcome, request.chunks_sent) == ("complete", 3)
    assert request.started_at <= request.ended_at


async def test_requests_of_one_connection_share_their_peer(client, model):
    await ask(client)
    await ask(client)
    first, second = model.requests
    assert first.peer == second.peer


async def test_a_gate_holds_the_answer_until_it_is_opened(client, model):
    gate = threading.Event()
    model.script(Reply("one two", gate=gate, gate_after=1))
    asking = asyncio.create_task(ask(client, stream=True))
    await asyncio.to_thread(model.wait_until, lambda requests: requests and requests[0].chunks_sent == 1)
    assert not asking.done()
    gate.set()
    assert text_of(await asking) == "one two"


async def test_a_client_that_leaves_is_noticed_during_a_delay(client, model):
    model.script(Reply("one two", delay_between=60))
    async with client.stream("POST", "/run/m", json=question(stream=True)) as response:
        await anext(response.aiter_lines())
    [request] = await asyncio.to_thread(model.wait_for_outcomes, 1)
    assert (request.outcome, request.chunks_sent) == ("client_closed", 1)


async def test_a_client_that_leaves_is_noticed_before_the_headers(client, model):
    model.script(Reply(delay_before=60))
    asking = asyncio.create_task(ask(client))
    await asyncio.to_thread(model.wait_for_requests, 1)
    asking.cancel()
    [request] = await asyncio.to_thread(model.wait_for_outcomes, 1)
    assert request.outcome == "client_closed"


@pytest.mark.parametrize("cut_after", [-1, 0, 1])
async def test_a_connection_can_be_reset(client, model, cut_after):
    model.script(Reply("one two", cut_after=cut_after))
    with pytest.raises(httpx.NetworkError):
        await ask(client, stream=True)
    assert [request.outcome for request in model.requests] == ["cut"]


async def test_a_stream_can_dribble(client, model):
    model.script(Reply("žluť", split_bytes=1))
    assert text_of(await ask(client, stream=True)) == "žluť"


async def test_a_stalled_answer_ends_with_the_server(client, model):
    model.script(Reply("one two", stall_after=1))
    asking = asyncio.create_task(ask(client, stream=True))
    await asyncio.to_thread(model.wait_until, lambda requests: requests and requests[0].chunks_sent == 1)
    model.stop()
    with pytest.raises(httpx.RemoteProtocolError):
        await asking
    assert model.requests[0].outcome == "stopped"


async def test_a_reply_can_be_raw(client, model):
    model.script(Reply(status=502, raw=b"<html>", content_type="text/html"))
    reply = await ask(client)
    assert (reply.status_code, reply.headers["content-type"], reply.content) == (502, "text/html", b"<html>")


async def test_other_paths_are_not_found(client):
    assert (await client.get("/models")).json()["errors"][0]["code"] == 7003


async def test_reset_forgets_everything(client, model):
    model.script(Reply("x"))
    model.when(lambda _: Reply("y"))
    model.reset()
    assert text_of(await ask(client, stream=True)) == "You said: hi"
    assert len(model.requests) == 1


def test_waiting_has_a_deadline(model):
    with pytest.raises(TimeoutError):
        model.wait_for_requests(1, timeout=0.01)


def test_it_can_be_started_again_on_its_port():
    model = ScriptedModel().start()
    port = model.port
    model.stop()
    assert model.start().port == port
    model.stop()


def test_a_taken_port_is_an_error(model):
    with pytest.raises(OSError, match="address already in use"):
        ScriptedModel(model.port).start()


async def test_calls_are_streamed_in_pieces_behind_the_text(client, model):
    model.script(Reply("Let me see.", calls=[Call("weather", '{"city": "Oslo"}')]))
    deltas = [json.loads(event)["choices"][0] for event in events(await ask(client, stream=True))[:-1]]
    calls = [call for choice in deltas for call in choice["delta"].get("tool_calls", [])]
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("call-1", "weather")
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Oslo"}'
    assert deltas[-1]["finish_reason"] == "tool_calls"


async def test_calls_of_a_whole_answer_stand_beside_its_text(client, model):
    model.script(*[Reply(calls=[Call("weather", '{"city": "Oslo"}')])] * 2)
    [choice] = (await ask(client)).json()["choices"]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    run = (await ask(client, path="/run/@cf/m")).json()
    assert run["result"]["tool_calls"] == [{"name": "weather", "arguments": {"city": "Oslo"}}]
