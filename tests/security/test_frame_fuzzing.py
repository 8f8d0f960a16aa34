"""Five thousand frames, few of which are what they should be, on a handful of sockets."""

from __future__ import annotations

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from copilotedge import frames as protocol
from copilotedge.errors import InvalidRequest
from copilotedge.frame_requests import ChatFrame, parse_frame
from copilotedge.settings import Settings
from tests.clients import Socket, new_conversation
from tests.integration.test_websocket import rows
from tests.stack import DeployedStack, wait_until

FRAMES, BATCH, SOCKETS = 5_000, 50, 3
KEYS = re.compile(r"STATE|SETTINGS|QUEUE#.+|MSG#\d{13}-[0-9a-f]{8}#\d{10}|ID#[!-~]{1,128}|SOCKET#.+")
"""All that a conversation's partition may hold."""

COMMANDS = ("get_history", "clear_history", "cancel", "regenerate", "resume", "ping")
HUGE = st.sampled_from([10**12, 10**13, 2**63, 10**40, 10**400, -1, -(10**40), 1e308, 0.5])
SCALARS = st.none() | st.booleans() | st.integers(-5, 200) | HUGE | st.text(max_size=20) | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = ("limit", "before", "afterSeq", "epoch", "turnId", "offset", "attempt", "messageId")
IDS = st.text("abc#/~!", min_size=1, max_size=5)

CHATS = st.fixed_dictionaries({"type": st.just("chat"), "role": st.just("user"), "content": st.text(max_size=60)})
CHATS_WITH_IDS = st.builds(lambda frame, name: frame | {"id": name}, CHATS, IDS)
ORDERS = st.fixed_dictionaries(
    {"type": st.just("system"), "content": st.sampled_from(COMMANDS)},
    optional={"metadata": st.dictionaries(st.sampled_from(NAMES), SCALARS | IDS, max_size=4)},
)
ALMOST = st.builds(
    lambda frame, name, value: frame | {name: value},
    CHATS | ORDERS,
    st.sampled_from(["type", "role", "content", "id", "metadata", "extra"]),
    VALUES | st.sampled_from(["chat", "system", "user", "assistant", "ping"]),
)
ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "null",
        "[]",
        "[" * 5_000,
        '{"a":' * 5_000,
        '{"type":"chat","role":"user","content":"\\ud800"}',
        '{"type":"chat","role":"user","content":"\\udc00\\ud83d"}',
        '{"type":"system","content":"resume","metadata":{"afterSeq":1e400}}',
        '{"type":"system","content":"resume","metadata":{"afterSeq":NaN}}',
        '{"type":"system","content":"resume","metadata":{"afterSeq":' + "9" * 5_000 + "}}",
        '{"type":"chat","role":"user","content":"a","content":7}',
        '{"type":"chat","role":"user","content":"' + "x" * 11_000 + '"}',
        '{"type":"chat","role":"user","content":"' + "\\u0000" * 90 + '"}',
        '\ufeff{"type":"system","content":"ping"}',
        '{"type":"system","content":"ping"}{}',
        "'type'",
    ]
)
TEXTS = st.one_of(
    (CHATS_WITH_IDS | ORDERS | ALMOST).map(json.dumps),
    ALMOST.map(lambda frame: json.dumps(frame, ensure_ascii=False)),
    VALUES.map(json.dumps),
    st.text(max_size=80),
    st.builds(lambda frame, at: json.dumps(frame)[:at], CHATS | ORDERS, st.integers(0, 60)),
    ODD_TEXTS,
)
SENT = TEXTS | st.binary(max_size=60)


def is_taken(text: str | bytes) -> ChatFrame | None:
    """The message in it, if there is one."""
    try:
        frame = parse_frame(text, Settings(), protocol.MAX_FRAME_BYTES) if isinstance(text, str) else None
    except InvalidRequest:
        return None
    return frame if isinstance(frame, ChatFrame) else None


def is_frame(frame: dict[str, Any]) -> bool:
    """As docs/protocol.md has it."""
    if frame["type"] == "error":
        return bool(frame["error"] and re.fullmatch(r"[a-z_]+", frame["code"])) and frame["code"] != "internal_error"
    return frame["type"] in ("chat", "delta", "status", "system")


@pytest.fixture(scope="module")
def conversation() -> str:
    return new_conversation("fuzz")


def test_five_thousand_frames_break_nothing_and_leave_nothing_that_should_not_be(
    stack: DeployedStack, conversation: str
):
    started = time.time()
    sent: list[str | bytes] = []

    with ExitStack() as open_sockets, stack.rest() as rest, ThreadPoolExecutor(SOCKETS) as pool:
        sockets = [open_sockets.enter_context(stack.socket(conversation)) for _ in range(SOCKETS)]
        before = rest.client.get(f"conversation/{conversation}/state").json()

        @settings(
            max_examples=FRAMES // BATCH,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(SENT, min_size=BATCH, max_size=BATCH))
        def send(batch: list[str | bytes]) -> None:
            sent.extend(batch)
            list(pool.map(check_exchange, sockets, [batch[n::SOCKETS] for n in range(SOCKETS)]))

        send()
        assert len(sent) >= FRAMES
        for socket in sockets:
            socket.drain()
        wait_until(lambda: rest.is_at_rest(conversation), "rest", timeout=60, pause=0.2)
        state = rest.client.get(f"conversation/{conversation}/state").json()
        log = rest.whole_log(conversation)
        stored = rows(stack, conversation)

    messages = {message.content for text in sent if (message := is_taken(text))}
    assert {entry["content"] for entry in log if entry["role"] == "user"} <= messages
    assert {entry["role"] for entry in log} <= {"user", "assistant"}
    for unchanged in ("userId", "model", "context"):
        assert state[unchanged] == before[unchanged]
    assert [key for key in stored if not KEYS.fullmatch(key)] == []
    assert stack.troubles(started) == []
    with stack.socket(conversation) as socket:
        socket.say("Is anybody alive?", id="last")
        answer = socket.receive_until(lambda f: f["type"] == "status" and f["status"] == "complete", seconds=60)[-2]
    assert answer["content"].endswith("Is anybody alive?")


def check_exchange(socket: Socket, batch: list[str | bytes]) -> None:
    """All of its share at once. The frames of one socket are served in their order: what is refused last ends it."""
    start = len(socket.frames)
    for text in batch:
        socket.send_text(text)
    last = f"end-{uuid.uuid4().hex}"
    socket.say("", id=last)
    socket.receive_until(lambda f: f["type"] == "error" and f.get("metadata", {}).get("messageId") == last, seconds=60)
    received = socket.frames[start:]
    assert [frame for frame in received if not is_frame(frame)] == []
    refused = sum(1 for text in batch if isinstance(text, str) and is_refused(text))
    assert sum(1 for frame in received if frame["type"] == "error") > refused


def is_refused(text: str) -> bool:
    try:
        parse_frame(text, Settings(), protocol.MAX_FRAME_BYTES)
    except InvalidRequest:
        return True
    return False
