"""Events of a response's stream, and going on behind any of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from copilotedge.answering import CallWords, Piece, Reply, Words
from copilotedge.errors import ModelUnavailable, TurnFailed
from copilotedge.models import ToolCall, Usage
from copilotedge.openai.response_events import ATTEMPT, FAILED, ResponseEvents
from copilotedge.openai.response_shapes import ResponseHead

Event = dict[str, Any]

CALLS = (ToolCall("call-1", "weather", '{"city":"Oslo"}'), ToolCall("call-2", "time", ""))
HEAD = ResponseHead("resp_1", 1_800_000_000_000, "c1", "a-model")
OFFICIAL: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def reply(text: str, calls: Sequence[ToolCall] = (), attempt: int = 1, **more: Any) -> Reply:
    end = {"conversation_id": "alice/c1", "answer_id": f"t1-{attempt}", "usage": Usage(10, 5)} | more
    return Reply("t1", text, "a-model", 1_800_000_001_000, tool_calls=tuple(calls), **end)


def pieces_of(texts: Sequence[str], attempt: int = 1) -> list[Piece]:
    starts = [len("".join(texts[:n])) for n in range(len(texts))]
    return [Words(text, start, attempt) for text, start in zip(texts, starts, strict=True)]


def stream(pieces: Sequence[Piece], end: Reply, after: int = -1) -> list[Event]:
    events = ResponseEvents(HEAD, "t1", after)
    told = [*events.begin()]
    for piece in pieces:
        told += events.piece(piece)
    return [*told, *events.end(end)]


def kinds(events: Sequence[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def test_an_answer_begins_streams_and_ends():
    events = stream(pieces_of(["He", "llo."]), reply("Hello."))
    assert [(kind, event["sequence_number"]) for kind, event in zip(kinds(events), events, strict=True)] == [
        ("created", 0),
        ("in_progress", 1),
        ("output_item.added", 2),
        ("content_part.added", 3),
        ("output_text.delta", 5),
        ("output_text.delta", 9),
        ("output_text.done", 10),
        ("content_part.done", 11),
        ("output_item.done", 12),
        ("completed", 13),
    ]
    assert events[-1]["response"]["output"] == [events[-2]["item"]]
    assert events[-1]["response"]["usage"]["total_tokens"] == 15


def test_calls_come_whole_behind_the_text():
    pieces = [*pieces_of(["Hm."]), CallWords(0, '{"city":', "call-1", "weather"), CallWords(0, '"Oslo"}')]
    events = stream(pieces, reply("Hm.", CALLS, finish_reason="tool_calls"))
    assert kinds(events)[8:] == [
        *["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"] * 2,
        "completed",
    ]
    assert [event["item"]["arguments"] for event in events[8:] if "item" in event] == ["", CALLS[0].arguments, "", ""]
    assert [event["output_index"] for event in events[8:-1]] == [1] * 4 + [2] * 4


def test_an_answer_without_words_is_an_empty_message():
    assert kinds(stream([], reply("")))[2:4] == ["output_item.added", "content_part.added"]


def test_calls_alone_are_no_message():
    events = stream([], reply("", CALLS))
    assert [event["item"]["type"] for event in events if "item" in event] == ["function_call"] * 4


def test_how_an_answer_ends_is_its_last_event():
    ends = [reply("Hi", finish_reason="length"), reply("Hi", status="cancelled"), reply("Hi", status="incomplete")]
    last = [stream([], end)[-1] for end in ends]
    assert kinds(last) == ["incomplete"] * 3
    assert [event["response"]["status"] for event in last] == ["incomplete", "cancelled", "incomplete"]
    assert last[0]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last[1]["response"]["output"][0]["status"] == "incomplete"


def test_a_failure_is_an_event_behind_all_others():
    events = ResponseEvents(HEAD, "t1", after=3 * ATTEMPT)
    [failed] = events.fail(ModelUnavailable("The model is away."))
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", FAILED)
    assert failed["response"]["error"] == {"code": "model_unavailable", "message": "The model is away."}
    [cancelled] = events.fail(TurnFailed("The answer was cancelled.", code="turn_cancelled"))
    assert cancelled["response"]["status"] == "cancelled"


def test_who_is_left_without_an_end_goes_on_behind_the_number_it_has():
    events = ResponseEvents(HEAD, "t1")
    told = [event for piece in pieces_of(["Hel"]) for event in events.piece(piece)]
    assert events.pending()["sequence_number"] == told[-1]["sequence_number"]


def test_an_answer_that_is_begun_anew_is_another_item():
    pieces = [*pieces_of(["Hel"]), *pieces_of(["Good ", "day."], attempt=2)]
    events = stream(pieces, reply("Good day.", CALLS, attempt=2))
    ended = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [(item["id"], item["status"]) for item in ended] == [
        ("msg_t1-1", "incomplete"),
        ("msg_t1-2", "completed"),
        ("fc_t1-2-0", "completed"),
        ("fc_t1-2-1", "completed"),
    ]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))


TEXTS = st.lists(st.text(min_size=1, max_size=5), max_size=6)


@given(TEXTS, TEXTS, st.sampled_from([(), CALLS]), st.data())
def test_a_stream_goes_on_behind_any_event_without_a_hole_or_a_repeat(first, second, calls, data):
    """``first`` and ``second`` are two ways the same text may come in pieces, and where one is cut."""
    text = "".join(first)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    other = [text[a:b] for a, b in pairwise([0, *cuts, len(text)]) if a < b]
    seen = stream(pieces_of(first), reply(text, calls))
    cut = data.draw(st.integers(1, len(seen)))
    rest = stream(pieces_of(other), reply(text, calls), after=seen[cut - 1]["sequence_number"])
    assert text_of(seen[:cut]) + text_of(rest) == text
    whole = [event for event in seen if event["type"] != "response.output_text.delta"]
    together = [event for event in seen[:cut] + rest if event["type"] != "response.output_text.delta"]
    assert together == whole


@given(TEXTS, TEXTS)
def test_who_saw_an_attempt_that_died_gets_the_next_one_whole(first, second):
    seen = stream(pieces_of(first), reply("".join(first)))[2:-4]
    after = seen[-1]["sequence_number"] if seen else 1
    text = "".join(second)
    rest = stream(pieces_of(second, attempt=2), reply(text, attempt=2), after=after)
    assert text_of(rest) == text


@given(TEXTS, st.sampled_from([(), CALLS]))
def test_the_official_client_understands_every_event(texts, calls):
    state = ResponseStreamState(input_tools=[], text_format=omit)
    events = stream([*pieces_of(["no"]), *pieces_of(texts, attempt=2)], reply("".join(texts), calls, attempt=2))
    for event in events:
        official = OFFICIAL.validate_python(event)
        assert type(official).__name__ != "BaseModel"
        state.handle_event(official)
    assert state._completed_response is not None
    assert state._completed_response.output_text == "".join(texts)
