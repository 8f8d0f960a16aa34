"""Asking the limits beside other work: the answer is waited for before anything is changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from copilotedge.limits import Limits, Quota

Admission = asyncio.Task[Quota]
"""Awaiting it, as often as one likes, gives the quota or raises ``LimitExceeded``."""


@asynccontextmanager
async def admission(limits: Limits, user: str) -> AsyncIterator[Admission]:
    """``user`` wants to send a message. No request is left under way at the end, whatever happens inside."""
    asked = asyncio.create_task(limits.admit_message(user))
    try:
        yield asked
    finally:
        await asyncio.gather(asked, return_exceptions=True)
