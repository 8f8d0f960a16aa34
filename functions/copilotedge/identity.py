"""Who asks: a token's user, and until when the token may be used."""

from __future__ import annotations

import re

from copilotedge.values import dataclass

USER = re.compile(r"[\x21-\x7e]{1,128}")
"""Users, as a token's ``sub`` names them: visible ASCII. Match it whole (``fullmatch``)."""

ANONYMOUS = "anonymous"
"""The one user of a stack without authentication."""

NEVER = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A user whose token was good. ``expires_at`` (ms) is the end of that; ``NEVER``: it has none."""

    user: str
    expires_at: int = NEVER
