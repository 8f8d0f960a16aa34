"""DynamoDB for the tests of its adapters: moto's, and one that answers as it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.mocked_aws import mocked_aws
from tests.tables import create_table


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    """One client for all tests of a module: to make one takes longer than to run any of them."""
    with mocked_aws():
        client = boto3.client("dynamodb", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        yield client
        client.close()


@pytest.fixture
def stub(dynamodb: Any) -> Iterator[Stubber]:
    with Stubber(dynamodb) as stub:
        yield stub
    stub.assert_no_pending_responses()


@pytest.fixture
def table(dynamodb: Any) -> Iterator[str]:
    name = create_table(dynamodb)
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def requests(dynamodb: Any, table: str) -> Iterator[Counter[str]]:
    """Counts what the table is asked."""
    counted: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        counted.update([model.name])

    dynamodb.meta.events.register("before-call.dynamodb", count)
    yield counted
    dynamodb.meta.events.unregister("before-call.dynamodb", count)
