"""What is in a value: its items, the tensors among them, how it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.elaborate.values.values import (
    MAX_ITEMS,
    BlockLayer,
    Compose,
    FunctionLayer,
    Known,
    Labelled,
    ListValue,
    Loaded,
    LoadFunction,
    NetValue,
    OpLayer,
    Range,
    Record,
    Repeat,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint, HintConst


def is_none(value: Val) -> bool:
    """Whether it is `none`."""
    return isinstance(value, Known) and value.value is None


def is_layer(value: Val) -> bool:
    """Whether it can be applied with `->` or called."""
    return isinstance(
        value,
        OpLayer
        | BlockLayer
        | FunctionLayer
        | Compose
        | Repeat
        | Labelled
        | Loaded
        | LoadFunction
        | NetValue,
    )


def strip_hints(value: Val) -> Val:
    """The value without what its parts looked like: for lists that enter another block."""
    match value:
        case Known(scalar, _, unit):
            return Known(scalar, None, unit)
        case ListValue(items):
            return ListValue(tuple(map(strip_hints, items)))
    return value


def plain_items(value: Val) -> Sequence[Val] | None:
    """The items of something that can be gone through when compiling."""
    match value:
        case ListValue(items):
            return items
        case Record():
            return value.values
        case Range():
            numbers, length = value.values, value.length
            if numbers is not None and isinstance(length, int) and length <= MAX_ITEMS:
                return tuple(Known(number, HintConst(number)) for number in numbers)
    return None


def find_hint(value: Val) -> Hint | None:
    """How a number or a list was written, where that is known."""
    return value.hint if isinstance(value, Known | ListValue | Range) else None


def list_hints(value: Val) -> Iterator[Hint]:
    """How the numbers in nested lists were written, as far as that is known."""
    hint = find_hint(value)
    if hint is not None:
        yield hint
    for item in value.items if isinstance(value, ListValue) else ():
        yield from list_hints(item)


def holds_tensor(value: Val) -> bool:
    """Whether a tensor is in it."""
    match value:
        case Tensor():
            return True
        case ListValue(items):
            return any(map(holds_tensor, items))
        case Record():
            return any(map(holds_tensor, value.values))
    return False
