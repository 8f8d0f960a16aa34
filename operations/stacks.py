"""The deployed stack that a command is about."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.endpoints import Endpoints
from local.stack import Stack as LocalStack
from operations.errors import OperationError

DEFAULT_NAME = "copilotedge"
HINT = "`make up` starts a stack on this machine."


@dataclass(frozen=True)
class TokenSettings:
    """What a stack's tokens have to claim, and where the keys are that sign them."""

    secret_arn: str
    issuer: str
    audience: str


@dataclass(frozen=True)
class Place:
    """Whose account a stack is in, and in which region."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"account {self.account}, region {self.region}"


@dataclass(frozen=True)
class DeployedStack:
    """A CloudFormation stack. `place` is for people; `client` makes a boto3 client, as `Session.client` does."""

    name: str
    place: str
    client: Callable[..., Any]

    def check_exists(self) -> None:
        """Raises OperationError when there is no such stack."""
        self._outputs()

    def whereabouts(self) -> Place:
        """Where commands go. Raises BotoCoreError when no region or no credentials are set."""
        region: str = self.client("cloudformation").meta.region_name
        return Place(self.client("sts").get_caller_identity()["Account"], region)

    def token_settings(self) -> TokenSettings:
        """Raises OperationError when there is no such stack, or it takes no tokens of ours."""
        outputs = self._outputs()
        if outputs.get("AuthMode") != "jwt":
            raise OperationError(f"The stack {self.name} takes no tokens of ours: its AuthMode is not jwt.")
        return TokenSettings(outputs["SigningKeysSecretArn"], outputs["TokenIssuer"], outputs["TokenAudience"])

    def output(self, name: str) -> str:
        """An output of the template. Raises OperationError when there is no such stack."""
        return self._outputs()[name]

    def physical_ids(self, kind: str) -> list[str]:
        """Of the stack's resources of a type. Raises OperationError when there is no such stack."""
        self._outputs()
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return [one["PhysicalResourceId"] for one in found if one["ResourceType"] == kind]

    def physical_id(self, logical_id: str) -> str:
        """Of one resource of the template. Raises OperationError when there is no such stack."""
        self._outputs()
        found = self.client("cloudformation").describe_stack_resources(
            StackName=self.name, LogicalResourceId=logical_id
        )
        physical_id: str = found["StackResources"][0]["PhysicalResourceId"]
        return physical_id

    def _outputs(self) -> dict[str, str]:
        try:
            [stack] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise OperationError(f"There is no stack {self.name} {self.place}.\n{HINT}") from error
        except BotoCoreError as error:
            raise OperationError(f"The stack {self.name} {self.place} is out of reach: {error}\n{HINT}") from error
        return {found["OutputKey"]: found["OutputValue"] for found in stack.get("Outputs", [])}


def find(name: str | None, directory: Path) -> DeployedStack:
    """The stack of this name on AWS. Without a name: the local one, if it is up, else `copilotedge` on AWS."""
    if name is not None:
        return DeployedStack(name, "on AWS", clients_on_aws(os.environ))
    try:
        endpoints = Endpoints.read(directory / "endpoints.json")
    except FileNotFoundError:
        return DeployedStack(DEFAULT_NAME, "on AWS", clients_on_aws(os.environ))
    server = LocalStack(directory).ministack
    make = cast("Callable[..., Any]", server.session().client)
    return DeployedStack(endpoints.stack_name, "on this machine", functools.partial(make, endpoint_url=server.endpoint))


def clients_on_aws(environment: Mapping[str, str]) -> Callable[..., Any]:
    """Makes clients of the region that the AWS CLI would take.

    AWS_REGION goes before AWS_DEFAULT_REGION and the profile's region. boto3 does not know the first.
    """
    session = boto3.Session(region_name=environment.get("AWS_REGION") or None)
    return cast("Callable[..., Any]", session.client)
