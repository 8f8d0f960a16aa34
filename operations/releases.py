"""Versions that have been live, and the way back to them.

Every function has an alias, and everything calls the alias. A deployment publishes a version and moves the alias to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.deployed import ALIAS
from operations.errors import OperationError
from operations.stacks import DeployedStack


@dataclass(frozen=True)
class Version:
    """A published version of a function. ``release`` is what the template's parameter of that name was."""

    number: str
    release: str
    published: str


@dataclass(frozen=True)
class Function:
    """A function with its versions, oldest first. ``weights`` has the shares of others during a canary deployment."""

    name: str
    live: str
    versions: tuple[Version, ...]
    weights: dict[str, float]

    @property
    def before(self) -> Version | None:
        """The newest version that is older than the live one."""
        older = [version for version in self.versions if int(version.number) < int(self.live)]
        return older[-1] if older else None

    def version(self, number: str) -> Version:
        """The version of that number."""
        return next(version for version in self.versions if version.number == number)


class Releases:
    """Those of a stack's functions."""

    def __init__(self, stack: DeployedStack) -> None:
        self._stack = stack
        self._client = stack.client("lambda")

    def functions(self) -> list[Function]:
        """All functions that have an alias, by name."""
        arns = self._stack.physical_ids("AWS::Lambda::Alias")
        return [self._function(name) for name in sorted(arn.split(":")[6] for arn in arns)]

    def roll_back(self) -> list[tuple[Function, Version]]:
        """Makes each function's version before the live one live; tells from which function state to which version.

        All or none: raises OperationError, having moved nothing, when one has no version before, or while CodeDeploy
        is moving them.
        """
        functions = self.functions()
        if moving := [function.name for function in functions if function.weights]:
            raise OperationError(f"CodeDeploy is moving {', '.join(moving)}. Stop its deployments: docs/operations.md.")
        if first := [function.name for function in functions if function.before is None]:
            raise OperationError(f"There is no version before the live one of {', '.join(first)}.")
        moves = [(function, function.before) for function in functions if function.before]
        for function, version in moves:
            self._client.update_alias(FunctionName=function.name, Name=ALIAS, FunctionVersion=version.number)
        return moves

    def _function(self, name: str) -> Function:
        alias = self._client.get_alias(FunctionName=name, Name=ALIAS)
        weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        return Function(name, alias["FunctionVersion"], tuple(self._versions(name)), weights)

    def _versions(self, name: str) -> Iterator[Version]:
        pages = self._client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        found = [version for page in pages for version in page["Versions"] if version["Version"] != "$LATEST"]
        for version in sorted(found, key=lambda version: int(version["Version"])):
            yield Version(version["Version"], release_of(version), version["LastModified"][:16].replace("T", " "))


def release_of(configuration: dict[str, Any]) -> str:
    """The release that a version was published with; a dash for one of before there were releases."""
    release: str = configuration.get("Environment", {}).get("Variables", {}).get("RELEASE", "-")
    return release
