"""The local stack itself: what it says of itself, what it keeps, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3
import pytest
import yaml

from local.logs import Logs
from local.options import Options
from local.stack import Stack
from tests.stack import BUILD, DeployedStack, wait_until, worker_processes

LAMBDA_BRINGS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")
NO_MODEL = "http://127.0.0.1:9/nobody"  # port 9 discards: no test here asks the model


def test_the_endpoints_file_names_every_way_in(stack: DeployedStack) -> None:
    endpoints = json.loads(stack.local.endpoints_file.read_text())
    assert set(endpoints) == {
        "http_url",
        "websocket_url",
        "chat_page_url",
        "aws_endpoint_url",
        "table_name",
        "stack_name",
        "workers_ai_base_url",
        "token",
    }
    assert endpoints["chat_page_url"] == endpoints["http_url"] + "/"
    assert endpoints["websocket_url"].startswith("ws://127.0.0.1:")


def test_a_browser_of_another_origin_may_call_the_api(stack: DeployedStack) -> None:
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    request = urllib.request.Request(stack.http_url + "/api/copilotedge", headers=headers, method="OPTIONS")
    with urllib.request.urlopen(request) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, "*")


def test_expired_items_are_deleted(stack: DeployedStack) -> None:
    ttl = stack.client("dynamodb").describe_time_to_live(TableName=stack.table_name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_the_websocket_authorizer_is_asked_whatever_a_client_sends(stack: DeployedStack) -> None:
    api_id = stack.websocket_url.split("/")[-2]
    [authorizer] = stack.client("apigatewayv2").get_authorizers(ApiId=api_id)["Items"]
    assert authorizer["IdentitySource"] == []


def test_settings_reach_a_function_and_are_taken_back(stack: DeployedStack) -> None:
    def lease() -> str:
        configuration = stack.client("lambda").get_function_configuration(FunctionName=stack.function_name("janitor"))
        return configuration["Environment"]["Variables"]["LEASE_SECONDS"]

    with stack.settings("janitor", LEASE_SECONDS="2"):
        assert lease() == "2"
    assert lease() == "20"


def test_every_handler_can_be_imported_with_nothing_but_its_layer_and_lambdas_own_packages(
    stack: DeployedStack, tmp_path: Path
) -> None:
    resources = yaml.safe_load((stack.local.sam.output / "template.yaml").read_text())["Resources"]
    link_what_lambda_brings(tmp_path)
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            path = [stack.local.sam.output / "VendorLayer" / "python", stack.local.sam.output / name, tmp_path]
            import_alone(resource["Properties"]["Handler"], path)


def link_what_lambda_brings(directory: Path) -> None:
    site_packages = Path(boto3.__file__).parent.parent
    for package in LAMBDA_BRINGS:
        (directory / package).symlink_to(site_packages / package)


def import_alone(handler: str, path: list[Path]) -> None:
    module, function = handler.split(".")
    program = f"import sys; sys.path += {[str(p) for p in path]}; import {module}; assert callable({module}.{function})"
    command = [sys.executable, "-I", "-S", "-c", program]
    result = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{handler}: {result.stderr}"


@pytest.fixture
def restarted(tmp_path: Path) -> Stack:
    """A stack of its own, up, then down, then up again, with one item in its table."""
    stack = Stack(tmp_path, build=BUILD, preferred_ports={})
    try:
        before = stack.up(Options(workers_ai_base_url=NO_MODEL))
        stack.client("dynamodb").put_item(TableName=before.table_name, Item=STATE)
        stack.down()
        assert not stack.ministack.running()
        assert stack.up(Options(workers_ai_base_url=NO_MODEL)) == before
        yield stack
    finally:
        stack.down()


STATE = {"pk": {"S": "CONV#kept"}, "sk": {"S": "STATE"}}


def test_data_and_urls_survive_down_and_up_and_the_janitor_still_hears_of_removals(restarted: Stack) -> None:
    dynamodb, table = restarted.client("dynamodb"), json.loads(restarted.endpoints_file.read_text())["table_name"]
    assert dynamodb.scan(TableName=table)["Items"] == [STATE]
    dynamodb.delete_item(TableName=table, Key=STATE)
    wait_until(lambda: Logs(restarted.client("logs"), restarted.name).lines("janitor"), "the janitor")


@pytest.mark.parametrize(
    ("moment", "end"), [("Building the functions ...", signal.SIGINT), ("Ctrl-C ends it", signal.SIGTERM)]
)
def test_run_ends_everything_it_started(tmp_path: Path, moment: str, end: signal.Signals) -> None:
    environment = os.environ | {"WORKERS_AI_BASE_URL": NO_MODEL}
    command = [sys.executable, "-m", "local", "--directory", str(tmp_path), "run"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if line.startswith(moment):
                run.send_signal(end)
    assert run.returncode == 0
    assert not Stack(tmp_path).ministack.running()
    assert not list(worker_processes(tmp_path, ""))
