"""Which GraphQL operation a request is, if it is any. Apart from their shapes, for every chat request is asked that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from copilotedge.errors import InvalidRequest

Operation = Literal["generateCopilotResponse", "availableAgents", "loadAgentState", "IntrospectionQuery"]

_OPERATIONS: tuple[Operation, ...] = (
    "generateCopilotResponse",
    "availableAgents",
    "loadAgentState",
    "IntrospectionQuery",
)
_FIELD = re.compile(r"\{\s*(\w+)")
"""The first field that a query selects."""


def operation_of(fields: Mapping[str, Any]) -> Operation | None:
    """None where the request is no GraphQL. Raises ``InvalidRequest`` for an operation that nobody needs."""
    name, query = fields.get("operationName"), fields.get("query")
    if "messages" in fields or not (isinstance(query, str) or isinstance(name, str)):
        return None
    selected = _FIELD.search(query) if isinstance(query, str) else None
    for known in _OPERATIONS:
        if known in (name, selected and selected[1]):
            return known
    raise InvalidRequest("There is no such GraphQL operation.")
