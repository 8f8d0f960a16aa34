"""What CloudFormation knows of a deployed stack."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.errors import LocalStackError

ALIAS = "live"
"""What the template calls the alias of each function that everything calls."""


@dataclass(frozen=True)
class Deployed:
    """A processed template's resources and conditions, with their physical ids, the parameters and the outputs."""

    resources: Mapping[str, Mapping[str, Any]]
    physical_ids: Mapping[str, str]
    outputs: Mapping[str, str]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Physical id and properties of every resource of a type."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] == kind:
                yield self.physical_ids[logical_id], resource.get("Properties", {})

    def resolved(self, value: Any) -> Any:
        """The value, or the branch of its `Fn::If` that holds."""
        if not isinstance(value, Mapping) or "Fn::If" not in value:
            return value
        condition, then, otherwise = value["Fn::If"]
        return self.resolved(then if self.holds(condition) else otherwise)

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template does. Raises LocalStackError for any but `Fn::Equals`."""
        expression = self.conditions.get(condition)
        if not isinstance(expression, Mapping) or list(expression) != ["Fn::Equals"]:
            raise LocalStackError(f"local/deployed.py cannot tell whether {condition} holds: {expression}")
        one, other = (self._text_of(side) for side in expression["Fn::Equals"])
        return one == other

    def _text_of(self, side: Any) -> str:
        if isinstance(side, Mapping) and list(side) == ["Ref"] and side["Ref"] in self.parameters:
            return self.parameters[side["Ref"]]
        if isinstance(side, Mapping | list):
            raise LocalStackError(f"local/deployed.py compares parameters and words, not {side}")
        return str(side)


def read(cloudformation: Any, stack: str) -> Deployed:
    """Raises LocalStackError when the stack's deployment did not succeed."""
    description = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    if description["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise LocalStackError(f"Stack {stack} is {description['StackStatus']}: {description.get('StackStatusReason')}")
    body = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return Deployed(
        resources=template["Resources"],
        physical_ids={resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
        outputs={output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])},
        conditions=template.get("Conditions", {}),
        parameters={found["ParameterKey"]: found["ParameterValue"] for found in description.get("Parameters", [])},
    )
