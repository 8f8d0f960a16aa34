"""Clients of AWS: what they share, and how long they wait."""

from __future__ import annotations

import boto3
import pytest

from copilotedge.adapters import aws


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.mark.parametrize("service", aws.SERVICES)
def test_every_service_is_the_one_that_boto3_knows(service):
    ours, boto3s = aws.client(service, read_timeout=5, attempts=3), boto3.client(service)
    assert ours.meta.service_model.api_version == boto3s.meta.service_model.api_version
    assert ours.meta.endpoint_url == boto3s.meta.endpoint_url
    assert set(ours.meta.method_to_api_mapping) == set(boto3s.meta.method_to_api_mapping)


def test_a_client_waits_and_tries_as_often_as_it_is_told():
    config = aws.client("dynamodb", read_timeout=4, attempts=2).meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (2, 4, aws.CONNECTIONS)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}


def test_an_endpoint_may_be_named():
    client = aws.client("apigatewaymanagementapi", read_timeout=5, attempts=1, endpoint_url="https://x.test/live")
    assert client.meta.endpoint_url == "https://x.test/live"


def test_another_service_is_not_found():
    with pytest.raises(Exception, match="Unknown service: 's3'"):
        aws.client("s3", read_timeout=5, attempts=1)
