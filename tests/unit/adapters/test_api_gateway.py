"""Posting to sockets through API Gateway."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from copilotedge.adapters import api_gateway
from copilotedge.adapters.api_gateway import POST_TRIES, WebSocketGateway

SENT = {"ConnectionId": "a=", "Data": b"{}"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_gateway, "_BACKOFF_SECONDS", 0.0001)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url="https://w.example.com/live",
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    with Stubber(client) as stub:
        yield stub
    stub.assert_no_pending_responses()
    client.close()


def refuse(stub: Stubber, code: str, status: int = 400) -> None:
    stub.add_client_error("post_to_connection", code, "inside story", http_status_code=status, expected_params=SENT)


async def test_a_frame_is_posted_to_its_socket(stub):
    stub.add_response("post_to_connection", {}, SENT)
    assert await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


@pytest.mark.parametrize("code", ["GoneException", "410"])
async def test_a_socket_that_is_gone_is_no_error(stub, code):
    refuse(stub, code, 410)
    assert not await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


@pytest.mark.parametrize(
    ("code", "status"),
    [("LimitExceededException", 429), ("429", 429), ("InternalServerError", 500), ("503", 503)],
)
async def test_a_frame_that_is_throttled_or_meets_a_fault_is_posted_again_in_place(stub, code, status):
    refuse(stub, code, status)
    refuse(stub, code, status)
    stub.add_response("post_to_connection", {}, SENT)
    assert await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


async def test_a_socket_that_stays_throttled_is_an_error(stub):
    for _ in range(POST_TRIES):
        refuse(stub, "LimitExceededException", 429)
    with pytest.raises(OSError, match="took no frame"):
        await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


@pytest.mark.parametrize("code", ["ForbiddenException", "PayloadTooLargeException", "400"])
async def test_any_other_refusal_is_an_error_at_once(stub, code):
    refuse(stub, code)
    with pytest.raises(OSError, match=code) as caught:
        await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")
    assert "inside" not in str(caught.value)


async def test_a_gateway_that_takes_its_time_to_fail_is_not_tried_as_often(stub, monkeypatch):
    monkeypatch.setattr(api_gateway, "POST_SECONDS", -1)
    refuse(stub, "InternalServerError", 500)
    with pytest.raises(OSError, match="in 1 tries"):
        await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


class Failing:
    """Raises the errors, one a post, and then takes frames."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def post_to_connection(self, **_: object) -> None:
        if self.errors:
            raise self.errors.pop(0)


@pytest.mark.parametrize("error", [ConnectionClosedError, EndpointConnectionError, ConnectTimeoutError])
async def test_a_frame_that_met_a_dead_connection_is_posted_over_another(error):
    client = Failing(error(endpoint_url="https://w"))
    assert await WebSocketGateway(client, ThreadPoolExecutor(1)).post("a=", b"{}")
    assert client.errors == []


async def test_a_gateway_that_does_not_answer_is_an_error_at_once_for_the_frame_may_have_been_sent():
    client = Failing(*[ReadTimeoutError(endpoint_url="https://w")] * 2)
    with pytest.raises(OSError, match="does not answer"):
        await WebSocketGateway(client, ThreadPoolExecutor(1)).post("a=", b"{}")
    assert len(client.errors) == 1
