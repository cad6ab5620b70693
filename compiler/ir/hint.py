"""Hints: compile-time expressions as the spec's author wrote them, kept beside their values.

A hint is never trusted: whoever prints one first evaluates it in every instance. They are terms,
not text, so that folding cannot rewrite digits inside strings and parentheses come out right.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from compiler.records import dataclass

Scalar = int | float | bool | str | None


@dataclass(frozen=True)
class HintName:
    """A parameter or bound dim of the enclosing block, e.g. `channels`."""

    name: str


@dataclass(frozen=True)
class HintConst:
    """A literal."""

    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class HintBinary:
    """`left operator right`; Python's operators, with `and`, `or` and comparisons among them."""

    operator: str
    left: Hint
    right: Hint


@dataclass(frozen=True)
class HintUnary:
    """`-operand` or `not operand`."""

    operator: str
    operand: Hint


@dataclass(frozen=True)
class HintChoose:
    """`then if condition else otherwise`."""

    condition: Hint
    then: Hint
    otherwise: Hint


Hint = HintName | HintConst | HintBinary | HintUnary | HintChoose


class HintError(Exception):
    """A hint that cannot be evaluated: a name without value, a division by zero."""


_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("or",),
    ("and",),
    ("not",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "//", "%"),
    ("neg",),
    ("**",),
)
_LEVEL = {op: level for level, ops in enumerate(_LEVELS) for op in ops}


def evaluate_hint(hint: Hint, names: Mapping[str, object]) -> object:
    """The value of a hint.

    Raises:
        HintError: a name is missing or the arithmetic fails.
    """
    try:
        return _evaluate(hint, names)
    except (KeyError, TypeError, ArithmeticError, ValueError) as error:
        raise HintError(str(error)) from error


def _evaluate(hint: Hint, names: Mapping[str, object]) -> object:
    match hint:
        case HintConst(value):
            return value
        case HintName(name):
            return names[name]
        case HintUnary("not", operand):
            return not _evaluate(operand, names)
        case HintUnary(_, operand):
            return operator.neg(_evaluate(operand, names))  # type: ignore[arg-type]
        case HintChoose(condition, then, otherwise):
            return _evaluate(then if _evaluate(condition, names) else otherwise, names)
        case HintBinary("and", left, right):
            return _evaluate(left, names) and _evaluate(right, names)
        case HintBinary("or", left, right):
            return _evaluate(left, names) or _evaluate(right, names)
        case HintBinary(symbol, left, right):
            return _APPLY[symbol](_evaluate(left, names), _evaluate(right, names))


def hint_names(hint: Hint) -> Iterator[str]:
    """Every name a hint reads, in order, with repetitions."""
    match hint:
        case HintName(name):
            yield name
        case HintUnary(_, operand):
            yield from hint_names(operand)
        case HintBinary(_, left, right):
            yield from hint_names(left)
            yield from hint_names(right)
        case HintChoose(condition, then, otherwise):
            yield from hint_names(condition)
            yield from hint_names(then)
            yield from hint_names(otherwise)


def hint_size(hint: Hint) -> int:
    """Number of terms in a hint."""
    match hint:
        case HintUnary(_, operand):
            return 1 + hint_size(operand)
        case HintBinary(_, left, right):
            return 1 + hint_size(left) + hint_size(right)
        case HintChoose(condition, then, otherwise):
            return 1 + hint_size(condition) + hint_size(then) + hint_size(otherwise)
    return 1


def rename_hint(hint: Hint, names: Mapping[str, Hint]) -> Hint:
    """The hint with names replaced by other hints."""
    match hint:
        case HintName(name):
            return names.get(name, hint)
        case HintUnary(symbol, operand):
            return HintUnary(symbol, rename_hint(operand, names))
        case HintBinary(symbol, left, right):
            return HintBinary(symbol, rename_hint(left, names), rename_hint(right, names))
        case HintChoose(condition, then, otherwise):
            parts = (rename_hint(h, names) for h in (condition, then, otherwise))
            return HintChoose(*parts)
        case _:
            return hint


def hint_text(hint: Hint, level: int = 0) -> str:
    """A hint as a Python expression; `level` is the binding strength of what stands around it."""
    match hint:
        case HintConst(value):
            return repr(value)
        case HintName(name):
            return name
        case HintUnary(symbol, operand):
            own = _LEVEL["not" if symbol == "not" else "neg"]
            text = ("not " if symbol == "not" else "-") + hint_text(operand, own)
        case HintChoose(condition, then, otherwise):
            own = -1
            text = (
                f"{hint_text(then, 0)} if {hint_text(condition, 0)} else {hint_text(otherwise, -1)}"
            )
        case HintBinary(symbol, left, right):
            own = _LEVEL[symbol]
            right_level = own if symbol in ("**", "and", "or") else own + 1
            left_level = own + 1 if symbol == "**" or own == _LEVEL["=="] else own
            text = f"{hint_text(left, left_level)} {symbol} {hint_text(right, right_level)}"
    return f"({text})" if own < level else text


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def opposite(condition: Hint) -> Hint:
    """The opposite of a condition, as a person writes it."""
    match condition:
        case HintUnary("not", operand):
            return operand
        case HintBinary(symbol, left, right) if symbol in _OPPOSITE:
            return HintBinary(_OPPOSITE[symbol], left, right)
    return HintUnary("not", condition)
