"""Lambda authorizer: tells the gateway who knocks and which conversation they mean.

Everybody may enter for now, so it only names the conversation; API Gateway hands its context to every later event of
the socket.
"""

from __future__ import annotations

import os
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a WebSocket ``$connect`` (REQUEST authorizer) with an allowing policy and its context."""
    query = event.get("queryStringParameters") or {}
    conversation_id = query.get("conversationId") or os.environ.get("DEFAULT_CONVERSATION_ID", "")
    return {
        "principalId": "anonymous",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}],
        },
        "context": {"user": "anonymous", "conversationId": conversation_id[:129]},
    }
