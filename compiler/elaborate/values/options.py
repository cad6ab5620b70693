"""Values as fields of the classes that specs name: by the field's annotation, or refused."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Union

from compiler.elaborate.values import values
from compiler.elaborate.values.arithmetic import simplify, whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import ArgumentValue, Known, Val
from compiler.ir.hint import Hint, HintBinary
from compiler.ops import items
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.types.dims import Dim
from compiler.types.tensor import DType
from compiler.types.units import NOT_PLAIN, spell_quantity
from compiler.vocabulary.duration import UNITS, Duration
from compiler.vocabulary.signature import Described


@dataclass
class Unfit(Exception):
    """A value that the field does not take: what it takes, what was found, what was meant."""

    expected: str
    found: str
    suggestion: str | None = None
    place: Span | None = None


def convert(value: Val, annotation: Any) -> object:
    """The value as a field of that annotation.

    Raises:
        Unfit: the field does not take it.
    """
    choices = list(_members(annotation))
    for choice in choices:
        converted = _convert_one(value, choice, choices)
        if converted is not _NOTHING:
            return converted
    expected = describe_annotation(annotation)
    if isinstance(value, values.ListValue):
        culprit = _find_culprit(value, choices)
        if culprit is not None:
            item, place, part = culprit
            raise Unfit(expected, _found(item), _suggest(item, list(_members(part))), place)
    raise Unfit(expected, _found(value), _suggest(value, choices))


def _find_culprit(
    value: values.ListValue, choices: Sequence[Any]
) -> tuple[Val, Span | None, Any] | None:
    """The first item that keeps a list from being one of the tuples, and what it would be."""
    for choice in choices:
        parts = typing.get_args(choice) if typing.get_origin(choice) is tuple else ()
        if len(parts) != 2 or parts[1] is not Ellipsis:
            continue
        for index, item in enumerate(value.items):
            try:
                convert(item, parts[0])
            except Unfit:
                place = value.spans[index] if index < len(value.spans) else None
                return item, place, parts[0]
    return None


class _Nothing:
    """Marks a choice that does not fit; None is a value."""


_NOTHING = _Nothing()


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, those of literals one by one."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _convert_one(value: Val, annotation: Any, choices: Sequence[Any]) -> object:
    if typing.get_origin(annotation) is Literal:
        found = value.value if isinstance(value, Known) else _NOTHING
        return found if found in typing.get_args(annotation) else _NOTHING
    if typing.get_origin(annotation) is tuple:
        return _convert_tuple(value, typing.get_args(annotation))
    match value:
        case values.Rest():
            return items.Rest() if annotation is items.Rest else _NOTHING
        case values.DTypeValue(dtype):
            return dtype if annotation is DType else _NOTHING
        case Known():
            return _convert_scalar(value, annotation, choices)
    return _NOTHING


def _convert_scalar(value: Known, annotation: Any, choices: Sequence[Any]) -> object:
    scalar = value.value
    if annotation is Duration:
        return _convert_duration(value)
    if value.unit in NOT_PLAIN:
        return _NOTHING
    if scalar is None:
        return None if annotation is type(None) else _NOTHING
    if isinstance(scalar, bool | str):
        return scalar if annotation is type(scalar) else _NOTHING
    number = simplify(scalar) if isinstance(scalar, Dim) else scalar
    if annotation is float:
        exact = isinstance(number, int) and int in choices
        return float(number) if isinstance(number, int | float) and not exact else _NOTHING
    if annotation is int:
        if isinstance(number, float) and float in choices:
            return _NOTHING
        size = whole(value)
        return size if isinstance(size, int) else _NOTHING
    if annotation is Dim:
        size = whole(value)
        return Dim.of(size) if size is not None else _NOTHING
    return _NOTHING


def _convert_duration(value: Known) -> object:
    scalar = value.value
    if not value.is_number or isinstance(scalar, Dim):
        return _NOTHING
    assert isinstance(scalar, int | float)
    if value.unit is None:
        return Duration(0, "steps") if scalar == 0 else _NOTHING
    unit = UNITS.get(value.unit)
    return Duration(float(scalar), unit) if unit is not None else _NOTHING


def _convert_tuple(value: Val, parts: tuple[Any, ...]) -> object:
    found = plain_items(value)
    if found is None or isinstance(value, values.Record):
        return _NOTHING
    if len(parts) == 2 and parts[1] is Ellipsis:
        parts = (parts[0],) * len(found)
    if len(parts) != len(found):
        return _NOTHING
    try:
        return tuple(convert(item, part) for item, part in zip(found, parts, strict=True))
    except Unfit:
        return _NOTHING


def _found(value: Val) -> str:
    if isinstance(value, Known) and value.unit is not None and value.is_number:
        return spell_quantity(value.value, value.unit)  # type: ignore[arg-type]
    if isinstance(value, values.ListValue):
        inner = ", ".join(_short(item) for item in value.items[:6])
        return f"the list [{inner}{', …' if len(value.items) > 6 else ''}]"
    if isinstance(value, Known) and isinstance(value.value, float) and _is_quotient(value.hint):
        return f"{value.value:g}: the division leaves a remainder"
    return describe(value)


def _is_quotient(hint: Hint | None) -> bool:
    return isinstance(hint, HintBinary) and hint.operator == "/"


def _short(value: Val) -> str:
    match value:
        case Known(str() as text):
            return f'"{text}"'
        case Known(scalar):
            return str(scalar).lower() if scalar is None or scalar is True else str(scalar)
        case values.Rest():
            return "..."
    return "…"


def _suggest(value: Val, choices: Sequence[Any]) -> str | None:
    """A string, or a stretch of training, that may have been meant."""
    if isinstance(value, Known) and value.is_number and Duration in choices:
        number = value.value
        whole_ones = isinstance(number, int) and value.unit is None and number > 0
        return f"`{number}epochs` or `{number}steps`" if whole_ones else None
    if not isinstance(value, Known) or not isinstance(value.value, str):
        return None
    literals = [a for c in choices if typing.get_origin(c) is Literal for a in typing.get_args(c)]
    near = did_you_mean(value.value, [a for a in literals if isinstance(a, str)])
    return f'`"{near}"`' if near is not None else None


def describe_annotation(annotation: Any) -> str:
    """What a field takes, in words."""
    parts = list(dict.fromkeys(_describe_one(m) for m in _members(annotation)))
    if "a number" in parts and "a whole number" in parts:
        parts.remove("a whole number")
    if "none" in parts:
        parts = [p for p in parts if p != "none"] + ["none"]
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} or {parts[-1]}"


def _describe_one(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is Literal:
        words = [f'"{a}"' if isinstance(a, str) else str(a) for a in typing.get_args(annotation)]
        return " or ".join(words) if len(words) < 3 else f"one of {', '.join(words)}"
    if origin is tuple:
        return _describe_tuple(typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Described):
        return f"{'an' if annotation.__name__[0] in 'AEIO' else 'a'} {annotation.__name__.lower()}"
    return _WORDS.get(annotation, "something else")


def _describe_tuple(parts: tuple[Any, ...]) -> str:
    many = _PLURALS.get(describe_annotation(parts[0]), "values")
    if len(parts) == 2 and parts[1] is Ellipsis:
        return f"a list of {many}"
    return f"a list of {len(parts)} {many}"


_WORDS: dict[Any, str] = {
    int: "a whole number",
    Dim: "a size",
    float: "a number",
    bool: "true or false",
    str: "a string",
    type(None): "none",
    DType: "a dtype such as f32",
    items.Rest: "`...`",
    Duration: "a stretch such as `5%`, `3epochs` or `500steps`",
}
_PLURALS = {
    "a whole number": "whole numbers",
    "a size": "sizes",
    "a whole number or a size": "sizes",
    "a whole number, a size or `...`": "sizes",
    "a number": "numbers",
    "a string": "strings",
    "true or false": "bools",
    _WORDS[Duration]: "stretches such as `5%`, `3epochs` or `500steps`",
}


def field_hints(name: str, given: ArgumentValue) -> Iterator[tuple[str, Hint]]:
    """How a field was written: one hint, or one for each item of a list."""
    match given.value:
        case Known(hint=hint) if hint is not None:
            yield name, hint
        case values.ListValue(entries):
            for index, item in enumerate(entries):
                if isinstance(item, Known) and item.hint is not None:
                    yield f"{name}.{index}", item.hint
