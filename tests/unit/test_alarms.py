"""Alarms and the dashboard: each looks at a metric that there is, and each alarm has its page in the runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from copilotedge.adapters.cloudwatch import METRICS, NAMESPACE

ROOT = Path(__file__).parent.parent.parent
RUNBOOK = ROOT / "docs" / "operations.md"
PART = "Alarms and what to do"
BY_AWS = {
    "AWS/Lambda": {
        ("FunctionName",): {
            *("Errors", "Throttles", "Duration", "ConcurrentExecutions", "IteratorAge"),
            *("AsyncEventAge", "AsyncEventsDropped", "DestinationDeliveryFailures"),
            *("UrlRequestCount", "Url4xxCount", "Url5xxCount"),
        }
    },
    "AWS/ApiGateway": {
        ("ApiId",): {"Count", "4xx", "5xx"},  # of HTTP APIs
        ("ApiId", "Stage"): {"ConnectCount", "MessageCount", "IntegrationError", "ExecutionError"},  # of WebSocket APIs
    },
    "AWS/DynamoDB": {
        ("TableName",): {
            *("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"),
            "TimeToLiveDeletedItemCount",
        }
    },
    "AWS/SQS": {("QueueName",): {"ApproximateNumberOfMessagesVisible"}},
}
"""Metrics that AWS documents, by namespace and dimensions, as far as we look at them."""
ANCHOR = re.compile(r"docs/operations\.md#([\w-]+)$")
SEARCH = re.compile(r"^SEARCH\('\{(\w+),(\w+),(\w+)\} MetricName=\"(\w+)\" stack=\"\S+\"', '(\w+)', \d+\)$")


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what follows them."""


def plain(loader: Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node)


Loader.add_multi_constructor("!", plain)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader)
    return loaded


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


@pytest.fixture(scope="module")
def alarms(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return of_type(template, "AWS::CloudWatch::Alarm")


@pytest.fixture(scope="module")
def widgets(template: dict[str, Any]) -> list[dict[str, Any]]:
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    found: list[dict[str, Any]] = json.loads(re.sub(r"\$\{[^}]+\}", "x", dashboard["DashboardBody"]))["widgets"]
    return found


def exists(namespace: str, metric: str, dimensions: tuple[str, ...]) -> bool:
    if namespace == NAMESPACE:
        by = METRICS[metric].by if metric in METRICS else None
        return by is not None and dimensions in {("stack",), ("stack", by)}
    return metric in BY_AWS[namespace].get(dimensions, ())


def shown(widget: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Namespace, metric and dimensions of each line of a widget."""
    for line in widget["properties"].get("metrics", []):
        if isinstance(line[0], dict):
            match = SEARCH.match(line[0]["expression"])
            assert match, line
            yield match[1], match[4], (match[2], match[3])
        else:
            names = [part for part in line if isinstance(part, str)]
            yield names[0], names[1], tuple(names[2::2])


def test_every_alarm_looks_at_a_metric_that_there_is(alarms):
    looked_at = {
        name: (alarm["Namespace"], alarm["MetricName"], tuple(one["Name"] for one in alarm["Dimensions"]))
        for name, alarm in alarms.items()
    }
    assert {name: metric for name, metric in looked_at.items() if not exists(*metric)} == {}


def test_every_line_of_the_dashboard_is_of_a_metric_that_there_is(widgets):
    lines = [line for widget in widgets for line in shown(widget)]
    assert [line for line in lines if not exists(*line)] == []


def test_the_dashboard_shows_everything_that_is_counted(widgets):
    assert {metric for widget in widgets for space, metric, _ in shown(widget) if space == NAMESPACE} == set(METRICS)


def test_the_dashboard_shows_every_alarm(template, alarms):
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    assert set(re.findall(r"\$\{(\w+)\.Arn\}", dashboard["DashboardBody"])) == set(alarms)


def test_no_widget_lies_on_another(widgets):
    taken = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_silence_rings_no_alarm_and_every_alarm_tells_somebody(alarms):
    assert {alarm["TreatMissingData"] for alarm in alarms.values()} == {"notBreaching"}
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["Alerted", ["AlarmTopic"], "AWS::NoValue"]


def test_every_function_has_its_alarm_of_errors(template, alarms):
    """CodeDeploy goes back by these."""
    functions = {name.removesuffix("Function") for name in of_type(template, "AWS::Serverless::Function")}
    assert {f"{name}ErrorsAlarm" for name in functions} <= set(alarms)


def test_only_roles_of_a_traced_stack_may_write_traces(template):
    roles = of_type(template, "AWS::IAM::Role").values()
    assert {json.dumps(role["ManagedPolicyArns"]) for role in roles} == {
        json.dumps(
            ["Traced", ["arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"], "AWS::NoValue"],
        )
    }
    assert template["Globals"]["Function"]["Tracing"] == "Tracing"
    assert template["Parameters"]["Tracing"]["Default"] == "PassThrough"


# --- The runbook -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries() -> dict[str, str]:
    """The text of each entry of the runbook's part, by the anchor of its heading."""
    part = RUNBOOK.read_text("utf-8").partition(f"\n## {PART}\n")[2].partition("\n## ")[0]
    heads, *texts = re.split(r"^### ", part, flags=re.MULTILINE)
    assert heads
    split = (text.partition("\n") for text in texts)
    return {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")): text for title, _, text in split}


def test_every_alarm_names_its_entry_in_the_runbook_and_every_entry_has_an_alarm(alarms, entries):
    named = {name: ANCHOR.search(alarm["AlarmDescription"]) for name, alarm in alarms.items()}
    assert [name for name, match in named.items() if match is None] == []
    assert {match[1] for match in named.values() if match} == set(entries)


def test_every_entry_names_its_alarms_and_says_what_to_do(alarms, entries):
    for alarm in alarms.values():
        match = ANCHOR.search(alarm["AlarmDescription"])
        assert match
        name = alarm["AlarmName"].removeprefix("${AWS::StackName}-")
        assert f"`{name}`" in entries[match[1]], name
    for anchor, text in entries.items():
        for word in ("**It means**", "**Look**", "**Do**", "**Wake somebody**"):
            assert word in text, (anchor, word)
