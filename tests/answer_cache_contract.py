"""One contract for what keeps answers. Test modules import it and bring ``cache`` and ``clock`` fixtures."""

from __future__ import annotations

from copilotedge.models import CachedAnswer
from tests.fakes import START

ANSWER = CachedAnswer("Žluťoučký 🐎", "@cf/m", START)


async def test_what_was_not_kept_is_not_found(cache):
    assert await cache.find("alice", "k") is None


async def test_an_answer_is_found_as_it_was_kept(cache):
    await cache.keep("alice", "k", ANSWER, 60)
    assert await cache.find("alice", "k") == ANSWER


async def test_an_empty_answer_is_an_answer(cache):
    await cache.keep("alice", "k", CachedAnswer("", "", 0), 60)
    assert await cache.find("alice", "k") == CachedAnswer("", "", 0)


async def test_another_question_or_another_user_finds_nothing(cache):
    await cache.keep("alice", "k", ANSWER, 60)
    assert await cache.find("alice", "other") is None
    assert await cache.find("bob", "k") is None


async def test_an_answer_is_gone_when_its_time_is_over(cache, clock):
    await cache.keep("alice", "k", ANSWER, 60)
    clock.advance(59_000)
    assert await cache.find("alice", "k") == ANSWER
    clock.advance(1_000)
    assert await cache.find("alice", "k") is None


async def test_an_answer_that_is_kept_again_lasts_longer(cache, clock):
    await cache.keep("alice", "k", ANSWER, 60)
    clock.advance(59_000)
    await cache.keep("alice", "k", ANSWER, 60)
    clock.advance(59_000)
    assert await cache.find("alice", "k") == ANSWER


async def test_who_is_forgotten_has_no_answers_and_the_others_keep_theirs(cache):
    for user, key in [("bob", "k"), *(("alice", f"k{n}") for n in range(30))]:
        await cache.keep(user, key, ANSWER, 60)
    await cache.forget("alice")
    assert [await cache.find("alice", f"k{n}") for n in range(30)] == [None] * 30
    assert await cache.find("bob", "k") == ANSWER


async def test_who_has_no_answers_can_be_forgotten(cache):
    await cache.forget("alice")
