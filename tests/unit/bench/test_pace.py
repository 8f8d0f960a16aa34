from __future__ import annotations

import httpx

from bench.pace import TOKEN, Paced, TimedModel, tokens


def ask(model: TimedModel, text: str) -> str:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{model.base_url}/v1/chat/completions", json=body, trust_env=False).text


def test_tokens_tell_their_numbers_and_are_of_one_length():
    assert tokens(2) == ["00000 ", "00001 "]
    assert {len(token) for token in tokens(1000)} == {TOKEN}


def test_a_paced_reply_makes_up_for_what_came_late():
    now = iter([100.0, 100.5, 103.2, 103.2, 103.25])
    reply = Paced(tokens(6), per_second=2, clock=lambda: next(now))
    assert [round(reply.delay_between, 6) for _ in range(5)] == [0.5, 0.5, 0, 0, 0]
    assert reply._next == 102.5


def test_a_paced_reply_is_said_whole_and_its_times_are_kept():
    with TimedModel() as model:
        model.when(lambda _: Paced(tokens(20), per_second=2000))
        said = ask(model, "Hi")
        request = model.asked("Hi")
        times = model.said(request)
    assert all(token in said for token in tokens(20))
    assert len(times) == 20
    assert times == sorted(times)


def test_requests_are_told_apart_by_what_was_asked():
    with TimedModel() as model:
        ask(model, "one")
        ask(model, "two")
        assert model.asked("two").last_user_message == "two"
        assert len(model.said(model.asked("one"))) == len(model.said(model.asked("two"))) > 0
