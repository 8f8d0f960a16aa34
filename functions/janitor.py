"""Lambda on the table's stream: when a conversation's state is removed (by TTL or deletion), the rest follows."""

from __future__ import annotations

from typing import Any

from copilotedge.errors import CopilotEdgeError
from copilotedge.wiring import Application, application


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return handle(application(), event)


def handle(app: Application, event: dict[str, Any]) -> dict[str, Any]:
    """Sweep the conversation of every record; those that fail are reported for another try, with all after them."""
    for record in event["Records"]:
        keys = record["dynamodb"]["Keys"]
        conversation_id = keys["pk"]["S"].removeprefix("CONV#")
        try:
            deleted = app.run(app.store.sweep(conversation_id))
        except CopilotEdgeError as exc:
            app.log.error("sweep_failed", conversation_id=conversation_id, error=exc.code)
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
        app.log.info("swept", conversation_id=conversation_id, deleted=deleted)
    return {"batchItemFailures": []}
