"""What an answer's HTTP headers tell, whichever door it leaves by. ``openapi`` describes them."""

from __future__ import annotations

from copilotedge.answering import Answering, Reply
from copilotedge.caching import CacheUse
from copilotedge.http_errors import quota_headers
from copilotedge.limits import Quota
from copilotedge.prices import NANODOLLARS


def of_reply(reply: Reply) -> dict[str, str]:
    """Of a whole answer: what its sender may still send, what it took, and whether the cache gave it."""
    tokens = {"x-usage-tokens": str(reply.usage.total_tokens)}
    return of_quota(reply.quota) | tokens | _cost(reply.cost) | _cache(reply.cache)


def of_answering(answering: Answering) -> dict[str, str]:
    """Of an answer that is sent as it comes: what is known before its first word."""
    return of_quota(answering.quota) | _cache(answering.cache)


def of_quota(quota: Quota) -> dict[str, str]:
    """What a sender may still send; nothing where there is no limit."""
    return quota_headers(quota.limit, quota.remaining, quota.reset_seconds) if quota.limit else {}


def _cost(cost: int | None) -> dict[str, str]:
    return {} if cost is None else {"x-cost-usd": f"{cost // NANODOLLARS}.{cost % NANODOLLARS:09d}"}


def _cache(cache: CacheUse) -> dict[str, str]:
    return {"x-cache": cache} if cache else {}
