"""Metrics as CloudWatch reads them from the log."""

from __future__ import annotations

import json
import os
import select
from typing import Any

import pytest

from copilotedge.adapters.cloudwatch import EmbeddedMetrics


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


def test_each_other_dimension_has_its_sums_beside_the_stacks(counted):
    (line,) = counted({"Turns": 1}, verdict="answered", model="@cf/m")
    assert directive(line)["Dimensions"] == [["stack"], ["stack", "verdict"], ["stack", "model"]]
    assert (line["verdict"], line["model"]) == ("answered", "@cf/m")


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
