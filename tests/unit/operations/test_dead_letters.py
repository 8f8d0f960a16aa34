"""Dead letters, in moto's queue: both kinds of Lambda's records."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from samtranslator.yaml_helper import yaml_parse

from local.places import TEMPLATE
from operations.__main__ import main
from operations.dead_letters import (
    EMPTY_PAGES,
    EXPIRED,
    HIDDEN_SECONDS,
    JANITOR_SECONDS,
    PAUSE_SECONDS,
    UNREAD,
    DeadLetters,
)
from operations.stacks import DeployedStack

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
RUN_TURN = {"action": "run_turn", "conversationId": "alice/secret-plans", "turnId": "t1"}
BATCH = {
    "shardId": "s",
    "startSequenceNumber": "7",
    "endSequenceNumber": "12",
    "streamArn": "arn:stream",
    "batchSize": 2,
}


class Lambda:
    """Remembers what it is asked to run. ``failing`` functions answer with an error."""

    def __init__(self) -> None:
        self.invocations: list[dict[str, Any]] = []
        self.answer: Any = {"batchItemFailures": []}
        self.error: dict[str, str] = {}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.invocations.append(asked | {"Payload": json.loads(asked["Payload"])})
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode()), **self.error}


class Streams:
    """A shard of the table's stream: two pages, the last of which goes on behind the batch."""

    def __init__(self) -> None:
        self.trimmed = self.expired = ""
        self.pages: dict[str, tuple[list[dict[str, Any]], str | None]] = {
            "first": ([change("7"), change("8", sk="MSG#1")], "second"),
            "second": ([change("12"), change("13")], "third"),
        }

    def get_shard_iterator(self, **asked: str) -> dict[str, str]:
        if self.trimmed:
            raise ClientError({"Error": {"Code": self.trimmed, "Message": ""}}, "GetShardIterator")
        assert asked["SequenceNumber"] == "7"
        return {"ShardIterator": "first"}

    def get_records(self, **asked: str) -> dict[str, Any]:
        if self.expired:
            raise ClientError({"Error": {"Code": self.expired, "Message": ""}}, "GetRecords")
        records, following = self.pages[asked["ShardIterator"]]
        return {"Records": records, "NextShardIterator": following}


def change(number: str, sk: str = "STATE") -> dict[str, Any]:
    keys = {"pk": {"S": f"CONV#alice/{number}"}, "sk": {"S": sk}}
    return {"eventID": number, "eventName": "REMOVE", "dynamodb": {"Keys": keys, "SequenceNumber": number}}


def asynchronous(payload: dict[str, Any] = RUN_TURN, function: str = "shop-turn-worker:live") -> dict[str, Any]:
    context = {"functionArn": ARN + function, "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    failure = {"errorType": "KeyError", "errorMessage": "what a user wrote"}
    return {"version": "1.0", "requestContext": context, "requestPayload": payload, "responsePayload": failure}


def of_the_stream() -> dict[str, Any]:
    context = {"functionArn": f"{ARN}shop-janitor", "condition": "RetryAttemptsExhausted"}
    return {"version": "1.0", "requestContext": context, "DDBStreamBatchInfo": BATCH}


@pytest.fixture
def functions(aws):
    aws.clients["lambda"] = Lambda()
    return aws.clients["lambda"]


@pytest.fixture
def streams(aws):
    aws.clients["dynamodbstreams"] = Streams()
    return aws.clients["dynamodbstreams"]


def put(aws, *records: object) -> None:
    for record in records:
        body = record if isinstance(record, str) else json.dumps(record)
        aws.client("sqs").send_message(QueueUrl=aws.stack.output("FailedEventsQueueUrl"), MessageBody=body)


def left(aws) -> int:
    return len(DeadLetters(aws.stack).listed())


def test_they_are_listed_without_what_is_in_them_and_stay(aws, capsys):
    put(aws, asynchronous(), of_the_stream())
    for _ in range(2):
        assert main(["dead-letters"], aws.find) == 0
        told = capsys.readouterr().out
        assert "shop-turn-worker  run_turn  RetriesExhausted  KeyError  conversation=" in told
        assert "shop-janitor  stream batch  RetryAttemptsExhausted" in told
        assert "2 dead letters" in told
        assert not {word for word in ("alice", "secret-plans", "what a user wrote") if word in told}


def test_an_asynchronous_event_goes_to_the_alias_of_its_function_and_is_deleted(aws, functions, capsys):
    put(aws, asynchronous(RUN_TURN | {"begun": {"messages": ["what a user wrote"]}}))
    assert main(["redrive"], aws.find) == 0
    [sent] = functions.invocations
    assert sent == {"FunctionName": "shop-turn-worker:live", "InvocationType": "Event", "Payload": RUN_TURN}
    assert "1 dead letters are gone" in capsys.readouterr().out
    assert left(aws) == 0


def test_more_letters_than_one_receive_gives_are_all_sent(aws, functions):
    put(aws, *[asynchronous({"action": "sweep", "conversationId": str(number)}) for number in range(23)])
    assert main(["redrive"], aws.find) == 0
    assert len(functions.invocations) == 23
    assert left(aws) == 0


def test_a_batch_of_the_stream_is_read_again_as_far_as_it_went(aws, functions, streams):
    put(aws, of_the_stream())
    assert main(["redrive"], aws.find) == 0
    [sent] = functions.invocations
    assert sent["FunctionName"] == "shop-janitor:live"
    numbers = [record["dynamodb"]["SequenceNumber"] for record in sent["Payload"]["Records"]]
    assert numbers == ["7", "12"]  # not the message's, and not the one behind the batch
    assert left(aws) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [({"batchItemFailures": [{"itemIdentifier": "7"}]}, {}), ({"errorType": "x"}, {"FunctionError": "Unhandled"})],
)
def test_a_batch_that_fails_again_stays(aws, functions, streams, capsys, answer, error):
    functions.answer, functions.error = answer, error
    put(aws, of_the_stream())
    assert main(["redrive"], aws.find) == 1
    assert "failed again" in capsys.readouterr().out
    assert left(aws) == 1


