"""Sizes and units as the Developer Guide's rules have them."""

from __future__ import annotations

import pytest

from bench.units import in_base64, item_size, number_size, read_units, value_size, write_units


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é🎉"}, 6),
        ({"B": b"abcd"}, 4),
        ({"B": "YWJjZA=="}, 4),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["ab", "c"]}, 3),
        ({"NS": ["12", "3"]}, 4),
        ({"BS": ["YWJjZA==", "YQ=="]}, 5),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"S": "c"}]}, 3 + (1 + 2) + (1 + 1)),
        ({"M": {}}, 3),
        ({"M": {"name": {"S": "ab"}}}, 3 + 1 + 4 + 2),
        ({"L": [{"M": {"a": {"L": []}}}]}, 3 + 1 + (3 + 1 + 1 + 3)),
    ],
)
def test_a_value_has_the_size_of_its_content_and_of_what_holds_it(value, size):
    assert value_size(value) == size


def test_an_unknown_type_is_an_error():
    with pytest.raises(ValueError, match="no type X"):
        value_size({"X": 1})


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 2), ("7", 2), ("12", 2), ("123", 3), ("-12", 3), ("1200", 2), ("0.0012", 2), ("1795349630000", 6)],
)
def test_a_number_has_a_byte_for_two_significant_digits_and_one_more(text, size):
    assert number_size(text) == size


def test_names_count_in_an_item():
    assert item_size({"pk": {"S": "CONV#a"}, "é": {"S": "x"}}) == 2 + 6 + 2 + 1


def test_an_item_that_is_not_there_has_no_size():
    assert item_size({}) == 0


def test_binary_can_be_counted_as_it_is_sent():
    item = {"b": {"B": b"abcd"}, "m": {"M": {"b": {"B": b"abc"}}}}
    assert item_size(item, in_base64) - item_size(item) == (8 - 4) + (4 - 3)


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(0, True, 1), (0, False, 0.5), (4096, True, 1), (4097, True, 2), (4097, False, 1), (40_000, True, 10)],
)
def test_a_read_pays_for_4_kb_steps(size, consistent, units):
    assert read_units(size, consistent=consistent) == units


@pytest.mark.parametrize(
    ("before", "after", "units"), [(0, 0, 1), (0, 1024, 1), (0, 1025, 2), (3000, 10, 3), (10, 3000, 3), (500, 0, 1)]
)
def test_a_write_pays_for_1_kb_steps_of_the_larger_item(before, after, units):
    assert write_units(before, after) == units


def test_a_transaction_pays_twice():
    assert write_units(0, 1025, transactional=True) == 4
