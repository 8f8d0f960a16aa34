"""Lambda that runs turns, invoked asynchronously: Lambda repeats a failed event twice, then sends it to the queue."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from copilotedge import correlation, parcels
from copilotedge.wiring import Application, application, now

MARGIN_MS = 15_000
"""Kept of the function's time for ending a turn in good order."""


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    with correlation.work():
        handle(application(), event, context)


def handle(app: Application, event: dict[str, Any], context: LambdaContext) -> None:
    """Run the turns of a conversation, stand by while another does, sweep it, give it a title, or forget a user.

    The turn that is claimed need not be the event's any more: a worker that died may have begun the next one.

    Events: ``{"action": "forget_user", "user"}``; and with a ``conversationId``
    ``{"action": "run_turn", "turnId", "connectionId"?, "tokenExpires"?, "begun"?}`` (see ``parcels``),
    ``{"action": "stand_by"}``, ``{"action": "sweep"}`` and ``{"action": "entitle"}``. Raises on anything unforeseen,
    for Lambda to repeat the event; doing the same twice is harmless.
    """
    if event["action"] == "forget_user":
        app.log.info("user_forgotten", conversations=app.run(app.users.forget(event["user"])))
        return
    conversation_id = event["conversationId"]
    if event["action"] == "sweep":
        deleted = app.run(app.store.sweep(conversation_id)).deleted
        app.log.info("swept", conversation_id=conversation_id, deleted=deleted)
        return
    if event["action"] == "entitle":
        app.run(app.titles.entitle(conversation_id))
        return
    deadline = now() + context.get_remaining_time_in_millis() - MARGIN_MS
    if event["action"] == "stand_by":
        app.run(app.runner.stand_by(conversation_id, deadline))
        return
    app.run(_run_turn(app, event, context.aws_request_id, deadline))


async def _run_turn(app: Application, event: dict[str, Any], holder: str, deadline: int) -> None:
    correlation.follow(event["turnId"])
    begun = parcels.unpack(event["begun"]) if "begun" in event else None
    run = await app.runner.claim(event["conversationId"], holder, begun)
    if run is None:
        app.log.info("turn_not_claimed", conversation_id=event["conversationId"], turn_id=event["turnId"])
        return
    try:
        await app.runner.serve(run, deadline, event.get("connectionId", ""), event.get("tokenExpires", 0))
    except Exception:
        if run.turn.attempt >= app.settings.max_attempts:
            await app.runner.give_up(run)
        raise
