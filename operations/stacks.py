"""The deployed stack that a command is about."""

from collections.abc import Callable
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
class DeployedStack:
    """A CloudFormation stack. `place` is for people; `client` makes a boto3 client for a service's name."""

    name: str
    place: str
    client: Callable[[str], Any]

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
    on_aws = cast("Callable[[str], Any]", boto3.client)
    if name is not None:
        return DeployedStack(name, "on AWS", on_aws)
    try:
        endpoints = Endpoints.read(directory / "endpoints.json")
    except FileNotFoundError:
        return DeployedStack(DEFAULT_NAME, "on AWS", on_aws)
    return DeployedStack(endpoints.stack_name, "on this machine", LocalStack(directory).client)
