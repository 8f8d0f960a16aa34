"""Deploying and taking down, without SAM CLI: what it is asked to do."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from operations import deployments
from operations.__main__ import main
from operations.deployments import deploy, destroy
from operations.errors import OperationError
from operations.stacks import DeployedStack


class Sam:
    """Remembers commands and what the files of their parameters said."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.commands: list[Sequence[str]] = []
        self.parameters: dict[str, str] = {}
        self.file = Path()

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(command)
        if "--parameter-overrides" in command:
            self.file = Path(command[command.index("--parameter-overrides") + 1].removeprefix("file://"))
            self.parameters = json.loads(self.file.read_text())
        return self.status


REGION = "eu-west-1"
LAYER = {"Metadata": {"BuildMethod": "python3.13", "BuildArchitecture": "x86_64"}}
BUILT_FOR = {"PythonRuntime": "python3.13", "Architecture": "x86_64"}


@pytest.fixture
def built(tmp_path):
    template = tmp_path / "template.yaml"
    template.write_text(json.dumps({"Resources": {"VendorLayer": LAYER}}))
    return template


def test_what_is_built_is_deployed_with_the_parameters_named_and_a_new_release(built):
    sam = Sam()
    release = deploy("shop", REGION, {"PARAMS": "Model=m PageNotice='two words'"}, sam, built)
    [command] = sam.commands
    assert command[0] == "deploy"
    for option, value in (("--stack-name", "shop"), ("--region", REGION), ("--s3-prefix", "shop")):
        assert command[command.index(option) + 1] == value
    assert sam.parameters == {"Model": "m", "PageNotice": "two words", "Release": release} | BUILT_FOR


def test_a_release_may_be_named(built):
    assert deploy("shop", REGION, {"PARAMS": "Release=spring"}, Sam(), built) == "spring"


def test_what_is_built_for_another_runtime_is_not_deployed(built):
    sam = Sam()
    with pytest.raises(OperationError, match=r"PythonRuntime is python3\.14, but what is built is for python3\.13"):
        deploy("shop", REGION, {"PARAMS": "PythonRuntime=python3.14"}, sam, built)
    assert sam.commands == []
    assert deploy("shop", REGION, {"PARAMS": "Release=r PythonRuntime=python3.13"}, sam, built) == "r"


def test_without_a_build_nothing_is_deployed(tmp_path):
    with pytest.raises(OperationError, match="Nothing is built"):
        deploy("shop", REGION, {}, Sam(), tmp_path / "template.yaml")


def test_the_api_token_is_not_on_a_command_line_and_its_file_does_not_stay(built):
    sam = Sam()
    deploy("shop", REGION, {"CLOUDFLARE_ACCOUNT_ID": "account", "CLOUDFLARE_API_TOKEN": "s3cret"}, sam, built)
    assert sam.parameters["CloudflareApiToken"] == "s3cret"
    assert not [word for command in sam.commands for word in command if "s3cret" in word]
    assert not sam.file.exists()


def test_a_deployment_that_fails_is_told(built):
    with pytest.raises(OperationError, match="deployment failed"):
        deploy("shop", REGION, {}, Sam(status=1), built)


def test_parameters_without_a_value_are_refused():
    with pytest.raises(OperationError, match="Name=Value"):
        deploy("shop", REGION, {"PARAMS": "Model"}, Sam())


@pytest.mark.parametrize("confirmed", ["", "shop", "shop/us-east-1"])
def test_a_stack_is_deleted_only_when_its_region_was_named_too(confirmed):
    sam = Sam()
    with pytest.raises(OperationError, match="CONFIRM=shop/eu-west-1"):
        destroy("shop", REGION, confirmed, sam)
    assert sam.commands == []
    destroy("shop", REGION, "shop/eu-west-1", sam)
    assert sam.commands == [["delete", "--stack-name", "shop", "--region", REGION, "--no-prompts"]]


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_the_account_and_the_region_are_told_before(aws, monkeypatch, capsys, command):
    def done(*arguments: str) -> str:
        assert arguments[:2] == ("shop", "us-east-1")
        told.append(capsys.readouterr().out)
        return "spring"

    told: list[str] = []
    monkeypatch.setattr(deployments, command, done)
    assert main([command, "--stack", "shop"], aws.find) == 0
    assert "shop: account 123456789012, region us-east-1" in told[0]


def test_a_stack_that_is_not_there_is_not_said_to_be_gone(aws, monkeypatch, capsys):
    monkeypatch.setattr(deployments, "destroy", lambda *_: pytest.fail("asked SAM CLI"))
    missing = DeployedStack("shops", "on AWS", aws.client)
    assert main(["destroy", "--stack", "shops", "--confirm", "shops/us-east-1"], lambda *_: missing) == 1
    told = capsys.readouterr()
    assert "There is no stack shops" in told.err
    assert "gone" not in told.out


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_neither_is_done_to_a_stack_that_nobody_named(aws, capsys, command):
    assert main([command], aws.find) == 1
    assert "Which stack on AWS?" in capsys.readouterr().err


def test_a_new_api_token_takes_the_place_of_the_last_one(aws, monkeypatch, capsys):
    secrets = aws.client("secretsmanager")
    arn = secrets.create_secret(Name="token", SecretString="old")["ARN"]
    aws.cloudformation.resources["ApiTokenSecret"] = ("AWS::SecretsManager::Secret", arn)
    monkeypatch.setitem(os.environ, "CLOUDFLARE_API_TOKEN", "n3w")
    assert main(["set-api-token"], aws.find) == 0
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "n3w"
    assert "n3w" not in capsys.readouterr().out


def test_without_one_nothing_changes(aws, monkeypatch, capsys):
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    assert main(["set-api-token"], aws.find) == 1
    assert "CLOUDFLARE_API_TOKEN is not set" in capsys.readouterr().err
