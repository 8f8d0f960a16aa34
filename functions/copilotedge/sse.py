"""Server-sent events, incrementally: bytes in, payloads out. No I/O.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, with one liberty:
an event whose closing blank line never came counts, since model servers forget it at the end of the body.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator


class EventParser:
    """Takes the body in pieces cut anywhere, even inside a character, and gives the data of each event."""

    def __init__(self) -> None:
        characters = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._text = io.IncrementalNewlineDecoder(characters, translate=True)
        self._line = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[str]:
        """Data of the events that ``chunk`` completes."""
        return list(self._take(self._text.decode(chunk)))

    def close(self) -> list[str]:
        """Data of an event that the end of the body cut short of its blank line."""
        return list(self._take(self._text.decode(b"", final=True) + "\n\n"))

    def _take(self, text: str) -> Iterator[str]:
        # Not splitlines(): it also breaks at U+2028 and the like, which may stand in a JSON string.
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line:
                self._take_field(line)
            elif self._data:
                yield "\n".join(self._data)
                self._data = []

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
