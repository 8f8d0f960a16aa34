"""Trouble on the local stack, and the alarms that it rings.

Each alarm's own metric is read back with the dimensions, statistic and threshold of the deployed alarm. Our own metrics
come from the functions' log lines, which CloudWatch reads by itself on AWS and a test hands on here. Of AWS's metrics
MiniStack has the errors and the throttles of functions. Those of ``UNSEEN`` it does not have: there the trouble itself
is shown as far as it can be caused, and that the alarm looks at what is deployed, but no datapoint.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from websockets.exceptions import InvalidStatus

from local.deployed import read
from tests import embedded_metrics
from tests.clients import Socket, new_conversation
from tests.faults.stories import STORY, TEXT, held_after, wait_for_words
from tests.scripted_model import Reply
from tests.stack import FUNCTIONS, DeployedStack, wait_until

SEEN = {
    *(f"{name}-errors" for name in ("http", "websocket", "stream", "turn-worker", "authorizer", "janitor")),
    *(f"{name}-throttles" for name in ("http", "websocket", "stream", "turn-worker", "authorizer")),
    *("lease-takeovers", "first-token", "model-failures", "spend", "ttl-lag"),
}
"""Alarms that ring here."""
UNSEEN = {
    "dead-letters": "the queue is seen to fill, but MiniStack's SQS has no metrics",
    "events-dropped": "an event is seen to be given up, but not counted",
    "http-5xx": "the answers are seen, but MiniStack's API Gateway has no metrics",
    "stream-5xx": "the answers are seen, but the stream API runs beside MiniStack",
    "websocket-refusals": "a refused handshake is seen, but not counted",
    "websocket-calls": "a gateway that cannot call its function is not to be had here",
    "event-age": "MiniStack does not tell how long an event waited",
    "janitor-lag": "MiniStack does not tell how old a record is",
    "table-throttles": "MiniStack's tables do not throttle",
}
DEAR = {"@cf/meta/llama-3.1-8b-instruct": {"input": 1_000_000, "output": 1_000_000}}
SLOW_SECONDS = 10.5
"""Longer than ``FirstTokenAlarmMilliseconds``."""
DAY = 86_400


@dataclass
class Trouble:
    """What was seen of it while it was caused; ``since`` is when that began (seconds since the epoch)."""

    since: float
    statuses: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refused: int = 0
    dead_letters: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def trouble(stack: DeployedStack) -> Trouble:
    """All of it, most at the same time."""
    seen = Trouble(time.time())
    stack.invoke("turn-worker", {"action": "nothing that there is"}, wait=False)
    shut_out(stack)
    remove_late(stack)
    ask_slow_failing_and_dying(stack, seen)
    seen.refused = refused_handshake(stack)
    seen.dead_letters = take_dead_letters(stack)
    break_functions(stack)  # at last: their alarms look back a minute
    lines = [line for function in FUNCTIONS for line in stack.logs(function)]
    embedded_metrics.publish(stack.client("cloudwatch"), lines, seen.since)
    return seen


def break_functions(stack: DeployedStack) -> None:
    for function in FUNCTIONS:
        name = stack.function_name(function)
        assert "FunctionError" in stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")


def shut_out(stack: DeployedStack) -> None:
    """Five invocations of a function that may not run at all."""
    once = Config(retries={"total_max_attempts": 1})
    endpoint = stack.local.ministack.endpoint
    client: Any = stack.local.ministack.session().client("lambda", endpoint_url=endpoint, config=once)
    for function in set(FUNCTIONS) - {"janitor"}:
        name = stack.function_name(function)
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        try:
            for _ in range(5):
                with pytest.raises(client.exceptions.TooManyRequestsException):
                    client.invoke(FunctionName=name, Payload=b"{}")
        finally:
            client.delete_function_concurrency(FunctionName=name)


def remove_late(stack: DeployedStack) -> None:
    """A conversation whose last message is four days old has been removed just now, and expires after one."""
    conversation, now = new_conversation("late"), time.time()
    written = int(now) - 4 * DAY
    place = {"pk": {"S": f"CONV#alice/{conversation}"}, "sk": {"S": "MSG#0-0#0000000001"}}
    expires = {"expires_at": {"N": str(written + 30 * DAY)}}
    stack.client("dynamodb").put_item(TableName=stack.table_name, Item=place | expires)
    record = {
        "userIdentity": {"principalId": "dynamodb.amazonaws.com", "type": "Service"},
        "dynamodb": {
            "ApproximateCreationDateTime": now,
            "Keys": place | {"sk": {"S": "STATE"}},
            "SequenceNumber": "1",
        },
    }
    assert stack.invoke("janitor", {"Records": [record]}) == {"batchItemFailures": []}


def ask_slow_failing_and_dying(stack: DeployedStack, seen: Trouble) -> None:
    """A dear model that takes its time, fails, and whose worker is killed in the middle of three stories."""
    stack.model.when_asked("Take your time", *[Reply("At last.", delay_before=SLOW_SECONDS)] * 2)
    stack.model.when_asked("Please fail", *[Reply(status=500)] * 100)
    changes = {"LEASE_SECONDS": "5", "PRICE_TABLE": json.dumps(DEAR)}
    changed = stack.settings("turn-worker", "http-api", "websocket-api", **changes)
    with changed, ExitStack() as opened, ThreadPoolExecutor(8) as pool:
        rest = opened.enter_context(stack.rest())
        slow = [pool.submit(rest.chat, f"Take your time {n}") for n in range(2)]
        failing = [pool.submit(rest.chat, f"Please fail {n}") for n in range(5)]
        seen.told = tell_stories_and_die(stack)
        with stack.stream() as stream:
            asked = {"messages": [{"role": "user", "content": "Please fail"}]}
            seen.statuses.append(stream.post("v1/chat/completions", json=asked).status_code)
        seen.statuses += [answer.result().status_code for answer in failing]
        assert [answer.result().status_code for answer in slow] == [200, 200]


def tell_stories_and_die(stack: DeployedStack) -> list[str]:
    """What the clients of three conversations heard in the end, whose worker died under all of them at once."""
    sockets = [stack.socket(new_conversation("dying")) for _ in range(3)]
    for number, socket in enumerate(sockets):
        stack.model.when_asked(f"Tell me story {number}", held_after(3), *[Reply(chunks=STORY)] * 10)
        socket.say(f"Tell me story {number}")
    for socket in sockets:
        wait_for_words(stack, socket, 3)
    assert stack.kill("turn-worker") > 0
    answers = [socket.receive_turn(60)[-2]["content"] for socket in sockets]
    for socket in sockets:
        socket.close()
    return answers


def refused_handshake(stack: DeployedStack) -> int:
    with pytest.raises(InvalidStatus) as refused:
        Socket(stack.websocket_url, new_conversation())
    return refused.value.response.status_code


def take_dead_letters(stack: DeployedStack) -> list[dict[str, Any]]:
    """The events of ours that were given up, off the queue again."""
    sqs, url = stack.client("sqs"), stack.outputs["FailedEventsQueueUrl"]

    def number() -> int:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    wait_until(number, "a dead letter")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in found]


@pytest.fixture(scope="module")
def alarms(stack: DeployedStack, trouble: Trouble) -> dict[str, dict[str, Any]]:
    """As they are deployed, by their names without the stack's."""
    return described(stack)


