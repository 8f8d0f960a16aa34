"""Versions and aliases in moto's Lambda."""

from __future__ import annotations

import io
import zipfile

import pytest

from operations.__main__ import main
from operations.releases import Releases, release_of

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


def test_releases_are_never_mixed(two_releases, capsys):
    deploy(two_releases, "autumn", FUNCTIONS[:1])
    assert main(["rollback"], two_releases.find) == 1
    told = capsys.readouterr().err
    assert "TO=<release>" in told
    assert "shop-http-api: autumn; autumn, summer, spring" in told
    assert "shop-turn-worker: summer; summer, spring" in told
    assert live(two_releases) == ["autumn", "summer"]
    assert main(["rollback", "--to", "summer"], two_releases.find) == 0
    assert live(two_releases) == ["summer", "summer"]


def test_releases_before_that_differ_are_not_mixed_either(two_releases, capsys):
    deploy(two_releases, "autumn", FUNCTIONS[:1])
    deploy(two_releases, "winter")
    assert main(["rollback"], two_releases.find) == 1
    assert "TO=<release>" in capsys.readouterr().err
    assert live(two_releases) == ["winter", "winter"]


def test_where_there_is_no_release_before_nothing_is_moved(two_releases, capsys):
    main(["rollback"], two_releases.find)
    assert main(["rollback"], two_releases.find) == 1
    assert "TO=<release>" in capsys.readouterr().err
    assert live(two_releases) == ["spring", "spring"]


def test_any_release_that_every_function_has_may_be_named(two_releases, capsys):
    deploy(two_releases, "autumn")
    assert main(["rollback", "--to", "spring"], two_releases.find) == 0
    assert live(two_releases) == ["spring", "spring"]
    assert main(["rollback", "--to", "autumn"], two_releases.find) == 0
    assert live(two_releases) == ["autumn", "autumn"]
    assert main(["rollback", "--to", "autumn"], two_releases.find) == 1
    assert "autumn is live already" in capsys.readouterr().err


def test_a_release_that_a_function_lacks_is_refused(two_releases, capsys):
    deploy(two_releases, "autumn", FUNCTIONS[:1])
    assert main(["rollback", "--to", "autumn"], two_releases.find) == 1
    assert "no release autumn of shop-turn-worker" in capsys.readouterr().err
    assert live(two_releases) == ["autumn", "summer"]


def test_a_release_is_the_first_word_of_its_versions_description():
    variables = {"Environment": {"Variables": {"RELEASE": "spring"}}}
    assert release_of(variables | {"Description": "summer jwt"}) == "summer"
    assert release_of(variables | {"Description": ""}) == "spring"
    assert release_of({}) == "-"


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
