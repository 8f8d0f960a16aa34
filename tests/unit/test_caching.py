"""Which answers are given again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from copilotedge.caching import MAX_BYTES, Caching
from copilotedge.errors import StoreUnavailable
from copilotedge.models import CachedAnswer, ModelRequest, PromptMessage
from copilotedge.settings import Settings
from tests.fakes import START, FakeClock, FakeLog, FakeMetrics
from tests.memory_answer_cache import MemoryAnswerCache

ASKED = ModelRequest("@cf/m", (PromptMessage("system", "Be brief."), PromptMessage("user", "Hello")), 100, 0.2)
ANSWER = CachedAnswer("Hi.", "@cf/m", START)


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock, self.metrics, self.log = FakeClock(), FakeMetrics(), FakeLog()
        self.answers = MemoryAnswerCache(self.clock)
        settings = {"response_cache_seconds": 60} | settings
        self.caching = Caching(self.answers, Settings(**settings), self.metrics, self.log)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_same_question_finds_its_answer(bench):
    await bench.caching.keep("alice", ASKED, ANSWER)
    assert await bench.caching.find("alice", replace(ASKED)) == ANSWER


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, model="@cf/n"),
        replace(ASKED, max_tokens=99),
        replace(ASKED, temperature=0.1),
        replace(ASKED, temperature=None),
        replace(ASKED, options='{"seed":1}'),
        replace(ASKED, messages=ASKED.messages[1:]),
        replace(ASKED, messages=(*ASKED.messages, PromptMessage("user", ""))),
        replace(ASKED, messages=(ASKED.messages[0], PromptMessage("user", "hello"))),
        replace(ASKED, messages=(PromptMessage("system", "Be"), PromptMessage("user", " brief.Hello"))),
        replace(ASKED, messages=(PromptMessage("user", "Be brief."), PromptMessage("user", "Hello"))),
    ],
)
async def test_any_other_question_does_not(bench, other):
    await bench.caching.keep("alice", ASKED, ANSWER)
    assert await bench.caching.find("alice", other) is None


async def test_options_are_the_same_in_any_order(bench):
    await bench.caching.keep("alice", replace(ASKED, options='{"seed": 1, "top_p": 0.5}'), ANSWER)
    assert await bench.caching.find("alice", replace(ASKED, options='{"top_p":0.5,"seed":1}')) == ANSWER


async def test_nobody_finds_anothers_answer(bench):
    await bench.caching.keep("alice", ASKED, ANSWER)
    assert await bench.caching.find("bob", ASKED) is None


async def test_an_answer_is_given_for_as_long_as_the_setting_says(bench):
    await bench.caching.keep("alice", ASKED, ANSWER)
    bench.clock.advance(59_999)
    assert await bench.caching.find("alice", ASKED) == ANSWER
    bench.clock.advance(1)
    assert await bench.caching.find("alice", ASKED) is None


def test_nothing_is_cached_unless_the_deployment_wants_it():
    assert not Bench(response_cache_seconds=0).caching.allows(ASKED)


@pytest.mark.parametrize(("temperature", "allowed"), [(0.0, True), (0.5, True), (0.51, False), (2.0, False)])
def test_what_is_asked_to_vary_is_not_cached(bench, temperature, allowed):
    assert bench.caching.allows(replace(ASKED, temperature=temperature)) is allowed


@pytest.mark.parametrize(("most", "allowed"), [(0.5, False), (0.6, True)])
def test_a_question_without_a_temperature_counts_as_the_models_default(most, allowed):
    bench = Bench(response_cache_max_temperature=most)
    assert bench.caching.allows(replace(ASKED, temperature=None)) is allowed


@pytest.mark.parametrize(
    ("options", "allowed"), [('{"tools":[{}]}', False), ('{"tools":[]}', True), ('{"seed":1}', True)]
)
def test_tools_are_never_cached(bench, options, allowed):
    assert bench.caching.allows(replace(ASKED, options=options)) is allowed


async def test_the_fallback_models_answer_is_not_kept(bench):
    await bench.caching.keep("alice", ASKED, replace(ANSWER, model="@cf/fallback"))
    assert bench.answers.requests == 0


@pytest.mark.parametrize(("text", "kept"), [("x" * MAX_BYTES, True), ("ž" * (MAX_BYTES // 2 + 1), False)])
async def test_a_long_answer_is_not_kept(bench, text, kept):
    await bench.caching.keep("alice", ASKED, replace(ANSWER, text=text))
    assert (bench.answers.requests == 1) is kept


async def test_a_cache_that_fails_is_a_cache_that_has_nothing(bench):
    async def fail(*_: object) -> None:
        raise StoreUnavailable("Throttled.")

    bench.answers.find = bench.answers.keep = fail
    assert await bench.caching.find("alice", ASKED) is None
    await bench.caching.keep("alice", ASKED, ANSWER)
    assert [event for event, _ in bench.log.lines] == ["cache_failed"] * 2


async def test_hits_and_misses_are_counted(bench):
    await bench.caching.find("alice", ASKED)
    await bench.caching.keep("alice", ASKED, ANSWER)
    await bench.caching.find("alice", ASKED)
    assert bench.metrics.counts == [{"CacheHits": 0, "CacheMisses": 1}, {"CacheHits": 1, "CacheMisses": 0}]
