"""JSON from outside: how deep it may be, and that no text makes looking at it slow."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.errors import InvalidRequest, RequestTooLarge
from copilotedge.json_objects import read_object

MEGABYTE = 1_048_576
DEPTH = 4


def code_of(text: str, max_bytes: int = MEGABYTE, depth: int = DEPTH) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_object(text, max_bytes, depth)
    return caught.value.code


def depth_of(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab[]{}"\\\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k{["\\', max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.integers(1, 6), st.booleans())
def test_depth_is_counted_as_the_parser_nests(value, depth, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    if depth_of(value) <= depth:
        assert read_object(text, MEGABYTE, depth) == value
    else:
        assert code_of(text, depth=depth) == "too_deep"


def test_brackets_in_strings_nest_nothing():
    assert read_object(json.dumps({"a": '[{"' * 50}), MEGABYTE, DEPTH) == {"a": '[{"' * 50}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" * 5 + '"', '{"a":"\\"' + "[" * 9 + '","b":[[[[[]]]]]}']
)
def test_what_is_too_deep_is_not_parsed(text):
    assert code_of(text) == "too_deep"


@pytest.mark.parametrize(
    "text", ["", "[[", '{"a":"[[[[[[', '{"a":1}}', "]]]]]]", '{"a":01}', '{"a":' + "9" * 5_000 + "}"]
)
def test_what_is_no_json_is_refused_as_such(text):
    assert code_of(text) == "invalid_json"


@pytest.mark.parametrize(
    "text",
    ['{"a":"' + '\\"' * 500_000, "\\" * MEGABYTE, '"' * MEGABYTE, '"\\' * 500_000, "[]" * 500_000, '"[' * 500_000],
    ids=["open string", "backslashes", "quotes", "quotes and backslashes", "flat", "strings"],
)
def test_a_megabyte_of_anything_is_looked_at_in_a_moment(text):
    started = time.perf_counter()
    code_of(text)
    assert time.perf_counter() - started < 2


def test_size_counts_bytes():
    with pytest.raises(RequestTooLarge):
        read_object('{"a":"éé"}', 11, DEPTH)
    assert read_object('{"a":"éé"}', 12, DEPTH) == {"a": "éé"}
