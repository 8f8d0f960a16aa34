"""DynamoDB's request units, by the rules that its Developer Guide states.

Sizes: "DynamoDB item sizes and formats". Units: "DynamoDB read and write operations" and "Managing complex workflows
with DynamoDB transactions". Items come as DynamoDB's JSON has them: ``{"pk": {"S": "a"}, "n": {"N": "1"}}``. A number's
size is approximate, as it is there.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

Item = Mapping[str, Mapping[str, Any]]
Binary = Callable[[str | bytes], int]
"""The length of a binary value, of which DynamoDB's JSON has the base64 and boto3 the bytes."""

READ_UNIT = 4096
"""Bytes that one strongly consistent read request unit pays for."""
WRITE_UNIT = 1024
"""Bytes that one write request unit pays for."""
CONTAINER_BYTES = 3
"""Of a list or a map; and one more for each element."""


def stored(content: str | bytes) -> int:
    """Bytes of a binary value as DynamoDB counts them."""
    return len(content) if isinstance(content, bytes) else len(base64.b64decode(content))


def in_base64(content: str | bytes) -> int:
    """Bytes of a binary value as it is sent: not how DynamoDB counts, but how it is counted now and then."""
    return 4 * math.ceil(stored(content) / 3)


def item_size(item: Item, binary: Binary = stored) -> int:
    """Bytes of an item: names and values of its attributes; 0 for one that is not there."""
    return sum(_utf8(name) + value_size(value, binary) for name, value in item.items())


def value_size(value: Mapping[str, Any], binary: Binary = stored) -> int:
    """Bytes of one typed value, without its name. Raises ``ValueError`` for a type that DynamoDB does not have."""
    ((kind, content),) = value.items()
    sizes: dict[str, Callable[[Any], int]] = {"S": _utf8, "N": number_size, "B": binary}
    if kind in sizes:
        return sizes[kind](content)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind in ("SS", "NS", "BS"):
        return sum(sizes[kind[0]](element) for element in content)
    if kind == "L":
        return CONTAINER_BYTES + sum(1 + value_size(element, binary) for element in content)
    if kind == "M":
        return CONTAINER_BYTES + sum(1 for _ in content) + item_size(content, binary)
    raise ValueError(f"DynamoDB has no type {kind}")


def number_size(text: str) -> int:
    """One byte per two significant digits, one more, and one for a minus sign."""
    sign, digits, _ = Decimal(text).normalize().as_tuple()
    return math.ceil(len(digits) / 2) + 1 + sign


def read_units(size: int, *, consistent: bool) -> float:
    """Of one GetItem, or of all that one page of a query read: ``size`` bytes together. Nothing found costs as 4 KB."""
    units = max(1, math.ceil(size / READ_UNIT))
    return units if consistent else units / 2


def write_units(before: int, after: int, *, transactional: bool = False) -> int:
    """Of one write of an item that had ``before`` bytes and has ``after``; 0 where there is none. The larger counts."""
    units = max(1, math.ceil(max(before, after) / WRITE_UNIT))
    return 2 * units if transactional else units


def _utf8(text: str) -> int:
    return len(text.encode())
