"""Metrics in CloudWatch's embedded format: a line of the function's log each, which CloudWatch reads by itself.

Nothing is called, nothing waits to be flushed, and no role has to allow it. The line is written here and not by
Powertools, whose metrics of one line have all dimensions in common: here each has its own, for each combination of a
metric and its dimensions is billed. Format: "Specification: Embedded metric format", CloudWatch user guide.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from copilotedge.ports import Amount
from copilotedge.values import dataclass

NAMESPACE = "CopilotEdge"
STACK = "stack"


@dataclass(frozen=True, slots=True)
class Metric:
    """``unit`` as CloudWatch names it. ``by`` is the dimension by which it is also counted, if any."""

    unit: str = "Count"
    by: str = ""


METRICS = {
    # of each call of a model
    "PromptTokens": Metric(by="model"),
    "CompletionTokens": Metric(by="model"),
    "CostUsd": Metric("None", by="model"),
    # of each turn, when it ends
    "Turns": Metric(by="verdict"),
    "TurnDuration": Metric("Milliseconds"),
    "TimeToModelCall": Metric("Milliseconds"),
    "TimeToFirstToken": Metric("Milliseconds"),
    "QueueWait": Metric("Milliseconds"),
    "NewConversations": Metric(),
    "ModelFailures": Metric(by="code"),
    "ModelRejections": Metric(by="code"),
    # of other things, as they happen
    "LeaseTakeovers": Metric(),
    "PostFailures": Metric(),
    "ActiveUsers": Metric(),
    "Refusals": Metric(by="code"),
    "CacheHits": Metric(),
    "CacheMisses": Metric(),
    "ExpiredConversations": Metric(),
    "TtlLag": Metric("Seconds"),
}
"""All that there are. Each is counted by ``stack``, and by its own dimension, which has few values."""


class EmbeddedMetrics:
    """Implements ``ports.Metrics``. ``stack`` tells the stacks of an account apart."""

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def count(self, amounts: Mapping[str, Amount], **dimensions: str) -> None:
        """Raises ``KeyError`` for a metric that is not in ``METRICS``."""
        line = {
            "_aws": {
                "Timestamp": time.time_ns() // 1_000_000,
                "CloudWatchMetrics": list(_directives(amounts, dimensions)),
            },
            STACK: self._stack,
            **dimensions,
            **{name: list(amount) if isinstance(amount, Sequence) else [amount] for name, amount in amounts.items()},
        }
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()  # a server's output is a pipe: it would wait there, and Lambda freezes the process


def _directives(amounts: Mapping[str, Amount], dimensions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """One for the metrics that are counted by the stack alone, one for each other dimension's."""
    of_dimension: dict[str, list[dict[str, str]]] = {}
    for name in amounts:
        metric = METRICS[name]
        by = metric.by if metric.by in dimensions else ""
        of_dimension.setdefault(by, []).append({"Name": name, "Unit": metric.unit})
    for by, metrics in of_dimension.items():
        yield {
            "Namespace": NAMESPACE,
            "Dimensions": [[STACK], [STACK, by]] if by else [[STACK]],
            "Metrics": metrics,
        }
