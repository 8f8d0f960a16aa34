"""DynamoDB's typed attributes, and plain Python values: text, numbers, booleans, None, lists and mappings of these.

The same as boto3's own, which only comes together with all of boto3.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Clamped, Context, Decimal, Inexact, Overflow, Rounded, Underflow
from typing import Any

from copilotedge.adapters.dynamodb import items

_NUMBERS = Context(prec=38, Emin=-128, Emax=126, traps=[Clamped, Overflow, Inexact, Rounded, Underflow])
"""What DynamoDB can hold, exactly (Developer Guide, "Data types")."""


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as typed attributes. Raises ``TypeError`` for what is none, and for a float, which is not exact."""
    return {name: _typed(value) for name, value in values.items()}


def item_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values; numbers are ``Decimal``."""
    return {name: _untyped(value) for name, value in attributes.items()}


def key(conversation_id: str, sk: str) -> dict[str, Any]:
    return {"pk": items.partition(conversation_id), "sk": sk}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


def _typed(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(_number(value))}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": plain(value)}
        case list() | tuple():
            return {"L": [_typed(entry) for entry in value]}
    raise TypeError(f"DynamoDB is given no {type(value).__name__}")


def _number(value: int | Decimal) -> Decimal:
    number = _NUMBERS.create_decimal(value)
    if not number.is_finite():
        raise TypeError("DynamoDB is given finite numbers only")
    return number


def _untyped(attribute: Mapping[str, Any]) -> Any:
    [(kind, value)] = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return _NUMBERS.create_decimal(value)
        case "NULL":
            return None
        case "M":
            return item_of(value)
        case "L":
            return [_untyped(entry) for entry in value]
    raise TypeError(f"the table holds no {kind}")
