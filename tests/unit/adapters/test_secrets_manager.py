"""Secrets, read when first needed."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber

from copilotedge.adapters.secrets_manager import Secret
from copilotedge.adapters.workers_ai.failures import no_token
from copilotedge.errors import ModelNotAllowed

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:token-AbCdEf"


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client(
        "secretsmanager", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield stub
    stub.assert_no_pending_responses()
    client.close()


def holds(stub: Stubber, value: str) -> None:
    stub.add_response("get_secret_value", {"SecretString": value}, {"SecretId": ARN})


async def test_a_secret_is_read_when_first_needed_and_kept(stub):
    holds(stub, "t0ken")
    secret = Secret(stub.client, ARN, no_token)
    assert [await secret(), await secret()] == ["t0ken", "t0ken"]


async def test_a_rotated_secret_is_read_again_on_demand(stub):
    for value in ("old", "new"):
        holds(stub, value)
    secret = Secret(stub.client, ARN, no_token)
    assert [await secret(), await secret(refresh=True), await secret()] == ["old", "new", "new"]


async def test_a_secret_that_could_not_be_read_is_asked_for_again(stub):
    stub.add_client_error("get_secret_value", "InternalServiceError")
    holds(stub, "t0ken")
    secret = Secret(stub.client, ARN, no_token)
    with pytest.raises(ModelNotAllowed):
        await secret()
    assert await secret() == "t0ken"
