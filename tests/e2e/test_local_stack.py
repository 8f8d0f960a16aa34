"""The local stack itself: what it says of itself, what it keeps, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml

from local.endpoints import Endpoints
from local.options import Options
from local.stack import Stack
from tests.stack import BUILD, DeployedStack, own_ports, sole_builder, wait_until, worker_processes

LAMBDA_BRINGS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")
STARTED_BY = {"stream_api.sh": "stream_api.app"}
SETTINGS = {"AWS_DEFAULT_REGION": "us-east-1", "TOKEN_ISSUER": "somebody", "WEBSOCKET_ENDPOINT": "http://127.0.0.1:9"}
"""Without which no function starts: it makes its clients at once."""
BRIEF = {"MaxAnswerTokens": "16"}
"""An answer of the small model that a REST caller need not wait for on a busy machine."""
NO_MODEL = "http://127.0.0.1:9/nobody"  # port 9 discards: no test here asks the model


def test_the_endpoints_file_names_every_way_in(stack: DeployedStack) -> None:
    endpoints = json.loads(stack.local.endpoints_file.read_text())
    assert set(endpoints) == {
        "http_url",
        "stream_url",
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
    response = httpx.options(stack.http_url + "/api/copilotedge", headers=headers, timeout=60)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (204, "*")


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
    link_what_lambda_brings(tmp_path)
    with sole_builder():
        resources = yaml.safe_load((stack.local.sam.output / "template.yaml").read_text())["Resources"]
        for name, resource in resources.items():
            if resource["Type"] == "AWS::Serverless::Function":
                path = [stack.local.sam.output / "VendorLayer" / "python", stack.local.sam.output / name, tmp_path]
                import_alone(resource["Properties"]["Handler"], path)


def link_what_lambda_brings(directory: Path) -> None:
    site_packages = Path(boto3.__file__).parent.parent
    for package in LAMBDA_BRINGS:
        (directory / package).symlink_to(site_packages / package)


def import_alone(handler: str, path: list[Path]) -> None:
    module, function = STARTED_BY.get(handler, handler).split(".")
    program = f"import sys; sys.path += {[str(p) for p in path]}; import {module}; assert callable({module}.{function})"
    command = [sys.executable, "-I", "-S", "-c", program]
    result = subprocess.run(command, env=SETTINGS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{handler}: {result.stderr}"


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of the test's own, with the real small model, to be started and ended as it likes."""
    stack = Stack(tmp_path, build=BUILD, preferred_ports=own_ports())
    yield stack
    stack.down()


def up(stack: Stack) -> Endpoints:
    with sole_builder():
        return stack.up(Options(parameters=BRIEF))


def test_a_conversation_with_the_small_model_survives_down_and_up(own_stack: Stack) -> None:
    before = up(own_stack)
    answer = chat(before, "kept", "Hello!")
    own_stack.down()
    assert not own_stack.ministack.running()
    after = up(own_stack)
    assert replace(after, token=before.token) == before  # which is still good:
    assert [message["content"] for message in history(before, "kept")] == ["Hello!", answer]
    remove_state(own_stack.client("dynamodb"), after.table_name)
    wait_until(lambda: not left(own_stack.client("dynamodb"), after.table_name), "the janitor to clean up")


def chat(endpoints: Endpoints, conversation: str, text: str) -> str:
    body = {"conversationId": conversation, "messages": [{"role": "user", "content": text}]}
    response = httpx.post(f"{endpoints.http_url}/api/copilotedge", json=body, headers=bearer(endpoints), timeout=60)
    assert response.status_code == 200, response.text
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


def history(endpoints: Endpoints, conversation: str) -> list[dict[str, Any]]:
    address = f"{endpoints.http_url}/conversation/{conversation}/messages"
    response = httpx.get(address, headers=bearer(endpoints), timeout=60)
    found: list[dict[str, Any]] = response.raise_for_status().json()["messages"]
    return found


def bearer(endpoints: Endpoints) -> dict[str, str]:
    return {"authorization": f"Bearer {endpoints.token}"}


def left(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    """Of all conversations."""
    return [item for item in items(dynamodb, table) if item["pk"]["S"].startswith("CONV#")]


def items(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dynamodb.scan(TableName=table)["Items"]
    return found


def remove_state(dynamodb: Any, table: str) -> None:
    """As DynamoDB does when the conversation has expired."""
    [state] = [item for item in items(dynamodb, table) if item["sk"]["S"] == "STATE"]
    dynamodb.delete_item(TableName=table, Key={"pk": state["pk"], "sk": state["sk"]})


@pytest.mark.parametrize(
    ("moment", "end"), [("Building the functions ...", signal.SIGINT), ("Ctrl-C ends it", signal.SIGTERM)]
)
def test_run_ends_everything_it_started(tmp_path: Path, moment: str, end: signal.Signals) -> None:
    environment = os.environ | {"WORKERS_AI_BASE_URL": NO_MODEL}
    command = [sys.executable, "-m", "local", "--directory", str(tmp_path), "run"]
    with sole_builder(), subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        said = []
        for line in run.stdout:
            said.append(line)
            if line.startswith(moment):
                run.send_signal(end)
    assert run.returncode == 0, "".join(said)
    assert not Stack(tmp_path).ministack.running()
    assert not list(worker_processes(tmp_path, ""))
