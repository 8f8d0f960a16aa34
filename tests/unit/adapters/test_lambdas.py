"""Waking the turn worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from copilotedge import parcels
from copilotedge.adapters.lambdas import TurnWorker
from copilotedge.errors import StoreUnavailable
from copilotedge.models import Message, Snapshot
from copilotedge.transitions.steps import Rules, born

KEYS = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client("lambda", **KEYS)
    with Stubber(client) as stub:
        yield stub
    stub.assert_no_pending_responses()
    client.close()


def expect(stub: Stubber, event: dict[str, Any]) -> None:
    payload = json.dumps(event, ensure_ascii=False).encode()
    sent = {"FunctionName": "worker", "InvocationType": "Event", "Payload": payload}
    stub.add_response("invoke", {"StatusCode": 202}, sent)


async def test_a_turn_is_given_to_the_worker_asynchronously(stub):
    expect(stub, {"action": "run_turn", "conversationId": "c1", "turnId": "t1"})
    await TurnWorker(stub.client, "worker").run_turn("c1", "t1")


async def test_the_worker_learns_which_socket_must_hear_it(stub):
    expect(
        stub, {"action": "run_turn", "conversationId": "c1", "turnId": "t1", "connectionId": "a=", "tokenExpires": 9}
    )
    await TurnWorker(stub.client, "worker").run_turn("c1", "t1", "a=", 9)


def begun_with(text: str) -> Snapshot:
    return Snapshot(born(Rules(), 0), messages=(Message(1, "user", text, 0, "m1"),), connections=())


async def test_the_worker_is_spared_to_read_what_is_known(stub):
    begun = begun_with("Grüße 🎉")
    expect(stub, {"action": "run_turn", "conversationId": "c1", "turnId": "t1", "begun": parcels.pack(begun)})
    await TurnWorker(stub.client, "worker").run_turn("c1", "t1", begun=begun)


async def test_a_history_that_is_too_long_for_an_event_is_read_by_the_worker(stub):
    expect(stub, {"action": "run_turn", "conversationId": "c1", "turnId": "t1"})
    await TurnWorker(stub.client, "worker").run_turn("c1", "t1", begun=begun_with("🎉" * 50_000))


async def test_a_sweep_is_given_to_the_worker(stub):
    expect(stub, {"action": "sweep", "conversationId": "c1"})
    await TurnWorker(stub.client, "worker").sweep("c1")


async def test_a_worker_is_asked_for_a_title(stub):
    expect(stub, {"action": "entitle", "conversationId": "c1"})
    await TurnWorker(stub.client, "worker").entitle("c1")


async def test_a_worker_is_asked_to_stand_by(stub):
    expect(stub, {"action": "stand_by", "conversationId": "c1"})
    await TurnWorker(stub.client, "worker").stand_by("c1")


async def test_a_worker_that_refuses_is_unavailable(stub):
    stub.add_client_error("invoke", "TooManyRequestsException", "inside story")
    with pytest.raises(StoreUnavailable) as caught:
        await TurnWorker(stub.client, "worker").sweep("c1")
    assert (caught.value.code, caught.value.retry_after) == ("worker_unavailable", 1)
    assert "inside" not in caught.value.message


async def test_a_worker_out_of_reach_is_unavailable():
    class Unreachable:
        def invoke(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="https://lambda")

    with pytest.raises(StoreUnavailable):
        await TurnWorker(Unreachable(), "worker").sweep("c1")
