"""What CloudWatch does on AWS with lines of the log in its embedded format: it makes metrics of them.

MiniStack keeps such lines as any other, so a test hands them on, through CloudWatch's public API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any


def read(lines: Iterable[str], since: float = 0.0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Namespace and datum of everything that was counted since then (seconds since the epoch)."""
    for line in lines:
        if line.startswith('{"_aws"'):
            counted = json.loads(line)
            if counted["_aws"]["Timestamp"] >= since * 1000:
                yield from _data(counted)


def publish(cloudwatch: Any, lines: Iterable[str], since: float) -> None:
    for namespace, datum in read(lines, since):
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def _data(counted: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    written = datetime.fromtimestamp(counted["_aws"]["Timestamp"] / 1000, UTC)
    for directive in counted["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            for names in directive["Dimensions"]:
                yield (
                    directive["Namespace"],
                    {
                        "MetricName": metric["Name"],
                        "Unit": metric["Unit"],
                        "Timestamp": written,
                        "Dimensions": [{"Name": name, "Value": counted[name]} for name in names],
                        "Values": counted[metric["Name"]],
                    },
                )
