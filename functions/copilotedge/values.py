"""Dataclasses that are cheap to define: each function imports dozens of them before it can serve anybody.

The standard library writes and compiles half a dozen functions for every class, which takes a third of a millisecond.
These classes share theirs. Everything else is the standard library's, ``fields``, ``replace`` and ``asdict`` too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False) -> Callable[[type], type]:
        """As the standard library's; for classes with slots that inherit nothing."""
        if not slots:
            raise TypeError("only with slots")
        return _frozen if frozen else _mutable


def _frozen(cls: type) -> Any:
    return _made(cls, _SHARED | _FROZEN)


def _mutable(cls: type) -> Any:
    return _made(cls, _SHARED | {"__hash__": None})


def _made(cls: type, methods: dict[str, Any]) -> Any:
    for name, method in methods.items():
        setattr(cls, name, method)
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library works out a signature, to describe it by
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    names = tuple(field.name for field in dataclasses.fields(made))
    made._fields = tuple(
        (field.name, getattr(made, field.name).__set__, field.default, field.default_factory)
        for field in dataclasses.fields(made)
    )
    made._values = staticmethod(attrgetter(*names, "__class__"))
    return made


def _init(self: Any, /, *given: Any, **named: Any) -> None:
    fields = self._fields
    if len(given) > len(fields):
        raise TypeError(f"{type(self).__name__}() takes {len(fields)} values, not {len(given)}")
    for field, value in zip(fields, given, strict=False):
        field[1](self, value)
    for name, store, default, factory in fields[len(given) :]:
        if name in named:
            store(self, named.pop(name))
        elif default is not MISSING:
            store(self, default)
        elif factory is not MISSING:
            store(self, factory())
        else:
            raise TypeError(f"{type(self).__name__}() needs {name!r}")
    if named:
        raise TypeError(f"{type(self).__name__}() has no {next(iter(named))!r}, or is given it twice")


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, *_ in self._fields)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    return self._values(self) == self._values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _reduce(self: Any) -> Any:
    return type(self), self._values(self)[:-1]


def _keep(self: Any, name: str, *_: Any) -> None:
    raise FrozenInstanceError(f"cannot change {name!r} of {type(self).__name__}")


_SHARED: dict[str, Any] = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__reduce__": _reduce}
_FROZEN: dict[str, Any] = {"__hash__": _hash, "__setattr__": _keep, "__delattr__": _keep}
