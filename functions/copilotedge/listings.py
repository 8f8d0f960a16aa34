"""What a conversation's change means for its entry in its owner's list: both are committed as one."""

from __future__ import annotations

from copilotedge.models import Change
from copilotedge.values import dataclass

WORDS_CHARACTERS = 60
MAX_TITLE_CHARACTERS = 200
"""Of a title that the owner gives."""
GREETINGS = 1
"""Messages that may come before the first question; what comes later names the conversation when it is listed anew."""


@dataclass(frozen=True, slots=True)
class Relisting:
    """The entry is written again, with the state's times.

    ``is_born``: nothing of an earlier life's entry stays. ``is_emptied``: the titles made of messages go.
    ``first_words`` are taken where the entry has none.
    """

    is_born: bool = False
    is_emptied: bool = False
    first_words: str = ""


def relisting(change: Change) -> Relisting | None:
    """None where the entry stays as it is. Not for changes that remove the state: the entry goes with it."""
    before, state = change.expected, change.state
    if before is None or before.life != state.life:
        return Relisting(is_born=True, first_words=_words_in(change))
    if before.epoch != state.epoch:
        return Relisting(is_emptied=True)
    words = _words_in(change)
    is_first = before.message_count <= GREETINGS and bool(words)
    return Relisting(first_words=words) if is_first or before.listed_at != state.listed_at else None


def first_words(text: str) -> str:
    """About ``WORDS_CHARACTERS`` of it, cut between words."""
    line = one_line(text[: 10 * WORDS_CHARACTERS])
    if len(line) <= WORDS_CHARACTERS:
        return line
    return f"{cut(line, WORDS_CHARACTERS)}…"


def cut(line: str, characters: int) -> str:
    """At most so many characters, cut between words where there are some."""
    if len(line) <= characters:
        return line
    return line[: characters + 1].rpartition(" ")[0].rstrip() or line[:characters]


def one_line(text: str) -> str:
    """Without line breaks, and without other characters that are not to be seen but move what is."""
    return " ".join("".join(character if _is_plain(character) else " " for character in text).split())


def _is_plain(character: str) -> bool:
    """Joiners stay: words of some languages, and many emoji, are made with them."""
    return character.isprintable() or character in "\u200c\u200d"


def _words_in(change: Change) -> str:
    """Of the first thing that the user says in it."""
    said = (first_words(message.content) for message in change.messages if message.role == "user")
    return next((words for words in said if words), "")
