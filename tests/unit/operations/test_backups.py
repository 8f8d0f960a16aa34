"""Backups and what comes back from them, in moto's DynamoDB."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from operations.__main__ import main
from operations.backups import Backups, moment_of
from operations.errors import OperationError

LATER, EARLIER = int(time.time()) + 86_400, int(time.time()) - 60


def put(aws, pk: str, sk: str, expires: int = LATER, **texts: str) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}, "expires_at": {"N": str(expires)}}
    texts_item = {name: {"S": text} for name, text in texts.items()}
    aws.client("dynamodb").put_item(TableName=aws.stack.output("TableName"), Item=item | texts_item)


def converse(aws, user: str, conversation: str, expires: int = LATER) -> None:
    """All kinds of items of a conversation."""
    pk = f"CONV#{user}/{conversation}"
    for sk in ("STATE", "SETTINGS", "MSG#0#1", "SOCKET#1", "DRAFT#t#1#0"):
        put(aws, pk, sk, expires, text=conversation)
    put(aws, f"USER#{user}", f"CONV#{conversation}", expires)
    put(aws, f"USER#{user}", "USAGE", expires)


def lose(aws) -> None:
    for key in rows(aws):
        pk, sk = ({"S": part} for part in key)
        aws.client("dynamodb").delete_item(TableName=aws.stack.output("TableName"), Key={"pk": pk, "sk": sk})


def rows(aws, table: str = "") -> set[tuple[str, str]]:
    found = aws.client("dynamodb").scan(TableName=table or aws.stack.output("TableName"))["Items"]
    return {(item["pk"]["S"], item["sk"]["S"]) for item in found}


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


@pytest.fixture
def protected(aws):
    aws.client("dynamodb").update_continuous_backups(
        TableName=aws.stack.output("TableName"),
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    return aws


def test_a_backup_is_restored_into_a_table_of_its_own(aws, capsys):
    converse(aws, "alice", "plans")
    before = rows(aws)
    assert main(["backup"], aws.find) == 0
    lose(aws)
    assert main(["restore", "--source", last_line(capsys)], aws.find) == 0
    restored = last_line(capsys)
    assert restored.startswith("shop-restored-")
    assert rows(aws, restored) == before
    assert rows(aws) == set()


def test_a_moment_is_restored_as_well(protected, capsys):
    converse(protected, "alice", "plans")
    assert main(["restore", "--source", "latest"], protected.find) == 0
    assert rows(protected, last_line(capsys)) == rows(protected)


def test_what_is_no_moment_is_refused(aws, capsys):
    assert main(["restore", "--source", "yesterday"], aws.find) == 1
    assert "neither a backup's ARN, nor latest" in capsys.readouterr().err
    with pytest.raises(OperationError):
        moment_of("")


def test_a_moment_without_a_zone_is_in_utc():
    assert moment_of("2026-11-22T20:00") == {"RestoreDateTime": datetime(2026, 11, 22, 20, tzinfo=UTC)}
    assert moment_of("2026-11-22T20:00Z") == moment_of("2026-11-22T21:00+01:00")


@pytest.fixture
def backup(aws) -> str:
    """A table with three conversations, one of which had ended; the stack's own is empty."""
    for user, conversation, expires in (
        ("alice", "plans", LATER),
        ("bob", "poems", LATER),
        ("bob", "ended", EARLIER),
    ):
        converse(aws, user, conversation, expires)
    restored = Backups(aws.stack).restore(Backups(aws.stack).back_up())
    lose(aws)
    return restored


def test_lost_conversations_come_back_without_what_has_passed(aws, backup, capsys):
    assert main(["recover", "--everybody", "--table", backup], aws.find) == 0
    assert rows(aws) == {
        ("CONV#alice/plans", "STATE"),
        ("CONV#alice/plans", "SETTINGS"),
        ("CONV#alice/plans", "MSG#0#1"),
        ("CONV#bob/poems", "STATE"),
        ("CONV#bob/poems", "SETTINGS"),
        ("CONV#bob/poems", "MSG#0#1"),
        ("USER#alice", "CONV#plans"),
        ("USER#bob", "CONV#poems"),
    }
    told = capsys.readouterr().out
    assert "2 conversations came back (8 items)" in told
    assert "1 had ended" in told


def test_a_conversation_that_is_there_stays_as_it_is(aws, backup, capsys):
    put(aws, "CONV#alice/plans", "STATE", text="newer")
    assert main(["recover", "--everybody", "--table", backup], aws.find) == 0
    assert {row for row in rows(aws) if row[0] == "CONV#alice/plans"} == {("CONV#alice/plans", "STATE")}
    assert "1 are still there" in capsys.readouterr().out


@pytest.mark.parametrize("user", ["bob", "bob/robert"])
def test_one_users_conversations_come_back_alone(aws, user):
    for other in ("bob", "bob/robert", "bobby"):
        converse(aws, other, "poems")
    backup = Backups(aws.stack).restore(Backups(aws.stack).back_up())
    lose(aws)
    assert main(["recover", "--user", user, "--table", backup], aws.find) == 0
    assert {pk for pk, _ in rows(aws)} == {f"CONV#{user}/poems", f"USER#{user}"}


def test_recovering_twice_changes_nothing(aws, backup):
    for _ in range(2):
        main(["recover", "--everybody", "--table", backup], aws.find)
    assert len(rows(aws)) == 8


def test_the_state_comes_last(aws, backup):
    written = []
    client = aws.client("dynamodb")
    client.meta.events.register(
        "provide-client-params.dynamodb.PutItem", lambda params, **_: written.append(params["Item"]["sk"]["S"])
    )
    main(["recover", "--everybody", "--table", backup], aws.find)
    conversations = [sk for sk in written if not sk.startswith("CONV#")]
    assert [conversations[2], conversations[5]] == ["STATE", "STATE"]


def test_a_table_that_dynamodb_does_not_tell_of_yet_is_waited_for(aws, monkeypatch):
    waits, client = [], aws.client("dynamodb")
    backups = Backups(aws.stack, waits.append)
    about, describe, answers = backups.back_up(), client.describe_table, ["not yet"]

    def forgetful(**names: str) -> object:
        if answers:
            raise client.exceptions.ResourceNotFoundException(
                {"Error": {"Code": "ResourceNotFoundException"}}, answers.pop()
            )
        return describe(**names)

    monkeypatch.setattr(client, "describe_table", forgetful)
    assert rows(aws, backups.restore(about)) == rows(aws)
    assert len(waits) == 1


def test_a_backup_that_takes_time_is_waited_for(aws):
    waits, answers = [], iter(["CREATING", "CREATING", "AVAILABLE"])
    backups = Backups(aws.stack, waits.append)
    client = aws.client("dynamodb")
    client.meta.events.register(
        "after-call.dynamodb.DescribeBackup",
        lambda parsed, **_: parsed["BackupDescription"]["BackupDetails"].update(BackupStatus=next(answers)),
    )
    backups.back_up()
    assert len(waits) == 2