def described(stack: DeployedStack) -> dict[str, dict[str, Any]]:
    pages = stack.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.local.name}-")
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return {alarm["AlarmName"].removeprefix(f"{stack.local.name}-"): alarm for alarm in found}


def measured(stack: DeployedStack, alarm: dict[str, Any], since: float) -> float | None:
    """The alarm's statistic of its metric since then; None without a datapoint."""
    statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    points = stack.client("cloudwatch").get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm["Dimensions"],
        StartTime=datetime.fromtimestamp(since, UTC),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=DAY,
        **({"ExtendedStatistics": [statistic]} if statistic.startswith("p") else {"Statistics": [statistic]}),
    )["Datapoints"]
    values = [point["ExtendedStatistics"][statistic] if statistic[0] == "p" else point[statistic] for point in points]
    return (sum(values) if statistic == "Sum" else max(values)) if values else None


def rings(alarm: dict[str, Any], value: float) -> bool:
    at_least = alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return value >= alarm["Threshold"] if at_least else value > alarm["Threshold"]


def test_all_alarms_and_the_dashboard_are_deployed(stack: DeployedStack, alarms: dict[str, dict[str, Any]]):
    assert set(alarms) == SEEN | set(UNSEEN)
    (name,) = (entry["DashboardName"] for entry in stack.client("cloudwatch").list_dashboards()["DashboardEntries"])
    body = stack.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
    assert "${" not in body
    (shown,) = (w["properties"]["alarms"] for w in json.loads(body)["widgets"] if w["type"] == "alarm")
    assert set(shown) == {alarm["AlarmArn"] for alarm in alarms.values()}


def test_every_alarm_looks_at_what_is_deployed(stack: DeployedStack, alarms: dict[str, dict[str, Any]]):
    deployed = set(read(stack.client("cloudformation"), stack.local.name).physical_ids.values())
    known = deployed | {url.rpartition("/")[2] for url in deployed} | {stack.local.name, "live"}
    named = {one["Value"] for alarm in alarms.values() for one in alarm["Dimensions"]}
    assert named - known == set()


@pytest.mark.parametrize("name", sorted(SEEN))
def test_trouble_rings_its_alarm(stack: DeployedStack, trouble: Trouble, alarms: dict[str, dict[str, Any]], name: str):
    value = measured(stack, alarms[name], trouble.since)
    assert value is not None, "no datapoint"
    assert rings(alarms[name], value), value
    assert alarms[name]["StateValue"] == "ALARM"


def test_trouble_without_a_metric_here_is_trouble_all_the_same(trouble: Trouble):
    """Of ``UNSEEN``: 5xx at both doors, an event that was given up into the queue, a handshake that was refused."""
    assert all(status >= 500 for status in trouble.statuses), trouble.statuses
    assert any(letter["requestPayload"] == {"action": "nothing that there is"} for letter in trouble.dead_letters)
    assert trouble.refused == 401


def test_the_stories_were_told_all_the_same(trouble: Trouble):
    assert trouble.told == [TEXT] * 3


def test_silence_rings_none(stack: DeployedStack, trouble: Trouble, alarms: dict[str, dict[str, Any]]):
    """None has a datapoint of a time before any trouble."""
    later = datetime.now(UTC).timestamp() + 1
    assert {measured(stack, alarm, later) for alarm in alarms.values()} == {None}
