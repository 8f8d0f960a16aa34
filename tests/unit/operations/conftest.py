from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from operations.stacks import DeployedStack
from tests.mocked_aws import mocked_aws
from tests.tables import create_table

STACK = "shop"
REGION = "us-east-1"


class Cloudformation:
    """Knows one stack: its outputs, and its resources by their types."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.resources: dict[str, tuple[str, str]] = {}
        self.meta = SimpleNamespace(region_name=REGION)

    def describe_stacks(self, **asked: str) -> dict[str, Any]:
        if asked["StackName"] != STACK:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "gone"}}, "DescribeStacks")
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        return {"Stacks": [{"Outputs": outputs}]}

    def describe_stack_resources(self, **asked: str) -> dict[str, Any]:
        return {"StackResources": [{"PhysicalResourceId": self.resources[asked["LogicalResourceId"]][1]}]}

    def get_paginator(self, _: str) -> Cloudformation:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        for kind, physical_id in self.resources.values():
            yield {"StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": physical_id}]}


class Aws:
    """moto's services, and a stack. ``clients`` has those that a test puts in their place."""

    def __init__(self) -> None:
        self.cloudformation = Cloudformation()
        self.clients: dict[str, Any] = {"cloudformation": self.cloudformation}

    def client(self, service: str, **_: object) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(service, region_name=REGION)
        return self.clients[service]

    @property
    def stack(self) -> DeployedStack:
        return DeployedStack(STACK, "on AWS", self.client)

    def find(self, *_: object) -> DeployedStack:
        """In the place of ``stacks.find``."""
        return self.stack


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mocked_aws():
        made = Aws()
        made.cloudformation.outputs["TableName"] = create_table(made.client("dynamodb"))
        made.cloudformation.outputs["FailedEventsQueueUrl"] = made.client("sqs").create_queue(QueueName="failed")[
            "QueueUrl"
        ]
        yield made
        for client in made.clients.values():
            if hasattr(client, "close"):
                client.close()
