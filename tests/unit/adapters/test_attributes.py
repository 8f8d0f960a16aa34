"""Typed attributes: the same as boto3's own, for everything that the table is given."""

from __future__ import annotations

from decimal import Decimal, Inexact

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from copilotedge.adapters.dynamodb.attributes import item_of, plain

NUMBERS = st.integers(-(10**37), 10**37) | st.decimals(-1000, 1000, places=6)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_values_are_written_and_read_as_by_boto3(value):
    attributes = plain({"a": value})
    assert attributes == {"a": TypeSerializer().serialize(value)}
    assert item_of(attributes) == {"a": TypeDeserializer().deserialize(attributes["a"])}


def test_tuples_are_lists():
    assert plain({"a": (1, "b")}) == {"a": {"L": [{"N": "1"}, {"S": "b"}]}}


@pytest.mark.parametrize("value", [1.5, {1}, b"bytes", object()])
def test_what_is_not_exact_or_unknown_is_refused(value):
    with pytest.raises(TypeError):
        plain({"a": value})


def test_a_number_that_the_table_cannot_hold_is_refused():
    with pytest.raises(Inexact):
        plain({"a": Decimal(10**40 + 1)})


def test_an_attribute_that_we_never_write_is_refused():
    with pytest.raises(TypeError, match="SS"):
        item_of({"a": {"SS": ["b"]}})
