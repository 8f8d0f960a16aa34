"""Deploying and taking down, without SAM CLI: what it is asked to do."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from operations.__main__ import main
from operations.deployments import deploy, destroy
from operations.errors import OperationError


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


def test_what_is_built_is_deployed_with_the_parameters_named_and_a_new_release():
    sam = Sam()
    release = deploy("shop", {"PARAMS": "Model=m PageNotice='two words'"}, sam)
    [command] = sam.commands
    assert command[0] == "deploy"
    assert command[command.index("--stack-name") + 1] == "shop"
    assert sam.parameters == {"Model": "m", "PageNotice": "two words", "Release": release}


def test_a_release_may_be_named():
    assert deploy("shop", {"PARAMS": "Release=spring"}, Sam()) == "spring"


def test_the_api_token_is_not_on_a_command_line_and_its_file_does_not_stay():
    sam = Sam()
    deploy("shop", {"CLOUDFLARE_ACCOUNT_ID": "account", "CLOUDFLARE_API_TOKEN": "s3cret"}, sam)
    assert sam.parameters["CloudflareApiToken"] == "s3cret"
    assert not [word for command in sam.commands for word in command if "s3cret" in word]
    assert not sam.file.exists()


def test_a_deployment_that_fails_is_told():
    with pytest.raises(OperationError, match="deployment failed"):
        deploy("shop", {}, Sam(status=1))


def test_parameters_without_a_value_are_refused():
    with pytest.raises(OperationError, match="Name=Value"):
        deploy("shop", {"PARAMS": "Model"}, Sam())


def test_a_stack_is_deleted_only_when_it_was_named_twice():
    sam = Sam()
    with pytest.raises(OperationError, match="CONFIRM=shop"):
        destroy("shop", "", sam)
    assert sam.commands == []
    destroy("shop", "shop", sam)
    assert sam.commands == [["delete", "--stack-name", "shop", "--no-prompts"]]


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
