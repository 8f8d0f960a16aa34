"""Tables in documents: each stands between two comments that name it, and is written anew there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Unnamed(ValueError):
    """A document has a place for a table that nobody makes, or none for one that is made."""


def filled(document: str, tables: Mapping[str, str]) -> str:
    """The document with its tables. Raises ``Unnamed``."""
    places = {match["name"] for match in _PLACE.finditer(document)}
    if places != set(tables):
        raise Unnamed(f"tables without a place, or places without a table: {sorted(places ^ set(tables))}")
    return _PLACE.sub(lambda match: f"{match[1]}{tables[match['name']]}\n{match[3]}", document)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """In Markdown; all columns but the first to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def usd(amount: float) -> str:
    """Dollars with three figures, or cents."""
    if amount == 0:
        return "0"
    if abs(amount) >= 100:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.2f}"


def short(number: float) -> str:
    """A count in three figures at most: 0.035, 12, 3,470, 1.2 M."""
    for size, unit in ((1e9, " G"), (1e6, " M")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{float(f'{number:.3g}'):,.0f}" if number >= 10 else f"{number:.2g}"


def seconds(value: float) -> str:
    """As people read it: 3 ms, 1.2 s, 4 min."""
    if value < 0.0005:
        return "0"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"