def test_a_batch_whose_records_are_gone_is_given_up(aws, functions, streams, capsys):
    streams.trimmed = "TrimmedDataAccessException"
    put(aws, of_the_stream())
    assert main(["redrive"], aws.find) == 0
    assert EXPIRED in capsys.readouterr().out
    assert (functions.invocations, left(aws)) == ([], 0)


def test_pages_without_records_are_gone_through(aws, functions, streams):
    put(aws, of_the_stream())
    streams.pages |= {"first": ([], "empty"), "empty": ([], "full"), "full": ([change("7")], "gap")}
    streams.pages["gap"] = ([], "second")
    pauses: list[float] = []
    assert [replay.done for replay in DeadLetters(aws.stack, pauses.append).replay()] == [True]
    [sent] = functions.invocations
    assert [record["dynamodb"]["SequenceNumber"] for record in sent["Payload"]["Records"]] == ["7", "12"]
    assert len(pauses) == 3
    assert left(aws) == 0


@pytest.mark.parametrize("following", [None, "second"])
def test_a_batch_that_is_not_read_to_its_end_stays(aws, functions, streams, following):
    put(aws, of_the_stream())
    streams.pages["second"] = ([], following)
    pauses: list[float] = []
    [replay] = DeadLetters(aws.stack, pauses.append).replay()
    assert (replay.done, replay.outcome) == (False, UNREAD)
    assert len(pauses) == (EMPTY_PAGES if following else 1)
    assert (functions.invocations, left(aws)) == ([], 1)


def test_an_iterator_that_has_expired_keeps_its_letter(aws, functions, streams, capsys):
    streams.expired = "ExpiredIteratorException"
    put(aws, of_the_stream())
    assert main(["redrive"], aws.find) == 1
    assert UNREAD in capsys.readouterr().out
    assert (functions.invocations, left(aws)) == ([], 1)


def test_users_are_forgotten_only_when_that_is_asked_for(aws, functions, capsys):
    forget = {"action": "forget_user", "user": "alice"}
    put(aws, asynchronous(forget))
    assert main(["redrive"], aws.find) == 1
    told = capsys.readouterr().out
    assert "FORGET=1" in told
    assert "alice" not in told
    assert (functions.invocations, left(aws)) == ([], 1)
    assert main(["redrive", "--forget"], aws.find) == 0
    assert [sent["Payload"] for sent in functions.invocations] == [forget]
    assert left(aws) == 0


def test_after_a_letter_that_cannot_be_sent_the_others_are(aws, functions, monkeypatch, capsys):
    put(aws, *[asynchronous({"action": "sweep", "conversationId": str(number)}) for number in range(3)])
    send, broken = functions.invoke, [ReadTimeoutError(endpoint_url="http://lambda")]

    def invoke(**asked: Any) -> dict[str, Any]:
        if broken:
            raise broken.pop()
        return send(**asked)

    monkeypatch.setattr(functions, "invoke", invoke)
    assert main(["redrive"], aws.find) == 1
    assert "Read timeout" in capsys.readouterr().out
    assert (len(functions.invocations), left(aws)) == (2, 1)


def test_the_janitor_may_take_its_time_and_is_not_asked_twice(aws, functions):
    asked: dict[str, Any] = {}

    def client(service: str, **options: Any) -> Any:
        asked[service] = options
        return aws.client(service)

    DeadLetters(DeployedStack("shop", "on AWS", client))
    patience = asked["lambda"]["config"]
    assert (
        patience.read_timeout
        > yaml_parse(TEMPLATE.read_text())["Resources"]["JanitorFunction"]["Properties"]["Timeout"]
    )
    assert patience.retries == {"total_max_attempts": 1}


def test_a_letter_is_hidden_from_when_its_turn_comes(aws, functions, monkeypatch):
    queue, received = aws.client("sqs"), []
    queue.meta.events.register("provide-client-params.sqs.ReceiveMessage", lambda params, **_: received.append(params))
    put(aws, asynchronous(), asynchronous())
    list(DeadLetters(aws.stack).replay())
    assert {asked["MaxNumberOfMessages"] for asked in received} == {1}
    assert {asked["VisibilityTimeout"] for asked in received} == {HIDDEN_SECONDS}
    assert HIDDEN_SECONDS > JANITOR_SECONDS + EMPTY_PAGES * PAUSE_SECONDS


def test_a_stream_that_cannot_be_read_keeps_its_letter(aws, functions, streams):
    streams.trimmed = "AccessDeniedException"
    put(aws, of_the_stream())
    assert main(["redrive"], aws.find) == 1
    assert left(aws) == 1


@pytest.mark.parametrize(
    "record", ["no JSON", "[]", "{}", json.dumps(asynchronous(function="another-stack-turn-worker"))]
)
def test_what_is_not_this_stacks_is_left_alone(aws, functions, capsys, record):
    put(aws, record)
    assert main(["redrive"], aws.find) == 1
    assert "left alone" in capsys.readouterr().out
    assert (functions.invocations, left(aws)) == ([], 1)


def test_a_letter_that_comes_back_meanwhile_is_left_for_the_next_time(aws, functions):
    put(aws, asynchronous())
    letters = DeadLetters(aws.stack)
    replays = letters.replay()
    functions.invoke = lambda **_: put(aws, asynchronous())  # fails again at once
    assert [replay.done for replay in replays] == [True, False]
    assert left(aws) == 1
