"""Until when a request must be answered."""

from __future__ import annotations

import json

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge.wiring import now
from streaming import incoming
from streaming.outgoing import answer
from tests.fakes import FakeTokens


async def when(request: Request) -> Response:
    ends = [incoming.deadline(request, streamed=streamed) for streamed in (True, False)]
    streamed, whole = ((end - incoming.arrival(request)) / 1000 for end in ends)
    return answer(200, {"seconds": streamed, "whole": whole})


@pytest.fixture
async def seconds(serve):
    """Seconds that there are for an answer, by the context that the adapter passes on."""

    async def asked(context: str | None, kind: str = "seconds") -> float:
        headers = {} if context is None else {"x-amzn-lambda-context": context}
        return (await client.get("/when", headers=headers)).json()[kind]

    async with serve([Route("/when", when)]) as client:
        yield asked


async def test_our_own_budget_counts_where_lambda_gives_more(seconds):
    assert await seconds(None) == 840
    assert await seconds(json.dumps({"deadline": now() + 900_000, "request_id": "x"})) == 840


async def test_lambda_ends_it_sooner_with_a_margin(seconds):
    assert 35 < await seconds(json.dumps({"deadline": now() + 60_000})) <= 45


async def test_who_hears_nothing_till_then_is_answered_before_openais_clients_give_up(seconds):
    assert await seconds(None, "whole") == 590
    assert await seconds(json.dumps({"deadline": now() + 60_000}), "whole") <= 45


@pytest.mark.parametrize(("ends_in", "kind"), [(60_000, "seconds"), (60_000, "whole"), (30_000, "seconds")])
async def test_with_the_callers_token_it_is_over(seconds, entrance, ends_in, kind):
    entrance.tokens = FakeTokens(expires_at=now() + ends_in)
    context = json.dumps({"deadline": now() + 75_000})
    assert ends_in / 1000 - 10 < await seconds(context, kind) <= ends_in / 1000


@pytest.mark.parametrize("context", ["", "{}", "[]", "null", "no JSON", '{"deadline": "soon"}', "[" * 9000])
async def test_what_does_not_say_when_counts_as_nothing(seconds, context):
    assert await seconds(context) == 840
