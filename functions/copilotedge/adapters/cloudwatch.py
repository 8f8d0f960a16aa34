"""Metrics in CloudWatch's embedded format: a line of the function's log each, which CloudWatch reads by itself.

Nothing is called, nothing waits to be flushed, and no role has to allow it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "CopilotEdge"


class EmbeddedMetrics:
    """Implements ``ports.Metrics``. ``stack`` tells the stacks of an account apart."""

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def count(self, amounts: Mapping[str, float], **dimensions: str) -> None:
        """Each amount under the stack alone, and under the stack with each of the dimensions by itself."""
        metrics = EphemeralMetrics(namespace=NAMESPACE)
        metrics.add_dimension("stack", self._stack)
        for name, value in dimensions.items():
            metrics.add_dimensions(stack=self._stack, **{name: value})
        for name, amount in amounts.items():
            metrics.add_metric(name, MetricUnit.Count if isinstance(amount, int) else MetricUnit.NoUnit, amount)
        metrics.flush_metrics()
        sys.stdout.flush()  # a server's output is a pipe: it would wait there, and Lambda freezes the process
