"""Frozen dataclasses that cost next to nothing to define.

`dataclasses.dataclass` writes and compiles six methods for each class, about half a millisecond.
A check of a small spec defines some four hundred messages, ops and settings and makes few of
them, so that definitions would be half of its time. Here the methods are shared, and read the
class's fields when they are called. The classes are ordinary dataclasses in every other way
(`fields`, `replace`, `match`). What is made by the thousand stays with the standard decorator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar, dataclass_transform

C = TypeVar("C", bound=type)


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(*, frozen: bool, eq: bool = True) -> Callable[[C], C]:
    """`@dataclass(frozen=True)`, and with `eq=False` instances that are equal to themselves."""
    assert frozen, "records are frozen; use dataclasses.dataclass for others"

    def decorate(cls: C) -> C:
        _collect_fields(cls)
        methods: dict[str, Any] = {
            "__init__": _init,
            "__setattr__": _refuse_setting,
            "__delattr__": _refuse_deleting,
        }
        if "__repr__" not in cls.__dict__:
            methods["__repr__"] = _repr
        if eq and "__eq__" not in cls.__dict__:
            methods |= {"__eq__": _eq, "__hash__": _hash}
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls

    return decorate


def _collect_fields(cls: type) -> None:
    """Lets the standard library read the fields, without a method of its own. It would refuse a
    base that is frozen, because freezing is one of these methods: for the moment, none is."""
    bases = [b.__dict__["__dataclass_params__"] for b in cls.__mro__[1:] if _is_made(b)]
    for params in bases:
        params.frozen = False
    try:
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    finally:
        for params in (*bases, cls.__dict__["__dataclass_params__"]):
            params.frozen = True


def _is_made(cls: type) -> bool:
    return "__dataclass_params__" in cls.__dict__


@cache
def _describe(cls: Hashable) -> tuple[tuple[str, ...], dict[str, Any], frozenset[str]]:
    """Names of the fields in the order of the arguments, their defaults, and those that have
    none."""
    names, defaults, required = [], {}, set()
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    for field in sorted(fields, key=lambda f: bool(f.kw_only)):
        names.append(field.name)
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is dataclasses.MISSING:
            required.add(field.name)
    return tuple(names), defaults, frozenset(required)


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    cls: Any = type(self)
    names, defaults, required = _describe(cls)
    if len(args) > len(names):
        raise TypeError(f"{cls.__name__} takes {len(names)} arguments, not {len(args)}")
    values = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
    if len(values) < len(names):
        for field in dataclasses.fields(cls):
            if field.name not in values and field.default_factory is not dataclasses.MISSING:
                values[field.name] = field.default_factory()
    if values.keys() != set(names) or kwargs.keys() & set(names[: len(args)]):
        _refuse_arguments(cls, names, required, args, kwargs)
    self.__dict__.update((name, values[name]) for name in names)
    after = getattr(cls, "__post_init__", None)
    if after is not None:
        after(self)


def _refuse_arguments(
    cls: type,
    names: tuple[str, ...],
    required: frozenset[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    given = {*names[: len(args)], *kwargs}
    missing = [name for name in names if name in required and name not in given]
    unknown = [name for name in kwargs if name not in names]
    twice = [name for name in names[: len(args)] if name in kwargs]
    faults = {"lacks": missing, "does not know": unknown, "gets twice": twice}
    text = "; ".join(f"{what} {', '.join(found)}" for what, found in faults.items() if found)
    raise TypeError(f"{cls.__name__} {text}")


def _class_of(self: Any) -> Hashable:
    return self.__class__  # type: ignore[no-any-return]


def _values(self: Any) -> tuple[Any, ...]:
    own = self.__dict__
    return tuple([own[name] for name in _describe(_class_of(self))[0]])


def _repr(self: Any) -> str:
    names = [field.name for field in dataclasses.fields(self) if field.repr]
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash((type(self), *_values(self)))


def _refuse_setting(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
