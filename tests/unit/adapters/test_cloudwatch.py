"""Metrics as CloudWatch reads them from the log."""

from __future__ import annotations

import json
import os
import select
from typing import Any

import pytest

from copilotedge.adapters.cloudwatch import METRICS, EmbeddedMetrics


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Any:
    """Counts, and gives the log's lines."""

    def count(amounts: dict[str, float], **dimensions: str) -> list[dict[str, Any]]:
        EmbeddedMetrics("my-stack").count(amounts, **dimensions)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return count


def directive(line: dict[str, Any]) -> dict[str, Any]:
    (only,) = line["_aws"]["CloudWatchMetrics"]
    return only


def test_a_count_is_one_line_at_once(counted):
    (line,) = counted({"Turns": 1})
    assert line["Turns"] == [1.0]
    assert directive(line)["Namespace"] == "CopilotEdge"
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000


def test_counts_and_money_have_their_units(counted):
    (line,) = counted({"PromptTokens": 10, "CostUsd": 0.000006955})
    assert directive(line)["Metrics"] == [
        {"Name": "PromptTokens", "Unit": "Count"},
        {"Name": "CostUsd", "Unit": "None"},
    ]
    assert line["CostUsd"] == [0.000006955]


def test_the_stack_is_a_dimension_of_everything(counted):
    (line,) = counted({"CacheHits": 1})
    assert directive(line)["Dimensions"] == [["stack"]]
    assert line["stack"] == "my-stack"


def test_each_metric_is_counted_by_its_own_dimension_beside_the_stack(counted):
    (line,) = counted({"Turns": 1, "TurnDuration": 7.5, "ModelFailures": 1}, verdict="failed", code="model_timeout")
    found = {tuple(m["Name"] for m in one["Metrics"]): one["Dimensions"] for one in line["_aws"]["CloudWatchMetrics"]}
    assert found == {
        ("Turns",): [["stack"], ["stack", "verdict"]],
        ("TurnDuration",): [["stack"]],
        ("ModelFailures",): [["stack"], ["stack", "code"]],
    }
    assert (line["verdict"], line["code"]) == ("failed", "model_timeout")


def test_several_values_are_one_metric(counted):
    (line,) = counted({"TtlLag": [4, 9.5]})
    assert line["TtlLag"] == [4, 9.5]
    assert directive(line)["Metrics"] == [{"Name": "TtlLag", "Unit": "Seconds"}]


def test_a_metric_that_nobody_knows_is_a_mistake(counted):
    with pytest.raises(KeyError):
        counted({"Turnz": 1})


def test_a_line_keeps_to_cloudwatchs_limits(counted):
    """Specification: Embedded metric format, CloudWatch user guide."""
    every = dict.fromkeys(METRICS, 1.0)
    (line,) = counted(every, model="@cf/m", verdict="answered", code="model_timeout")
    assert sum(len(one["Metrics"]) for one in line["_aws"]["CloudWatchMetrics"]) == len(METRICS)
    assert {one["Namespace"] for one in line["_aws"]["CloudWatchMetrics"]} == {"CopilotEdge"}
    units = {"Count", "Milliseconds", "Seconds", "None"}
    for one in line["_aws"]["CloudWatchMetrics"]:
        assert {metric["Unit"] for metric in one["Metrics"]} <= units
        assert all(isinstance(line[name], str) for dimensions in one["Dimensions"] for name in dimensions)


def test_a_line_is_out_before_the_process_may_be_frozen(monkeypatch):
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as log, os.fdopen(write, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        EmbeddedMetrics("my-stack").count({"Turns": 1})
        assert select.select([log], [], [], 0)[0]


def test_one_count_leaves_nothing_behind_for_the_next(counted):
    counted({"Turns": 1}, verdict="failed")
    (line,) = counted({"CacheHits": 1})
    assert set(line) == {"_aws", "stack", "CacheHits"}
