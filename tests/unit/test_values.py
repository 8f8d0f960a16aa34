"""Values are dataclasses in everything but what they cost: each test asks the standard library's as well."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field, replace
from typing import Any

import pytest

from copilotedge import values


class Plain:
    number: int
    text: str = "hi"
    names: list[str] = field(default_factory=list)


def made(decorate: Any, **options: Any) -> Any:
    body = {name: Plain.__dict__[name] for name in ("__annotations__", "text", "names")}
    return decorate(slots=True, **options)(type("Value", (), {**body, "__module__": __name__, "__qualname__": "Value"}))


Frozen, Mutable = made(values.dataclass, frozen=True), made(values.dataclass)
StandardFrozen, StandardMutable = made(dataclasses.dataclass, frozen=True), made(dataclasses.dataclass)
Value = Frozen  # its name, by which pickle finds it
BOTH = pytest.mark.parametrize("kind", [Frozen, StandardFrozen])


@values.dataclass(slots=True, frozen=True)
class One:
    number: int


@BOTH
@pytest.mark.parametrize(
    ("given", "named"), [((1,), {}), ((1, "a"), {}), ((1, "a", ["b"]), {}), ((), {"number": 1}), ((1,), {"names": []})]
)
def test_fields_are_given_by_place_by_name_or_by_default(kind, given, named):
    value = kind(*given, **named)
    expected = {"number": 1, "text": "hi", "names": []} | dict(zip(("number", "text", "names"), given, strict=False))
    assert dataclasses.asdict(value) == expected | named


@BOTH
@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, "a", [], 4), {}), ((1,), {"number": 2}), ((1,), {"colour": "red"})]
)
def test_fields_must_be_there_once_and_no_others(kind, given, named):
    with pytest.raises(TypeError):
        kind(*given, **named)


@BOTH
def test_defaults_that_are_made_are_made_for_each(kind):
    assert kind(1).names is not kind(1).names


@BOTH
def test_values_with_the_same_fields_are_the_same(kind):
    assert kind(1) == kind(1, "hi")
    assert kind(1) != kind(2)
    assert kind(1) != (1, "hi", [])
    assert {kind(1, "a", ()), kind(1, "a", ())} == {kind(1, "a", ())}


def test_values_of_two_kinds_are_never_the_same():
    assert One(1) != values.dataclass(slots=True, frozen=True)(type("One", (), {"__annotations__": {"number": "int"}}))(
        1
    )
    assert hash(One(1)) == hash(One(1))


@BOTH
def test_a_frozen_value_stays_as_it_is(kind):
    value = kind(1)
    with pytest.raises(FrozenInstanceError):
        value.number = 2
    with pytest.raises(FrozenInstanceError):
        del value.number
    assert value.number == 1


def test_a_frozen_value_gets_no_other_attributes():
    with pytest.raises(FrozenInstanceError):
        Frozen(1).colour = "red"


@pytest.mark.parametrize("kind", [Mutable, StandardMutable])
def test_a_mutable_one_changes_has_slots_and_no_hash(kind):
    value = kind(1)
    value.number = 2
    assert value == kind(2)
    with pytest.raises(AttributeError):
        value.colour = "red"
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)


@BOTH
def test_the_standard_librarys_functions_know_it(kind):
    assert replace(kind(1), text="a") == kind(1, "a")
    assert [entry.name for entry in dataclasses.fields(kind)] == ["number", "text", "names"]
    assert repr(kind(1)) == "Value(number=1, text='hi', names=[])"
    match kind(1, "a"):
        case object(number=number, text=text):
            assert (number, text) == (1, "a")


def test_it_can_be_copied():
    value = Frozen(1, "a", ["b"])
    assert copy.deepcopy(value) == copy.copy(value) == value
    assert copy.deepcopy(value).names is not value.names
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_class_without_slots_is_refused():
    with pytest.raises(TypeError, match="slots"):
        values.dataclass(slots=False)
