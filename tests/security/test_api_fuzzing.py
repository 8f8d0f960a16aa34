"""Requests that schemathesis makes of the served OpenAPI description: good ones, nearly good ones and bad ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from tests.clients import new_conversation
from tests.stack import DeployedStack

SEED = 4
CASES = 100
"""Of each operation, after those that cover its parameters one by one; about 1,900 requests in all."""
SECONDS = 1500
NOT_CHECKED = (
    "positive_data_acceptance",  # what is well-formed may still be refused, for instance before together with after
    "use_after_free",  # an id that is not in use, be it deleted or not, is an empty conversation
)

HOOKS = '''
import os

import schemathesis

EXISTING = os.environ["EXISTING_CONVERSATIONS"].split()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Of good requests, many go to conversations that exist, and chats end with a question, as they have to."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    number = len(repr(case.body)) + len(repr(case.path_parameters))
    name = EXISTING[number % len(EXISTING)]
    if number % 2 and "conversationId" in (case.path_parameters or {}):
        case.path_parameters["conversationId"] = name
    if case.path == "/api/copilotedge" and isinstance(case.body, dict):
        case.body["messages"] = [*case.body["messages"], {"role": "user", "content": "And you?"}]
        case.body["conversationId"] = name if number % 2 else None
'''


def test_no_request_breaks_the_api_and_every_answer_is_as_described(stack: DeployedStack, tmp_path: Path):
    user = "fuzzer"
    existing = [new_conversation("fuzz") for _ in range(3)]
    with stack.rest(user) as rest:
        for name in existing:
            assert rest.chat("Something to find", name).status_code == 200
    started = time.time()
    (tmp_path / "hooks.py").write_text(HOOKS)
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "EXISTING_CONVERSATIONS": " ".join(existing)}
    environment["PYTHONPATH"] = str(tmp_path)
    result = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis", "run", f"{stack.http_url}/openapi.json",
            "--url", stack.http_url,
            "--header", f"Authorization: Bearer {stack.token(user)}",
            "--seed", str(SEED),
            "--max-examples", str(CASES),
            "--workers", "1",  # CPython 3.11's ast is not safe in two threads at once
            "--exclude-checks", ",".join(NOT_CHECKED),
            "--request-timeout", "40",
            "--no-color",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2_000:]
    print(result.stdout[-2_000:])
    assert stack.troubles(started) == []


@pytest.mark.parametrize(
    "text",
    ["[Infinity, 1]", "[1e400, 1]", "[" * 5_000, "[1]", "{}", "null", '["a", "b"]', "[NaN, 1]"],
)
def test_a_cursor_that_is_none_of_ours_is_refused(stack: DeployedStack, text: str):
    with stack.rest() as rest:
        answer = rest.client.get("conversations", params={"cursor": urlsafe_b64encode(text.encode()).decode()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameter")
