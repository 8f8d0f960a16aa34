"""Posting to sockets through API Gateway."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
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


@pytest.mark.parametrize("code", ["LimitExceededException", "ThrottlingException", "TooManyRequestsException"])
async def test_a_throttled_frame_is_posted_again_in_place(stub, code):
    refuse(stub, code, 429)
    refuse(stub, code, 429)
    stub.add_response("post_to_connection", {}, SENT)
    assert await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


async def test_a_socket_that_stays_throttled_is_an_error(stub):
    for _ in range(POST_TRIES):
        refuse(stub, "LimitExceededException", 429)
    with pytest.raises(OSError, match="throttles"):
        await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")


@pytest.mark.parametrize("code", ["ForbiddenException", "PayloadTooLargeException", "500"])
async def test_any_other_refusal_is_an_error_at_once(stub, code):
    refuse(stub, code)
    with pytest.raises(OSError, match=code) as caught:
        await WebSocketGateway(stub.client, ThreadPoolExecutor(1)).post("a=", b"{}")
    assert "inside" not in str(caught.value)


async def test_a_gateway_that_does_not_answer_is_an_error():
    class Silent:
        def post_to_connection(self, **_: object) -> None:
            raise ReadTimeoutError(endpoint_url="https://w")

    with pytest.raises(OSError, match="does not answer"):
        await WebSocketGateway(Silent(), ThreadPoolExecutor(1)).post("a=", b"{}")
