"""The application of the handlers' tests: the real one, over moto's AWS and a scripted model server."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from copilotedge.settings import Settings
from copilotedge.wiring import Application
from tests.fakes import FakeGateway, FakeWaker
from tests.mocked_aws import mocked_aws
from tests.scripted_model import ScriptedModel
from tests.tables import create_table


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as server:
        yield server


@pytest.fixture
def app(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    model.reset()
    with mocked_aws():
        client = boto3.client("dynamodb")
        secret = boto3.client("secretsmanager").create_secret(Name="token", SecretString="t0ken")
        app = Application(
            Settings(
                table_name=create_table(client),
                api_token_secret_arn=secret["ARN"],
                workers_ai_base_url=model.base_url,
                websocket_endpoint="https://w1x2y3z4.execute-api.eu-central-1.amazonaws.com/live",
            )
        )
        app.gateway = FakeGateway()
        app.waker = FakeWaker()
        yield app
        app.close()
