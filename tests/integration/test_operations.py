"""What operators do, on the deployed stack: dead letters sent again, a deployment taken back."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from operations.__main__ import main
from tests.clients import new_conversation
from tests.stack import DeployedStack, key_of, rows_of, wait_until

MESSAGE = "MSG#0000000000#0000000001"


def operate(stack: DeployedStack, *command: str) -> int:
    """Exit status of ``python -m operations``."""
    return main(["--directory", str(stack.local.directory), *command])


def leave_behind(stack: DeployedStack, key: str) -> None:
    """An item of a conversation that is no more."""
    item = {"pk": {"S": f"CONV#{key}"}, "sk": {"S": MESSAGE}}
    stack.client("dynamodb").put_item(TableName=stack.table_name, Item=item)


def test_an_event_that_failed_for_good_is_done_once_it_is_sent_again(
    stack: DeployedStack, capsys: pytest.CaptureFixture[str]
):
    key = key_of(new_conversation("redriven"))
    leave_behind(stack, key)
    letter = f"conversation={hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def listed() -> bool:
        assert operate(stack, "dead-letters") == 0
        return letter in capsys.readouterr().out

    with stack.settings("turn-worker", LEASE_SECONDS="no number"):
        stack.invoke("turn-worker", {"action": "sweep", "conversationId": key}, wait=False)
        wait_until(listed, "the event to be given up")
    assert rows_of(stack, key) == {MESSAGE}
    operate(stack, "redrive")
    assert letter in capsys.readouterr().out
    wait_until(lambda: rows_of(stack, key) == set(), "what was left behind to be deleted")
    assert not listed()


def test_a_batch_of_the_stream_is_read_again_and_done(stack: DeployedStack, capsys: pytest.CaptureFixture[str]):
    """MiniStack never gives a batch up, so the letter is written here: of a record that is in the stream."""
    conversation = new_conversation("redriven")
    key = key_of(conversation)
    with stack.rest() as rest:
        rest.chat("Hello", conversation)
        rest.client.delete(f"conversation/{conversation}")
    wait_until(lambda: rows_of(stack, key) == set(), "the janitor")
    leave_behind(stack, key)
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["FailedEventsQueueUrl"], MessageBody=json.dumps(letter_about(stack, key))
    )
    operate(stack, "redrive")
    assert "done again, 1 records" in capsys.readouterr().out
    assert rows_of(stack, key) == set()


def letter_about(stack: DeployedStack, key: str) -> dict[str, object]:
    """What Lambda would tell of the end of this conversation's state, had the janitor failed at it."""
    streams = stack.client("dynamodbstreams")
    arn = stack.client("dynamodb").describe_table(TableName=stack.table_name)["Table"]["LatestStreamArn"]
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                change = record["dynamodb"]
                if record["eventName"] == "REMOVE" and change["Keys"] == state_key(key):
                    number = change["SequenceNumber"]
                    batch = {"startSequenceNumber": number, "endSequenceNumber": number, "batchSize": 1}
                    function = f"arn:aws:lambda:us-east-1:000000000000:function:{stack.function_name('janitor')}"
                    context = {"functionArn": function, "condition": "RetryAttemptsExhausted"}
                    place = {"shardId": shard["ShardId"], "streamArn": arn}
                    return {"version": "1.0", "requestContext": context, "DDBStreamBatchInfo": batch | place}
            iterator = page["Records"] and page.get("NextShardIterator")
    raise AssertionError("The stream has no such record")


def state_key(key: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"CONV#{key}"}, "sk": {"S": "STATE"}}


def test_new_settings_alone_are_a_release_that_a_rollback_takes_back(
    stack: DeployedStack, capsys: pytest.CaptureFixture[str]
):
    deploy_parameters(stack, PageNotice="Summer is here", Release="summer")
    assert "Summer is here" in page_of(stack)
    assert operate(stack, "rollback") == 0
    assert "(summer) -> " in capsys.readouterr().out
    assert "Summer is here" not in page_of(stack)
    with stack.socket(new_conversation()) as socket:
        assert socket.ask("Hello?") == "You said: Hello?"
    deploy_parameters(stack, PageNotice="", Release="autumn")


def page_of(stack: DeployedStack) -> str:
    return httpx.get(stack.http_url + "/", timeout=60).text


def deploy_parameters(stack: DeployedStack, **parameters: str) -> None:
    """What SAM CLI does when nothing else is new, without building and uploading all again."""
    cloudformation = stack.client("cloudformation")

    def deployed() -> dict[str, Any]:
        return cloudformation.describe_stacks(StackName=stack.local.name)["Stacks"][0]

    names = {found["ParameterKey"] for found in deployed()["Parameters"]}
    cloudformation.update_stack(
        StackName=stack.local.name,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": parameters[name]}
            if name in parameters
            else {"ParameterKey": name, "UsePreviousValue": True}
            for name in names
        ],
    )
    wait_until(lambda: deployed()["StackStatus"] == "UPDATE_COMPLETE", "the deployment")
