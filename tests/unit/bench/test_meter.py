"""The meter, over moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from bench.meter import Meter
from tests.mocked_aws import mocked_aws
from tests.tables import create_table

TABLE = "conversations"
KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}


def new_client() -> Any:
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[Any, Any]]:
    """One that is watched, and one for the meter's own questions."""
    with mocked_aws():
        yield new_client(), new_client()


@pytest.fixture
def client(clients: tuple[Any, Any]) -> Iterator[Any]:
    create_table(clients[1], TABLE)
    yield clients[0]
    clients[1].delete_table(TableName=TABLE)


@pytest.fixture
def meter(client: Any, clients: tuple[Any, Any]) -> Iterator[Meter]:
    made = Meter(lambda: clients[1])
    with made.watching(client):
        yield made


def put(client: Any, sk: str, kilobytes: float) -> None:
    item = {"pk": {"S": "a"}, "sk": {"S": sk}, "text": {"S": "x" * int(kilobytes * 1024)}}
    client.put_item(TableName=TABLE, Item=item)


def test_a_put_is_charged_by_the_larger_item(client, meter):
    put(client, "1", 2.5)
    assert meter.take().write_units == 3
    put(client, "1", 0.1)
    assert meter.take().write_units == 3
    put(client, "1", 0.1)
    assert meter.take().write_units == 1


def test_an_update_is_charged_by_the_whole_item(client, meter):
    put(client, "1", 4.5)
    meter.take()
    client.update_item(
        TableName=TABLE, Key=KEY, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": "1"}}
    )
    count = meter.take()
    assert (count.write_units, count.read_units) == (5, 0)


def test_a_deletion_is_charged_by_what_it_deletes(client, meter):
    put(client, "1", 1.5)
    meter.take()
    client.delete_item(TableName=TABLE, Key=KEY)
    assert meter.take().write_units == 2


def test_a_transaction_is_charged_twice_for_each_of_its_items(client, meter):
    put(client, "2", 1.5)
    meter.take()
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": TABLE, "Item": KEY}},
            {"Delete": {"TableName": TABLE, "Key": KEY | {"sk": {"S": "2"}}}},
        ]
    )
    count = meter.take()
    assert (count.write_units, count.requests) == (2 * 1 + 2 * 2, {"dynamodb.TransactWriteItems": 1})


def test_a_refused_write_is_charged_by_what_refused_it(client, meter):
    put(client, "1", 2.5)
    meter.take()
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(TableName=TABLE, Item=KEY, ConditionExpression="attribute_not_exists(pk)")
    assert meter.take().write_units == 3


def test_a_batch_is_charged_item_by_item(client, meter):
    requests = [{"PutRequest": {"Item": KEY | {"sk": {"S": str(n)}}}} for n in range(3)]
    client.batch_write_item(RequestItems={TABLE: requests})
    assert meter.take().write_units == 3


@pytest.mark.parametrize(("consistent", "units"), [(True, 2), (False, 1)])
def test_a_read_is_charged_by_its_item(client, meter, consistent, units):
    put(client, "1", 5)
    meter.take()
    client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=consistent, ProjectionExpression="pk")
    assert meter.take().read_units == units


def test_a_query_is_charged_for_all_that_it_reads_and_not_for_what_it_shows(client, meter):
    for n in range(4):
        put(client, str(n), 3)
    meter.take()
    client.query(
        TableName=TABLE,
        KeyConditionExpression="#pk = :pk AND sk > :low",
        FilterExpression="attribute_not_exists(#text) OR sk = :none",
        ProjectionExpression="#pk, #text",
        ExpressionAttributeNames={"#pk": "pk", "#text": "text"},
        ExpressionAttributeValues={":pk": {"S": "a"}, ":low": {"S": "0"}, ":none": {"S": "none"}},
        ConsistentRead=True,
    )
    assert meter.take().read_units == 3  # 9 KB and a little


def test_a_query_that_is_limited_reads_no_further(client, meter):
    for n in range(4):
        put(client, str(n), 3)
    meter.take()
    values = {":pk": {"S": "a"}}
    client.query(TableName=TABLE, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values, Limit=1)
    assert meter.take().read_units == 0.5


def test_what_it_asks_itself_is_not_counted(client, meter):
    put(client, "1", 1)
    assert meter.take().requests == {"dynamodb.PutItem": 1}


def test_fixtures_are_not_counted(client, meter):
    with meter.paused():
        put(client, "1", 1)
    count = meter.take()
    assert (count.dynamodb_requests, count.write_units) == (0, 0)


def test_an_unknown_operation_is_an_error(client, meter):
    with pytest.raises(ValueError, match="Scan"):
        client.scan(TableName=TABLE)
