"""The conversation that everybody is measured with: each turn is a question and an answer, 1 KB together."""

QUESTION = "q" * 512
ANSWER = "a" * 512

TURNS = (1, 6, 10, 51, 100, 501, 5001)
"""Turns that are looked at. Two messages each: turn 51 finds 100 messages stored, turn 5,001 finds 10,000."""
LOG = 20_000
"""Messages that our log may hold here (``MaxStoredMessages``): 10,000 are looked at before any is evicted."""


def stored_before(turn: int) -> int:
    """Messages that a turn finds in the log."""
    return 2 * (turn - 1)
