"""Lambda on the table's stream: when a conversation's state is removed (by TTL or deletion), the rest follows."""

from __future__ import annotations

from typing import Any

from copilotedge.errors import CopilotEdgeError
from copilotedge.models import Swept
from copilotedge.wiring import Application, application

TTL = "dynamodb.amazonaws.com"
"""Who removes what has expired, as the stream's records name it."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return handle(application(), event)


def handle(app: Application, event: dict[str, Any]) -> dict[str, Any]:
    """Sweep the conversation of every record; those that fail are reported for another try, with all after them."""
    lags: list[float] = []
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        keys = record["dynamodb"]["Keys"]
        conversation_id = keys["pk"]["S"].removeprefix("CONV#")
        try:
            swept = app.run(app.store.sweep(conversation_id))
        except CopilotEdgeError as exc:
            app.log.error("sweep_failed", conversation_id=conversation_id, error=exc.code)
            failed.append({"itemIdentifier": record["dynamodb"]["SequenceNumber"]})
            break
        app.log.info("swept", conversation_id=conversation_id, deleted=swept.deleted)
        lags += _lag(record, swept, app.settings.inactivity_ms)
    if lags:
        app.metrics.count({"ExpiredConversations": len(lags), "TtlLag": lags})
    return {"batchItemFailures": failed}


def _lag(record: dict[str, Any], swept: Swept, inactivity_ms: int) -> list[float]:
    """By how many seconds the state of an expired conversation outlived its time; none for one that was deleted.

    The record has keys alone, so its time is reckoned from the last message. What was done to a conversation after that
    (settings, members) let it live longer: then it seems to be late by as much.
    """
    if record.get("userIdentity", {}).get("principalId") != TTL or not swept.last_message_at:
        return []
    expired_at = (swept.last_message_at + inactivity_ms) / 1000
    return [max(0.0, float(record["dynamodb"]["ApproximateCreationDateTime"]) - expired_at)]
