"""What an answer's headers tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copilotedge import answer_headers
from copilotedge.answering import Answering, Hear, Reply
from copilotedge.limits import Quota
from copilotedge.models import Usage

QUOTA = Quota(60, 59, 60)
QUOTA_HEADERS = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59", "x-ratelimit-reset": "60"}


def reply(**more: Any) -> Reply:
    return Reply("t-1", "Hi.", "@cf/m", 0, **more)


def test_an_answer_tells_what_it_took():
    told = answer_headers.of_reply(reply(usage=Usage(10, 5), cost=6_955))
    assert told == {"x-usage-tokens": "15", "x-cost-usd": "0.000006955"}


@pytest.mark.parametrize(("cost", "told"), [(0, "0.000000000"), (1, "0.000000001"), (12_000_000_003, "12.000000003")])
def test_costs_are_plain_numbers(cost, told):
    assert answer_headers.of_reply(reply(cost=cost))["x-cost-usd"] == told


def test_a_cost_that_is_not_known_is_not_told():
    assert answer_headers.of_reply(reply()) == {"x-usage-tokens": "0"}


def test_whoever_has_a_limit_is_told_what_is_left():
    assert answer_headers.of_reply(reply(quota=QUOTA)) == QUOTA_HEADERS | {"x-usage-tokens": "0"}


def test_an_answer_that_could_be_cached_tells_whether_it_was():
    assert answer_headers.of_reply(reply(cache="HIT"))["x-cache"] == "HIT"
    assert answer_headers.of_reply(reply(cache="MISS"))["x-cache"] == "MISS"


async def test_an_answer_that_is_still_coming_tells_what_is_known():
    async def work(_: Hear) -> Reply:
        return reply()

    answering = Answering(work, turn_id="t-1", created_at=0, quota=QUOTA, cache="HIT")
    assert answer_headers.of_answering(answering) == QUOTA_HEADERS | {"x-cache": "HIT"}
    await asyncio.wait_for(answering.finished(), 30)
