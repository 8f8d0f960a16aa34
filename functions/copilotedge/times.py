"""When things happened to a turn, and how long they took, as its metrics tell it."""

from __future__ import annotations

from copilotedge.values import dataclass


@dataclass(slots=True)
class Times:
    """Milliseconds since the epoch; 0 means that it has not happened, or that nobody knows when.

    The turn ``began_at``, after its message ``waited`` so many ms for its turn (-1: it did not wait). The model was
    ``asked_at``, by whoever holds the turn now, and first ``heard_at``.
    """

    began_at: int = 0
    waited: int = -1
    asked_at: int = 0
    heard_at: int = 0

    def hear(self, now: int) -> None:
        """Only the first piece of an answer counts."""
        self.heard_at = self.heard_at or now

    def amounts(self, now: int) -> dict[str, float]:
        """The metrics of a turn that ends ``now``: milliseconds. Clocks of two machines may differ by some."""
        if not self.began_at:
            return {}
        ends = {"TurnDuration": now, "TimeToModelCall": self.asked_at, "TimeToFirstToken": self.heard_at}
        spans: dict[str, float] = {name: max(0, end - self.began_at) for name, end in ends.items() if end}
        return spans | ({"QueueWait": self.waited} if self.waited >= 0 else {})
