"""What SAM makes of the template's aliases, as CloudFormation gets it."""

from __future__ import annotations

import functools
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from local.deployed import ALIAS
from local.places import TEMPLATE

FUNCTIONS = ("Http", "WebSocket", "Stream", "TurnWorker", "Authorizer", "Janitor")


@functools.cache
def resources(code: str = "1", packages: str = "1", **parameters: str) -> dict[str, Any]:
    """By their logical ids, with the code and the packages as SAM CLI would have uploaded them."""
    template = yaml_parse(TEMPLATE.read_text())
    template["Globals"]["Function"]["CodeUri"] = f"s3://bucket/code-{code}"
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://bucket/packages-{packages}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        made: dict[str, Any] = transform(template, parameters, SimpleNamespace(load=dict))["Resources"]
    return made


def of_type(kind: str, **parameters: str) -> dict[str, Any]:
    return {name: found for name, found in resources(**parameters).items() if found["Type"] == kind}


def test_every_function_has_the_alias_that_everything_calls():
    assert set(of_type("AWS::Lambda::Alias")) == {f"{name}FunctionAlias{ALIAS}" for name in FUNCTIONS}
    called = json.dumps([*of_type("AWS::ApiGatewayV2::Api").values(), *of_type("AWS::IAM::Role").values()])
    assert "TurnWorkerFunction.Arn" not in called.replace("TurnWorkerFunction.Arn}:live", "")
    for kind, name in (
        ("AWS::Lambda::Permission", "FunctionName"),
        ("AWS::Lambda::EventSourceMapping", "FunctionName"),
        ("AWS::Lambda::Url", "TargetFunctionArn"),
    ):
        assert {found["Properties"][name]["Ref"] for found in of_type(kind).values()} <= set(
            of_type("AWS::Lambda::Alias")
        )
    [asynchronous] = of_type("AWS::Lambda::EventInvokeConfig").values()
    assert asynchronous["Properties"]["Qualifier"] == ALIAS


@pytest.mark.parametrize("uri", ["${HttpFunction.Arn}", "${AuthorizerFunction.Arn}"])
def test_the_http_api_calls_nothing_but_aliases(uri):
    body = json.dumps(resources()["HttpApi"])
    assert body.count(uri) == body.count(f"{uri}:{ALIAS}/invocations") > 0


@pytest.mark.parametrize("change", [{"code": "2"}, {"packages": "2"}])
def test_new_code_and_new_packages_make_new_versions(change):
    assert set(of_type("AWS::Lambda::Version")).isdisjoint(of_type("AWS::Lambda::Version", **change))


def test_a_new_release_and_new_settings_make_new_versions_of_what_is_the_same_otherwise():
    """CloudFormation replaces a version whose description changes, and the function must differ from before."""
    for version in of_type("AWS::Lambda::Version").values():
        assert version["Properties"]["Description"] == {"Fn::Sub": "${Release} ${SettingsVersion}"}
    for function in of_type("AWS::Lambda::Function").values():
        variables = function["Properties"]["Environment"]["Variables"]
        assert (variables["RELEASE"], variables["SETTINGS_VERSION"]) == ({"Ref": "Release"}, {"Ref": "SettingsVersion"})


def test_every_parameter_that_a_function_is_told_is_among_the_settings_but_no_secret():
    """Else a deployment of this parameter alone would not reach what is live."""
    told = {name for function in of_type("AWS::Lambda::Function").values() for name in parameters_in(function)}
    [settings] = of_type("AWS::AppConfig::HostedConfigurationVersion").values()
    kept = parameters_in(settings)
    assert told - kept <= {"Release", "WorkerConcurrency", "StreamConcurrency"}  # the concurrency is no version's
    assert "CloudflareApiToken" not in kept


def parameters_in(resource: dict[str, Any]) -> set[str]:
    """Names of the template's parameters that this resource refers to."""
    text = json.dumps(resource)
    names = set(re.findall(r'"Ref": "(\w+)"', text)) | set(re.findall(r"\$\{(\w+)\}", text))
    return names & yaml_parse(TEMPLATE.read_text())["Parameters"].keys()


def test_versions_stay_to_go_back_to():
    for version in of_type("AWS::Lambda::Version").values():
        assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")
    for function in of_type("AWS::Lambda::Function").values():
        assert "DeletionPolicy" not in function


def test_all_at_once_needs_no_codedeploy():
    assert [found for found in resources().values() if "CodeDeploy" in found["Type"]] == []
    assert not any("UpdatePolicy" in alias for alias in of_type("AWS::Lambda::Alias").values())


def test_a_canary_deployment_goes_back_when_the_functions_alarm_rings():
    canary = {"DeploymentPreference": "Canary10Percent5Minutes"}
    groups = of_type("AWS::CodeDeploy::DeploymentGroup", **canary)
    assert len(groups) == len(FUNCTIONS)
    for name in FUNCTIONS:
        group = groups[f"{name}FunctionDeploymentGroup"]["Properties"]
        assert group["AlarmConfiguration"]["Alarms"] == [{"Name": {"Ref": f"{name}ErrorsAlarm"}}]
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    for alias in of_type("AWS::Lambda::Alias", **canary).values():
        assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_snapshots_are_a_parameter_but_for_the_stream_api():
    wanted = {name: found["Properties"]["SnapStart"] for name, found in of_type("AWS::Lambda::Function").items()}
    assert wanted.pop("StreamFunction") == {"ApplyOn": "None"}
    assert set(map(str, wanted.values())) == {str({"ApplyOn": {"Ref": "SnapStart"}})}
