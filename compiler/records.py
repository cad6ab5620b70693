"""Dataclasses that cost next to nothing to define.

`dataclasses.dataclass` writes and compiles up to six methods for each class, about half a
millisecond. A check of a small spec defines some four hundred classes, and makes instances of a
third of them, so that definitions would be a third of its time. Here a constructor is compiled
when the first instance is made, and the other methods are shared: they read the class's fields
when they are called. The classes are ordinary dataclasses in every other way (`fields`,
`replace`, `match`), to type checkers too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

C = TypeVar("C", bound=type)
Constructor = Callable[..., None]


@overload
def _dataclass(cls: C, /) -> C: ...
@overload
def _dataclass(*, frozen: bool = False, eq: bool = True) -> Callable[[C], C]: ...
def _dataclass(cls: C | None = None, /, *, frozen: bool = False, eq: bool = True) -> Any:
    """`@dataclass`, `@dataclass(frozen=True)`, and with `eq=False` instances that are equal to
    themselves alone."""

    def decorate(cls: C) -> C:
        _collect_fields(cls, frozen)
        methods: dict[str, Any] = {"__init__": _write_later(cls)}
        if frozen:
            methods |= {"__setattr__": _refuse_setting, "__delattr__": _refuse_deleting}
        if "__repr__" not in cls.__dict__:
            methods["__repr__"] = _repr
        if eq and "__eq__" not in cls.__dict__:
            methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls

    return decorate if cls is None else decorate(cls)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass


def _collect_fields(cls: type, frozen: bool) -> None:
    """Lets the standard library read the fields, without a method of its own. It would refuse a
    base that is frozen, because freezing is one of these methods: for the moment, none is."""
    bases = [b.__dict__["__dataclass_params__"] for b in cls.__mro__[1:] if _is_made(b)]
    were = [params.frozen for params in bases]
    for params in bases:
        params.frozen = False
    try:
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    finally:
        for params, was in zip(bases, were, strict=True):
            params.frozen = was
    cls.__dict__["__dataclass_params__"].frozen = frozen


def _is_made(cls: type) -> bool:
    return "__dataclass_params__" in cls.__dict__


# --- constructors -------------------------------------------------------------------------------


def _write_later(cls: type) -> Constructor:
    """A constructor that puts the real one in its place when it is first called."""

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        constructor = _write_constructor(cls)
        cls.__init__ = constructor  # type: ignore[misc]
        constructor(self, *args, **kwargs)

    return construct


def _write_constructor(cls: type) -> Constructor:
    """Compiles the constructor that takes a class's fields. It fills the instance's `__dict__`,
    where neither freezing nor a call per field is in the way."""
    fields = dataclasses.fields(cls)
    taken = [field for field in fields if field.init]
    by_place = [_write_parameter(field) for field in taken if not field.kw_only]
    by_name = [_write_parameter(field) for field in taken if field.kw_only]
    parameters = ["self", *by_place, *(["*", *by_name] if by_name else [])]
    lines = [f"def __init__({', '.join(parameters)}):", "    _own = self.__dict__"]
    known: dict[str, Any] = {"_unset": dataclasses.MISSING}
    for field in fields:
        known[f"{field.name}_default"] = field.default
        known[f"{field.name}_factory"] = field.default_factory
        value = _write_value(field)
        lines += [f"    _own[{field.name!r}] = {value}"] if value is not None else []
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    # As the standard library does it: the text is made of the names of fields alone.
    exec("\n".join(lines), known)  # noqa: S102
    constructor: Constructor = known["__init__"]
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    return constructor


def _write_parameter(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}=_unset"
    has_default = field.default is not dataclasses.MISSING
    return f"{field.name}={field.name}_default" if has_default else field.name


def _write_value(field: dataclasses.Field[Any]) -> str | None:
    """The expression of a field's first value; None where it gets none yet."""
    name = field.name
    if field.default_factory is not dataclasses.MISSING:
        made = f"{name}_factory()"
        return f"{made} if {name} is _unset else {name}" if field.init else made
    if field.init:
        return name
    return f"{name}_default" if field.default is not dataclasses.MISSING else None


# --- what instances share -----------------------------------------------------------------------


@cache
def _compared(cls: Hashable) -> tuple[str, ...]:
    """Names of the fields that make two instances equal."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    return tuple(field.name for field in fields if field.compare)


def _values(self: Any) -> list[Any]:
    own = self.__dict__
    return [own[name] for name in _compared(self.__class__)]


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
