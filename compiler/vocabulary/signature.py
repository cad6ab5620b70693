"""Signatures derived from dataclass fields: one class is the signature, the options, the
defaults and the manual of an op, loss, optimizer, schedule, metric, initializer or data source."""

from __future__ import annotations

import dataclasses
import inspect
import keyword
import typing
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeVar

from compiler.records import dataclass
from compiler.types.tensor import DType
from compiler.vocabulary.no_default import NO_DEFAULT

Direction = Literal["higher", "lower"]
"""Which of two figures is the better one."""


@dataclass(frozen=True)
class Operand:
    """A tensor that a call supplies. `optional` may be left out, `variadic` is a list of
    tensors (always the only operand), `index` are positions: a plain number given for them is
    i64, whatever it meets. `named` ones are given by name only; `number` says that a number may
    stand for it though no tensor is given."""

    name: str
    optional: bool = False
    variadic: bool = False
    index: bool = False
    named: bool = False
    number: bool = False


MASK, WEIGHT = 2, 3
"""Places of the optional operands of what compares two tensors, behind these."""


def compare(first: str, second: str) -> tuple[Operand, ...]:
    """The operands of what compares two tensors, of which every entry may count more or less."""
    places = (Operand(name, optional=True, named=True) for name in ("mask", "weight"))
    return Operand(first), Operand(second), *places


@dataclass(frozen=True)
class Option:
    """A compile-time parameter: a dataclass field. `annotation` is the evaluated type hint."""

    name: str
    annotation: object
    default: object = NO_DEFAULT

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is NO_DEFAULT

    @property
    def field(self) -> str:
        """The field that holds it: `except_` for `except`, which Python keeps for itself."""
        return f"{self.name}_" if keyword.iskeyword(self.name) else self.name


class Described:
    """Base of every class that specs can name. A subclass is a frozen dataclass with a `name`;
    `operands` are the tensors it takes first, its fields are its options in order."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    operands: ClassVar[tuple[Operand, ...]] = ()
    written: ClassVar[bool] = True
    """Whether specs write its name; a thing that other words stand for has none to write."""
    shares: ClassVar[tuple[str, ...]] = ()
    """Options that are written as percentages: `channels=50%`."""

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The fields as options, in order."""
        return _read_options(cls)  # type: ignore[arg-type]  # a class hashes, whatever its instances do

    @classmethod
    def summary(cls) -> str:
        """First sentence of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")

    @classmethod
    def manual(cls) -> str:
        """The whole docstring."""
        return inspect.getdoc(cls) or ""


@cache
def _read_options(cls: type) -> tuple[Option, ...]:
    hints = typing.get_type_hints(cls)
    options = []
    for field in dataclasses.fields(cls):
        default: object = NO_DEFAULT
        if field.default is not dataclasses.MISSING:
            default = field.default
        name = field.name.removesuffix("_")
        options.append(Option(name, hints[field.name], default))
    return tuple(options)


T = TypeVar("T", bound=Described)


class Registry(Generic[T]):
    """Classes of one kind by the name that specs use."""

    every: ClassVar[list[Registry[Any]]] = []

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}
        self._kept: dict[str, type[T]] = {}
        Registry.every.append(self)

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator: adds a class under its name and aliases."""
        for name in (cls.name, *cls.aliases):
            if name in self._classes:
                raise ValueError(f"{self.kind} {name} is defined twice")
            self._classes[name] = cls
        return cls

    def keep(self, cls: type[T]) -> type[T]:
        """Class decorator: adds a class that nothing names, and that is found by its name where a
        thing of it was printed."""
        self._kept[cls.name] = cls
        return cls

    def get(self, name: str) -> type[T] | None:
        """The class of that name, if there is one."""
        return self._classes.get(name)

    def find_printed(self, name: str) -> type[T] | None:
        """The class of that name, those included that are only kept."""
        return self._classes.get(name) or self._kept.get(name)

    def names(self) -> list[str]:
        """Every name that specs write, sorted."""
        return sorted(name for name, cls in self._classes.items() if cls.written)

    def classes(self) -> list[type[T]]:
        """Every class once, by name."""
        return sorted(set(self._classes.values()), key=lambda c: c.name)


def find_registry(base: type[Described]) -> Registry[Any] | None:
    """The registry that holds the classes derived from a base."""
    return next((r for r in Registry.every if any(issubclass(c, base) for c in r.classes())), None)


def write_call(value: Described) -> str:
    """A thing of the vocabulary with all of its settings, those left at their defaults too."""
    settings = [f"{o.name}={_write_setting(getattr(value, o.field))}" for o in value.options()]
    return f"{value.name}({', '.join(settings)})" if settings else value.name


def _write_setting(value: object) -> str:
    return write_call(value) if isinstance(value, Described) else write_value(value)


def write_value(value: object) -> str:
    """A value as the language writes it."""
    match value:
        case None | True | False:
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(map(write_value, value))}]"
        case DType():
            return value.value
        case Described():
            return value.name
        case float():
            return repr(value).replace("e-0", "e-")  # 1e-5, as people write it
    return str(value)
