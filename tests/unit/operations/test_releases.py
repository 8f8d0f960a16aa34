"""Versions and aliases in moto's Lambda."""

from __future__ import annotations

import io
import zipfile

import pytest

from operations.__main__ import main
from operations.releases import Releases

FUNCTIONS = ("shop-http-api", "shop-turn-worker")


def code(text: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("code.py", text)
    return archive.getvalue()


def deploy(aws, release: str, functions: tuple[str, ...] = FUNCTIONS) -> None:
    """Publishes the functions and makes that live."""
    client = aws.client("lambda")
    for name in functions:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": {"RELEASE": release}})
        version = client.update_function_code(FunctionName=name, ZipFile=code(release), Publish=True)["Version"]
        if name not in aws.cloudformation.resources:
            arn = client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
            aws.cloudformation.resources[name] = ("AWS::Lambda::Alias", arn)
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


@pytest.fixture
def two_releases(aws):
    iam = aws.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    for name in FUNCTIONS:
        aws.client("lambda").create_function(
            FunctionName=name, Runtime="python3.13", Role=role, Handler="code.f", Code={"ZipFile": code("")}
        )
    for release in ("spring", "summer"):
        deploy(aws, release)
    return aws


def live(aws) -> list[str]:
    return [function.version(function.live).release for function in Releases(aws.stack).functions()]


def test_the_versions_of_every_function_are_listed_with_their_releases(two_releases, capsys):
    assert main(["releases"], two_releases.find) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(FUNCTIONS)
    assert [line.split()[-2:] for line in lines if "live" in line] == [["summer", "live"]] * 2


def test_a_rollback_makes_the_release_before_live(two_releases, capsys):
    assert main(["rollback"], two_releases.find) == 0
    assert live(two_releases) == ["spring", "spring"]
    assert "shop-http-api: 2 (summer) -> 1 (spring)" in capsys.readouterr().out


def test_where_there_is_no_release_before_nothing_is_moved(two_releases, capsys):
    deploy(two_releases, "autumn", FUNCTIONS[:1])
    assert main(["rollback"], two_releases.find) == 0
    assert live(two_releases) == ["summer", "spring"]
    assert main(["rollback"], two_releases.find) == 1
    assert "no version before the live one of shop-turn-worker" in capsys.readouterr().err
    assert live(two_releases) == ["summer", "spring"]


def test_a_deployment_after_a_rollback_goes_on_from_there(two_releases):
    main(["rollback"], two_releases.find)
    deploy(two_releases, "autumn")
    assert live(two_releases) == ["autumn", "autumn"]


def test_while_codedeploy_moves_an_alias_it_is_not_touched(two_releases, capsys):
    two_releases.client("lambda").update_alias(
        FunctionName="shop-http-api", Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}}
    )
    assert main(["rollback"], two_releases.find) == 1
    assert "CodeDeploy is moving shop-http-api" in capsys.readouterr().err
    assert live(two_releases) == ["summer", "summer"]
    assert main(["releases"], two_releases.find) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines() if "%" in line] == ["10%", "90%"]
