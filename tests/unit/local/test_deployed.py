import json
from typing import Any

import pytest

from local.deployed import Deployed, read
from local.errors import LocalStackError


def deployed(**conditions: Any) -> Deployed:
    return Deployed(resources={}, physical_ids={}, outputs={}, conditions=conditions, parameters={"Mode": "none"})


def test_a_value_without_condition_is_itself() -> None:
    assert deployed().resolved([{"Tokens": []}]) == [{"Tokens": []}]


@pytest.mark.parametrize(("word", "branch"), [("none", "then"), ("jwt", "otherwise")])
def test_the_branch_that_holds_is_taken(word: str, branch: str) -> None:
    found = deployed(Open={"Fn::Equals": [{"Ref": "Mode"}, word]})
    assert found.resolved({"Fn::If": ["Open", "then", "otherwise"]}) == branch


def test_branches_may_branch_again() -> None:
    found = deployed(Open={"Fn::Equals": [{"Ref": "Mode"}, "none"]})
    assert found.resolved({"Fn::If": ["Open", {"Fn::If": ["Open", 1, 2]}, 3]}) == 1


@pytest.mark.parametrize(
    "expression",
    [
        None,
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "Mode"}, "none"]}]},
        {"Fn::Equals": [{"Ref": "Nothing"}, "none"]},
        {"Fn::Equals": [{"Fn::Join": ["", ["a"]]}, "none"]},
    ],
)
def test_a_condition_that_we_do_not_understand_is_not_guessed(expression: Any) -> None:
    with pytest.raises(LocalStackError, match=r"cannot tell|compares parameters"):
        deployed(Open=expression).holds("Open")


class CloudFormation:
    """A stack in the words of the `cloudformation` client."""

    status = "UPDATE_COMPLETE"

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        parameters = [{"ParameterKey": "Mode", "ParameterValue": "none"}]
        outputs = [{"OutputKey": "Url", "OutputValue": "http://x"}]
        return {"Stacks": [{"StackStatus": self.status, "Parameters": parameters, "Outputs": outputs}]}

    def get_template(self, **_: str) -> dict[str, Any]:
        resources = {"Table": {"Type": "T", "Properties": {"a": 1}}}
        conditions = {"Open": {"Fn::Equals": [{"Ref": "Mode"}, "none"]}}
        return {"TemplateBody": json.dumps({"Resources": resources, "Conditions": conditions})}

    def describe_stack_resources(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        return {"StackResources": [{"LogicalResourceId": "Table", "PhysicalResourceId": "shop-table"}]}


def test_a_stack_is_read() -> None:
    found = read(CloudFormation(), "shop")
    assert list(found.of_type("T")) == [("shop-table", {"a": 1})]
    assert found.outputs == {"Url": "http://x"}
    assert found.holds("Open")


def test_a_stack_whose_deployment_failed_is_refused() -> None:
    failed = CloudFormation()
    failed.status = "ROLLBACK_COMPLETE"
    with pytest.raises(LocalStackError, match="ROLLBACK_COMPLETE"):
        read(failed, "shop")
