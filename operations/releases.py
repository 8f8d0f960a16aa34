"""Versions that have been live, and the way back to them.

Every function has an alias, and everything calls the alias. A deployment publishes a version and moves the alias to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.deployed import ALIAS
from operations.errors import OperationError
from operations.stacks import DeployedStack

UNNAMED = "-"
"""What stands for the release of a version of before there were releases."""


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
    def release(self) -> str:
        """The live one."""
        return self.version(self.live).release

    @property
    def before(self) -> str:
        """The release before the live one: that of the newest older version of another name. Empty without one."""
        older = [version for version in self.versions if int(version.number) < int(self.live)]
        others = [version.release for version in older if version.release not in (self.release, UNNAMED)]
        return others[-1] if others else ""

    def version(self, number: str) -> Version:
        """The version of that number."""
        return next(version for version in self.versions if version.number == number)

    def newest(self, release: str) -> Version | None:
        """The newest version of a release; the live one if it is of that release."""
        if release == self.release:
            return self.version(self.live)
        found = [version for version in self.versions if version.release == release]
        return found[-1] if found else None


class Releases:
    """Those of a stack's functions."""

    def __init__(self, stack: DeployedStack) -> None:
        self._stack = stack
        self._client = stack.client("lambda")

    def functions(self) -> list[Function]:
        """All functions that have an alias, by name."""
        arns = self._stack.physical_ids("AWS::Lambda::Alias")
        return [self._function(name) for name in sorted(arn.split(":")[6] for arn in arns)]

    def roll_back(self, release: str = "") -> list[tuple[Function, Version]]:
        """Makes one release live in every function; tells from which function state to which version.

        Which: that of this name, or else the one before the live one, if that is the same in every function. Nobody
        keeps a record of what has ever been live everywhere. Raises OperationError, having moved nothing, when there
        is no such release, when a function lacks it, or while CodeDeploy is moving aliases.
        """
        functions = self.functions()
        if moving := [function.name for function in functions if function.weights]:
            raise OperationError(f"CodeDeploy is moving {', '.join(moving)}. Stop its deployments: docs/operations.md.")
        release = release or release_before(functions)
        if lacking := [function.name for function in functions if function.newest(release) is None]:
            raise OperationError(f"There is no release {release} of {', '.join(lacking)}.\n{listed(functions)}")
        found = [(function, function.newest(release)) for function in functions]
        moves = [(function, version) for function, version in found if version and version.number != function.live]
        if not moves:
            raise OperationError(f"The release {release} is live already.")
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


def release_before(functions: list[Function]) -> str:
    """The one release that every function had before the live one. Raises OperationError when there is none."""
    candidates = {function.before for function in functions}
    if len(candidates) != 1 or "" in candidates or len({function.release for function in functions}) != 1:
        raise OperationError(
            "There is no one release that is live in every function, and one that was in all of them before. "
            f"Name the one to go to: TO=<release>.\n{listed(functions)}"
        )
    return candidates.pop()


def listed(functions: list[Function]) -> str:
    """The releases of each function, newest first, in lines."""
    lines = ["Live, and then all releases, newest first:"]
    for function in functions:
        names = dict.fromkeys(version.release for version in reversed(function.versions))
        lines.append(f"  {function.name}: {function.release}; {', '.join(names)}")
    return "\n".join(lines)


def release_of(configuration: dict[str, Any]) -> str:
    """The release that a version was published with: the first word of its description, else the function's variable.

    A dash for a version of before there were releases.
    """
    if words := configuration.get("Description", "").split():
        described: str = words[0]
        return described
    release: str = configuration.get("Environment", {}).get("Variables", {}).get("RELEASE", UNNAMED)
    return release
