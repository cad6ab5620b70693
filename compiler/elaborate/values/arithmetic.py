"""Arithmetic and comparisons of compile-time numbers, exact, with the hint kept beside it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from compiler.elaborate.values.parts import find_hint
from compiler.elaborate.values.values import (
    ArgumentValue,
    Known,
    ListValue,
    Range,
    SymbolicCondition,
    Val,
)
from compiler.ir.hint import (
    HINT_FUNCTIONS,
    Hint,
    HintBinary,
    HintCall,
    HintUnary,
    hint_size,
    mark_names,
)
from compiler.types.dims import MAX_BITS, Dim, DimError, DimTooLarge, at_most, equal

MAX_TERMS = 24
"""Terms of the longest hint."""


class ArithmeticFault(Exception):
    """Arithmetic that has no result; the text says why, in the user's words."""


class WrongOperands(Exception):
    """The operator means nothing for operands of these kinds."""


_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def calculate(symbol: str, left: Known, right: Known) -> Known:
    """`left symbol right` for + - * / // % **.

    Raises:
        WrongOperands: they are no numbers (strings join with `+`).
        ArithmeticFault: a division by zero, or a quotient of sizes that is not whole.
    """
    a, b = left.value, right.value
    if isinstance(a, str) and isinstance(b, str) and symbol == "+":
        return Known(a + b, _combine(symbol, left, right))
    if not (left.is_number and right.is_number):
        raise WrongOperands
    assert isinstance(a, int | float | Dim)
    assert isinstance(b, int | float | Dim)
    if isinstance(a, Dim) or isinstance(b, Dim):
        symbol, value = _calculate_sizes(symbol, a, b)
    else:
        value = _calculate_numbers(symbol, a, b)
    return Known(value, _combine(symbol, left, right))


def _calculate_numbers(symbol: str, a: int | float, b: int | float) -> int | float:
    whole = isinstance(a, int) and isinstance(b, int)
    if symbol in ("/", "//", "%") and b == 0:
        raise ArithmeticFault(f"{a} {symbol} {b} divides by zero")
    if symbol in ("**", "*") and whole:
        _check_growth(symbol, int(a), int(b))
    try:
        value = _APPLY[symbol](a, b)
    except (OverflowError, ZeroDivisionError) as error:
        raise ArithmeticFault(f"{a} {symbol} {b} has no finite result") from error
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ArithmeticFault(f"the result has more than {MAX_BITS} bits")
    if isinstance(value, complex):
        raise ArithmeticFault(f"{a} {symbol} {b} is not a real number")
    assert isinstance(value, int | float)
    return value


def _check_growth(symbol: str, a: int, b: int) -> None:
    """Refuses a result that is not worth computing; one that is near the limit is."""
    bits = (a.bit_length() - 1) * b if symbol == "**" else a.bit_length() + b.bit_length() - 2
    if bits > MAX_BITS:
        raise ArithmeticFault(f"the result has more than {MAX_BITS} bits")


def _calculate_sizes(symbol: str, a: int | float | Dim, b: int | float | Dim) -> tuple[str, Any]:
    """Exact arithmetic where at least one side is a size that is not known."""
    if isinstance(a, float) or isinstance(b, float):
        if isinstance(a, float) and a.is_integer():
            a = int(a)
        elif isinstance(b, float) and b.is_integer():
            b = int(b)
        else:
            size, number = (a, b) if isinstance(a, Dim) else (b, a)
            raise ArithmeticFault(
                f"`{size}` is a size that is not known when compiling; it takes whole numbers, "
                f"and {number!r} is none"
            )
    try:
        if symbol == "**":
            if not isinstance(b, int) or not 0 <= b <= 8:
                raise ArithmeticFault("a size takes a power from 0 to 8")
            value: Dim = Dim.of(a) ** b  # type: ignore[arg-type]
        else:
            value = _APPLY[symbol](a, b)
    except DimTooLarge as error:
        raise ArithmeticFault(str(error)) from error
    except DimError as error:
        reason = "is not provably whole" if symbol == "/" and b != 0 else "divides by zero"
        raise ArithmeticFault(f"{_enclose(a)} {symbol} {_enclose(b)} {reason}") from error
    return "//" if symbol == "/" else symbol, simplify(value)


def _enclose(size: int | float | Dim) -> str:
    text = str(size)
    return f"({text})" if " " in text else text


