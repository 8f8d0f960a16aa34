"""What models cost. ``prices.json`` has Cloudflare's published prices, with the page and the day they were read there.

Costs are nanodollars (10^-9 USD), whole and rounded up: a price of $1 a million tokens is 1000 of them a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from copilotedge.models import Usage
from copilotedge.settings import Settings
from copilotedge.values import dataclass

PUBLISHED = Path(__file__).with_name("prices.json")
NANODOLLARS = 10**9
DEAREST = 10**6
"""A dollar a token; more is a slip, or too long a number."""
_PER_MILLION = NANODOLLARS // 10**6


@dataclass(frozen=True, slots=True)
class Price:
    """USD a million tokens."""

    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model's name, and its price where it is known."""

    name: str
    price: Price | None = None


class Prices:
    """Price by model name."""

    def __init__(self, table: Mapping[str, Price]) -> None:
        self._table = dict(table)

    @classmethod
    def published(cls, price_table: str = "") -> Prices:
        """The published prices, under those of ``price_table`` (JSON text; empty: none).

        It reads ``{"<model>": {"input": <USD>, "output": <USD>}}``. Raises ``ValueError`` saying what is wrong with it.
        """
        published = _read(PUBLISHED.read_text("utf-8"), PUBLISHED.name)["models"]
        given = _read(price_table, "PRICE_TABLE") if price_table else {}
        return cls(_prices(published, PUBLISHED.name) | _prices(given, "PRICE_TABLE"))

    def cost(self, model: str, usage: Usage) -> int | None:
        """Nanodollars; None where the model's price is not known, which is not the same as nothing."""
        price = self._table.get(model)
        if price is None:
            return None
        exact = price.input * usage.prompt_tokens + price.output * usage.completion_tokens
        return int((exact * _PER_MILLION).to_integral_value(ROUND_CEILING))

    def knows(self, model: str) -> bool:
        return model in self._table

    def offered(self, settings: Settings) -> tuple[PricedModel, ...]:
        """The models that may be asked, by name; where that is any, those whose price is known and our own."""
        names = settings.models or {*self._table, settings.model, settings.fallback_model} - {""}
        return tuple(PricedModel(name, self._table.get(name)) for name in sorted(names))


def dollars(nanodollars: int) -> float:
    """As people read it, and JSON has it."""
    return nanodollars / NANODOLLARS


def _read(text: str, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{what} is not JSON.") from exc
    if isinstance(fields, dict):
        return fields
    raise ValueError(f"{what} must be a JSON object.")


def _prices(table: dict[str, Any], what: str) -> dict[str, Price]:
    return {model: _price(price, f"{what}: the price of {model!r}") for model, price in table.items()}


def _price(price: Any, what: str) -> Price:
    if not isinstance(price, dict) or set(price) != {"input", "output"}:
        raise ValueError(f'{what} must be {{"input": <USD>, "output": <USD>}}, a million tokens each.')
    if not all(_is_amount(amount) for amount in price.values()):
        raise ValueError(f"{what} must be numbers from 0 to {DEAREST}.")
    return Price(Decimal(price["input"]), Decimal(price["output"]))


def _is_amount(value: Any) -> bool:
    """JSON's numbers come as int and Decimal; Python's own NaN and Infinity as float."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value <= DEAREST
