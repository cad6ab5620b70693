"""Functions on compile-time values: `len`, `enumerate`, `max`, … and the constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from compiler.elaborate.values.arithmetic import (
    ArithmeticFault,
    WrongOperands,
    calculate,
    compare,
    simplify,
    whole,
)
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import (
    ArgumentValue,
    Function,
    Known,
    ListValue,
    Poison,
    Range,
    Record,
    SymbolicCondition,
    Val,
)
from compiler.ir.hint import HintConst
from compiler.types.dims import Dim

CONSTANTS: dict[str, float] = {"pi": math.pi, "inf": math.inf}
"""Numbers that every spec knows."""


class Refusal(Exception):
    """An argument that a function does not take."""

    def __init__(self, index: int, takes: str) -> None:
        super().__init__(takes)
        self.index = index
        self.takes = takes


FUNCTIONS: dict[str, Function] = {}
"""Every compile-time function by name."""


def _function(
    name: str, least: int, most: int | None = -1
) -> Callable[[Callable[[Sequence[Val]], Val]], Callable[[Sequence[Val]], Val]]:
    def register(call: Callable[[Sequence[Val]], Val]) -> Callable[[Sequence[Val]], Val]:
        summary = (call.__doc__ or "").strip()
        FUNCTIONS[name] = Function(name, least, least if most == -1 else most, summary, call)
        return call

    return register


def takes_known(arguments: Sequence[ArgumentValue]) -> bool:
    """Whether a name that is both an op and a function means the function here: every argument
    is a number or a list of numbers."""
    return bool(arguments) and all(_is_known(a.value) for a in arguments)


def _is_known(value: Val) -> bool:
    match value:
        case Known():
            return value.is_number
        case ListValue(items):
            return all(isinstance(item, Known | ListValue) for item in items)
        case Range():
            return True
    return False


# --- lists ------------------------------------------------------------------------------------


@_function("enumerate", 1)
def _enumerate(arguments: Sequence[Val]) -> Val:
    """Pairs of position and item: `for i, n in enumerate(depths)`."""
    items = _items(arguments, 0)
    pairs = (ListValue((Known(i, HintConst(i)), item)) for i, item in enumerate(items))
    return ListValue(tuple(pairs))


@_function("zip", 2, None)
def _zip(arguments: Sequence[Val]) -> Val:
    """Items of several lists side by side, as far as the shortest goes."""
    lists = [_items(arguments, i) for i in range(len(arguments))]
    return ListValue(tuple(ListValue(row) for row in zip(*lists, strict=False)))


@_function("range", 1, 3)
def _range(arguments: Sequence[Val]) -> Val:
    """Whole numbers: `range(n)`, `range(start, stop)`, `range(start, stop, step)`."""
    numbers = [_size(arguments, i) for i in range(len(arguments))]
    start, stop = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    step = numbers[2] if len(numbers) == 3 else 1
    if not isinstance(step, int) or step == 0:
        raise Refusal(2, "a step that is a whole number and not 0")
    return Range(start, stop, step)


@_function("len", 1)
def _len(arguments: Sequence[Val]) -> Val:
    """The number of items of a list, or of characters of a string."""
    match arguments[0]:
        case Known(str() as text):
            return Known(len(text))
        case Range() as numbers:
            return Known(numbers.length)
    return Known(len(_items(arguments, 0)))


@_function("reversed", 1)
def _reversed(arguments: Sequence[Val]) -> Val:
    """A list from its end; a range stays one, so that `scan` can go through it backwards."""
    value = arguments[0]
    if isinstance(value, Range):
        return Range(value.start, value.stop, value.step, not value.backwards)
    return ListValue(tuple(reversed(_items(arguments, 0))))


@_function("sorted", 1)
def _sorted(arguments: Sequence[Val]) -> Val:
    """The numbers of a list from the least to the greatest."""
    items = _items(arguments, 0)
    numbers = [i.value for i in items if isinstance(i, Known) and isinstance(i.value, int | float)]
    if len(numbers) != len(items):
        raise Refusal(0, "a list of numbers")
    return ListValue(tuple(Known(number) for number in sorted(numbers)))


def _items(arguments: Sequence[Val], index: int) -> Sequence[Val]:
    items = plain_items(arguments[index])
    if items is None:
        raise Refusal(index, "a list")
    return items


def _size(arguments: Sequence[Val], index: int) -> int | Dim:
    value = arguments[index]
    number = whole(value) if isinstance(value, Known) else None
    if number is None:
        raise Refusal(index, "whole numbers")
    return number


# --- numbers ----------------------------------------------------------------------------------


@_function("sum", 1)
def _sum(arguments: Sequence[Val]) -> Val:
    """The sum of a list of numbers."""
    total = Known(0)
    for item in _items(arguments, 0):
        if not isinstance(item, Known) or not item.is_number:
            raise Refusal(0, "a list of numbers")
        total = calculate("+", total, item)
    return total


@_function("max", 1, None)
def _max(arguments: Sequence[Val]) -> Val:
    """The greatest of some numbers, or of a list of numbers."""
    return _extreme(arguments, ">")


@_function("min", 1, None)
def _min(arguments: Sequence[Val]) -> Val:
    """The least of some numbers, or of a list of numbers."""
    return _extreme(arguments, "<")


def _extreme(arguments: Sequence[Val], symbol: str) -> Known:
    items = _items(arguments, 0) if len(arguments) == 1 else arguments
    best: Known | None = None
    for index, item in enumerate(items):
        if not isinstance(item, Known) or not item.is_number:
            raise Refusal(0 if len(arguments) == 1 else index, "numbers, or one list of numbers")
        if best is None:
            best = item
            continue
        better = compare(symbol, item, best)
        if isinstance(better, SymbolicCondition):
            raise ArithmeticFault(f"`{better.text}` is not known when compiling")
        best = item if better.value is True else best
    if best is None:
        raise Refusal(0, "at least one number")
    return best


@_function("abs", 1)
def _abs(arguments: Sequence[Val]) -> Val:
    """The number without its sign."""
    return Known(abs(_real(arguments, 0)))


@_function("floor", 1)
def _floor(arguments: Sequence[Val]) -> Val:
    """The next whole number below."""
    return _round(arguments, math.floor)


@_function("ceil", 1)
def _ceil(arguments: Sequence[Val]) -> Val:
    """The next whole number above."""
    return _round(arguments, math.ceil)


@_function("round", 1)
def _nearest(arguments: Sequence[Val]) -> Val:
    """The nearest whole number; halves go to the even one, as in Python."""
    return _round(arguments, round)


def _round(arguments: Sequence[Val], rounding: Callable[[float], int]) -> Known:
    value = arguments[0]
    if isinstance(value, Known) and isinstance(value.value, Dim):
        return value
    number = _real(arguments, 0)
    if not math.isfinite(number):
        raise Refusal(0, "a finite number")
    return Known(rounding(number))


@_function("sqrt", 1)
def _sqrt(arguments: Sequence[Val]) -> Val:
    """The square root."""
    return _real_function(arguments, math.sqrt, "a number that is not below 0")


@_function("log", 1)
def _log(arguments: Sequence[Val]) -> Val:
    """The natural logarithm."""
    return _real_function(arguments, math.log, "a number above 0")


@_function("log2", 1)
def _log2(arguments: Sequence[Val]) -> Val:
    """The logarithm to base 2."""
    return _real_function(arguments, math.log2, "a number above 0")


@_function("exp", 1)
def _exp(arguments: Sequence[Val]) -> Val:
    """The exponential function."""
    return _real_function(arguments, math.exp, "a number that is not too large")


@_function("sin", 1)
def _sin(arguments: Sequence[Val]) -> Val:
    """The sine of a number of radians."""
    return _real_function(arguments, math.sin, "a finite number")


@_function("cos", 1)
def _cos(arguments: Sequence[Val]) -> Val:
    """The cosine of a number of radians."""
    return _real_function(arguments, math.cos, "a finite number")


def _real_function(
    arguments: Sequence[Val], function: Callable[[float], float], takes: str
) -> Known:
    try:
        return Known(function(_real(arguments, 0)))
    except (ValueError, OverflowError) as error:
        raise Refusal(0, takes) from error


def _real(arguments: Sequence[Val], index: int) -> Any:
    value = arguments[index]
    if isinstance(value, Known) and value.is_number:
        number = simplify(value.value) if isinstance(value.value, Dim) else value.value
        if isinstance(number, int | float):
            return number
    raise Refusal(index, "a number that is known when compiling")


def refused_value(arguments: Sequence[ArgumentValue], refusal: Refusal) -> str:
    """What the refused argument is, in words."""
    return describe(arguments[refusal.index].value)


__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "ArithmeticFault",
    "Function",
    "Poison",
    "Record",
    "Refusal",
    "WrongOperands",
    "refused_value",
    "takes_known",
]