def compare(symbol: str, left: Known, right: Known) -> Known | SymbolicCondition:
    """`left symbol right` for == != < <= > >=.

    Raises:
        WrongOperands: values of these kinds have no order.
        ArithmeticFault: the sizes cannot be compared before a run, and the comparison is one
            that no run-time check can stand for.
    """
    a, b = left.value, right.value
    hint = _combine(symbol, left, right)
    if isinstance(a, Dim) or isinstance(b, Dim):
        if left.is_number and right.is_number:
            return _compare_sizes(symbol, a, b, hint)
        return Known(_differ(symbol), hint)
    if symbol in ("==", "!="):
        same = a == b and isinstance(a, bool) == isinstance(b, bool)
        return Known(same if symbol == "==" else not same, hint)
    if (left.is_number and right.is_number) or (isinstance(a, str) and isinstance(b, str)):
        return Known(_COMPARE[symbol](a, b), hint)
    raise WrongOperands


def _differ(symbol: str) -> bool:
    if symbol not in ("==", "!="):
        raise WrongOperands
    return symbol == "!="


def _compare_sizes(symbol: str, a: Any, b: Any, hint: Hint | None) -> Known | SymbolicCondition:
    if isinstance(a, float) or isinstance(b, float):
        size, number = (a, b) if isinstance(a, Dim) else (b, a)
        if not float(number).is_integer():
            if symbol in ("==", "!="):
                return Known(symbol == "!=", hint)
            raise ArithmeticFault(f"`{size}` is not known when compiling")
        a, b = (a, int(b)) if isinstance(b, float) else (int(a), b)
    text = f"{a} {symbol} {b}"
    if symbol in ("==", "!="):
        same = equal(a, b)
        if same is not None:
            return Known(same if symbol == "==" else not same, hint)
        relation = (Dim.of(a), symbol, Dim.of(b))
        return SymbolicCondition((relation,), text)
    if symbol in (">", ">="):
        a, b, symbol = b, a, "<" if symbol == ">" else "<="
    if symbol == "<":
        a, symbol = a + 1, "<="
    decided = at_most(a, b)
    if decided is not None:
        return Known(decided, hint)
    return SymbolicCondition(((Dim.of(a), "<=", Dim.of(b)),), text)


def negative(value: Known) -> Known:
    """`-value`.

    Raises:
        WrongOperands: it is no number.
    """
    if not value.is_number:
        raise WrongOperands
    hint = None if value.hint is None else HintUnary("-", value.hint)
    return Known(-value.value, hint)  # type: ignore[operator]


def simplify(value: int | Dim) -> int | Dim:
    """A size as an int where it is known."""
    if isinstance(value, Dim) and value.known is not None:
        return value.known
    return value


def whole(value: Known) -> int | Dim | None:
    """The number as a whole one: an int, a size, or a float without a fraction."""
    match value.value:
        case bool() | str() | None:
            return None
        case int() | Dim() as number:
            return simplify(number)
        case float() as number:
            return int(number) if math.isfinite(number) and number.is_integer() else None


def combine_hints(symbol: str, left: Hint | None, right: Hint | None) -> Hint | None:
    """The hint of `left symbol right`; only the names in it where it would be longer than a person
    would write. That bound also keeps sums that grow in a loop cheap."""
    if left is None or right is None:
        return _mark_known(left, right)
    if hint_size(left) + hint_size(right) >= MAX_TERMS:
        return mark_names(left, right)
    return HintBinary(symbol, left, right)


def _mark_known(*hints: Hint | None) -> Hint | None:
    """What is left of a number that is not known in full: the names that it follows, if any."""
    marked = mark_names(*(hint for hint in hints if hint is not None))
    return marked if marked.arguments else None


def note_call(name: str, value: Val, arguments: Sequence[ArgumentValue]) -> Val:
    """The result of a function with how it was written, where Python has the function too."""
    hints = [find_hint(argument.value) for argument in arguments]
    known = [hint for hint in hints if hint is not None]
    if name not in HINT_FUNCTIONS:
        return value
    if len(known) < len(hints):
        return replace_hint(value, _mark_known(*known))
    if sum(map(hint_size, known)) >= MAX_TERMS:
        return replace_hint(value, mark_names(*known))
    return replace_hint(value, HintCall(name, tuple(known)))


def replace_hint(value: Val, hint: Hint | None) -> Val:
    """A number or list as something else that is written for it."""
    return replace(value, hint=hint) if isinstance(value, Known | ListValue | Range) else value


def _combine(symbol: str, left: Known, right: Known) -> Hint | None:
    return combine_hints(symbol, left.hint, right.hint)
