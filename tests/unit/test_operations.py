"""What operators do: make tokens and rotate keys."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError, NoRegionError

from copilotedge.identity import USER
from local.endpoints import Endpoints
from operations import mint
from operations.__main__ import main
from operations.errors import OperationError
from operations.stacks import DeployedStack, find
from tests.tokens import AUDIENCE, CURRENT, PREVIOUS


class FakeAws:
    """One stack with its signing keys; a client of every service."""

    def __init__(self) -> None:
        self.keys = {"current": CURRENT, "previous": PREVIOUS}
        self.outputs = {
            "AuthMode": "jwt",
            "SigningKeysSecretArn": "arn:keys",
            "TokenIssuer": "my-stack",
            "TokenAudience": AUDIENCE,
        }
        self.region = True

    def client(self, _: str) -> FakeAws:
        if not self.region:
            raise NoRegionError
        return self

    def describe_stacks(self, **asked: str) -> dict[str, Any]:
        if asked["StackName"] != "my-stack":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "gone"}}, "DescribeStacks")
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        return {"Stacks": [{"Outputs": outputs}]}

    def get_secret_value(self, **asked: str) -> dict[str, str]:
        assert asked == {"SecretId": "arn:keys"}
        return {"SecretString": json.dumps(self.keys)}

    def put_secret_value(self, **asked: str) -> None:
        assert asked.pop("SecretId") == "arn:keys"
        self.keys = json.loads(asked["SecretString"])


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


def run(aws: FakeAws, *arguments: str) -> int:
    def find(name: str | None, _: Path) -> DeployedStack:
        return DeployedStack(name or "copilotedge", "on AWS", aws.client)

    return main(arguments, find)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


TOKEN, ROTATE = ("token", "--user", "alice"), ("rotate-keys",)
MINE = ("--stack", "my-stack")


def test_a_token_is_made_for_a_user_and_a_time():
    found = jwt.decode(mint(CURRENT, "alice", "me", "you", 60), CURRENT, ["HS256"], audience="you", issuer="me")
    assert found["sub"] == "alice"
    assert found["exp"] - found["iat"] == 60
    assert abs(found["iat"] - time.time()) < 10


@pytest.mark.parametrize(
    "user", ["alice", "auth0|1", "~", "x" * 128, "", "x" * 129, "a b", "a\n", "\x7f", "zoë", "\u00a0", "\x00"]
)
def test_only_names_that_the_authorizer_takes_are_put_into_tokens(user):
    try:
        made = bool(mint(CURRENT, user, "me", "you", 60))
    except OperationError:
        made = False
    assert made == bool(USER.fullmatch(user))


def test_the_token_is_on_the_last_line(aws, capsys):
    assert run(aws, *TOKEN, *MINE, "--hours", "1") == 0
    token = capsys.readouterr().out.splitlines()[-1]
    found = jwt.decode(token, CURRENT, ["HS256"], audience=AUDIENCE, issuer="my-stack")
    assert (found["sub"], found["exp"] - found["iat"]) == ("alice", 3600)


def test_rotating_keeps_the_last_key_as_the_previous_one(aws, capsys):
    assert run(aws, *ROTATE, *MINE) == 0
    assert aws.keys["previous"] == CURRENT
    assert len(aws.keys["current"]) == 64
    assert aws.keys["current"] not in capsys.readouterr().out


def test_each_rotation_makes_another_key(aws):
    made = set()
    for _ in range(3):
        run(aws, *ROTATE, *MINE)
        made.add(aws.keys["current"])
    assert len(made) == 3


@pytest.mark.parametrize("command", [TOKEN, ROTATE])
def test_a_stack_that_does_not_exist_is_said_to_be_missing(aws, capsys, command):
    assert run(aws, *command) == 1
    told = error_of(capsys)
    assert "no stack copilotedge on AWS" in told
    assert "make up" in told


@pytest.mark.parametrize("command", [TOKEN, ROTATE])
@pytest.mark.parametrize("mode", ["oidc", "none"])
def test_a_stack_of_another_mode_takes_no_tokens_of_ours(aws, capsys, command, mode):
    aws.outputs["AuthMode"] = mode
    assert run(aws, *command, *MINE) == 1
    assert "AuthMode is not jwt" in error_of(capsys)
    assert aws.keys["current"] == CURRENT


def test_when_aws_is_out_of_reach_the_reason_is_said(aws, capsys):
    aws.region = False
    assert run(aws, *TOKEN) == 1
    assert "You must specify a region" in error_of(capsys)


def test_a_user_that_no_token_can_carry_is_refused(aws, capsys):
    assert run(aws, "token", "--user", "", *MINE) == 1
    assert "visible ASCII" in error_of(capsys)


def test_no_local_stack_means_the_one_on_aws(tmp_path):
    found = find(None, tmp_path)
    assert (found.name, found.place) == ("copilotedge", "on AWS")


@pytest.mark.parametrize(
    ("named", "usual", "taken"),
    [("eu-west-1", "us-east-1", "eu-west-1"), ("eu-west-1", "", "eu-west-1"), ("", "us-east-1", "us-east-1")],
)
def test_the_region_is_the_one_that_the_aws_cli_takes(tmp_path, monkeypatch, named, usual, taken):
    for name, value in (("AWS_REGION", named), ("AWS_DEFAULT_REGION", usual)):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    for stack in (find("mine", tmp_path), find(None, tmp_path)):
        client = stack.client("cloudformation")
        assert client.meta.region_name == taken
        client.close()


def test_the_local_stack_is_meant_when_it_is_up_and_no_other_is_named(tmp_path):
    up = Endpoints("http://h", "ws://h", "http://s", "http://h/", "http://127.0.0.1:4599", "table", "mine", "http://m")
    (tmp_path / "endpoints.json").write_text(json.dumps(asdict(up)))
    (tmp_path / "ports.json").write_text('{"aws": 4599}')
    found = find(None, tmp_path)
    assert (found.name, found.place) == ("mine", "on this machine")
    client = found.client("secretsmanager")
    assert client.meta.endpoint_url == "http://127.0.0.1:4599"
    client.close()
    assert find("theirs", tmp_path).place == "on AWS"
