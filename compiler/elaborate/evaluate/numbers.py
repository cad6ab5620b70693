"""Arithmetic that a comprehension repeats, made ready once: a tree of expressions as closures.

`[(k // 7 + 6) * 13 for k in 0..2401]` asks the same of every item. Names that do not change are
looked up once and what is made of them alone is computed once; what is left is a few calls for each
item, without hints, which such a number has none of. A closure raises `Unusual` where the result
would not be a plain number that `calculate` and `compare` give too: the item is then evaluated in
full, with its diagnostics.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lookup import find_value
from compiler.elaborate.values.values import Known, Val
from compiler.ir.hint import HintConst
from compiler.records import dataclass
from compiler.text.tree.syntax import Binary, Bool, Conditional, Expr, Group, Name, Number, Unary
from compiler.types.dims import MAX_BITS

Compute = Callable[[Any], Any]

STEPS = 10
"""Closures that cost as much as one expression evaluated in full."""

_LIMIT = 2**MAX_BITS
"""Whole numbers are below it; where a float is not, that is for the full evaluation to say."""


class Unusual(Exception):
    """An item whose value is for the full evaluation to find."""


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int):
        if (base.bit_length() - 1) * exponent > MAX_BITS:
            raise Unusual
    elif base < 0:
        raise Unusual  # it may be a complex number
    return base**exponent


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "/": operator.truediv,
    "%": operator.mod,
    "**": _power,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Prepared:
    """The value of an expression for each value of one name; `work` is what one costs, in
    expressions evaluated."""

    compute: Compute
    work: int

    def __call__(self, item: Val) -> Val | None:
        """The value for an item; None where it takes the full evaluation."""
        if not isinstance(item, Known) or item.unit is not None:
            return None
        if not isinstance(item.hint, HintConst | None):
            return None
        if not isinstance(item.value, int | float):
            return None
        try:
            value = self.compute(item.value)
        except (Unusual, ArithmeticError):
            return None
        return Known(value)


def prepare(body: Body, name: str, expression: Expr) -> Prepared | None:
    """An expression as closures of one name; None where it is more than arithmetic on that name,
    or does not read it."""
    part = _Preparation(body, name).visit(expression)
    if part is None or part.constant:
        return None
    return Prepared(part.compute, part.steps // STEPS)


@dataclass(frozen=True)
class _Part:
    """An expression made ready, of so many closures; a constant one does not read the name.
    `truth` says whether the result is a bool."""

    compute: Compute
    steps: int
    constant: bool
    truth: bool = False


class _Preparation:
    def __init__(self, body: Body, name: str) -> None:
        self.body = body
        self.name = name

    def visit(self, expression: Expr) -> _Part | None:
        match expression:
            case Group(inner=inner):
                return self.visit(inner)
            case Number(value=value, unit=None):
                return _constant(value)
            case Bool(value=value):
                return _constant(value)
            case Name(text=text):
                return self.name_part(expression, text)
            case Unary(operator=symbol, operand=operand):
                return _sign(symbol, self.visit(operand))
            case Binary():
                return self.binary(expression)
            case Conditional():
                return self.choice(expression)
        return None

    def name_part(self, expression: Name, text: str) -> _Part | None:
        if text == self.name:
            return _Part(lambda item: item, 1, constant=False)
        value = find_value(self.body, expression)
        if not isinstance(value, Known) or not isinstance(value.value, int | float):
            return None
        return _constant(value.value)

    def binary(self, expression: Binary) -> _Part | None:
        left, right = self.visit(expression.left), self.visit(expression.right)
        if left is None or right is None:
            return None
        symbol = expression.operator
        if symbol in ("and", "or"):
            # With a constant on the left, the hint of that decides how the condition is shown.
            if left.constant or not (left.truth and right.truth):
                return None
            return _join(left, right, symbol)
        if symbol in _COMPARISONS:
            return _compare(left, right, symbol)
        if symbol not in _ARITHMETIC or left.truth or right.truth:
            return None
        return _calculate(left, right, _ARITHMETIC[symbol])

    def choice(self, expression: Conditional) -> _Part | None:
        parts = [
            self.visit(e) for e in (expression.condition, expression.then, expression.otherwise)
        ]
        condition, then, otherwise = parts
        if condition is None or then is None or otherwise is None:
            return None
        if condition.constant or not condition.truth or then.truth != otherwise.truth:
            return None
        test, first, second = condition.compute, then.compute, otherwise.compute
        return _Part(
            lambda item: first(item) if test(item) else second(item),
            1 + condition.steps + then.steps + otherwise.steps,
            constant=False,
            truth=then.truth,
        )


def _constant(value: int | float | bool) -> _Part:
    return _Part(lambda item: value, 0, constant=True, truth=isinstance(value, bool))


def _settle(part: _Part) -> _Part | None:
    """A part of constants alone, computed."""
    try:
        value = part.compute(None)
    except (Unusual, ArithmeticError):
        return None
    return _constant(value)


def _calculate(left: _Part, right: _Part, apply: Callable[[Any, Any], Any]) -> _Part | None:
    first, second, limit = left.compute, right.compute, _LIMIT
    if right.constant and not left.constant:
        number = second(None)

        def compute(item: Any) -> Any:
            value = apply(first(item), number)
            if -limit < value < limit:
                return value
            raise Unusual

    else:

        def compute(item: Any) -> Any:
            value = apply(first(item), second(item))
            if -limit < value < limit:
                return value
            raise Unusual

    steps = 1 + left.steps + right.steps
    part = _Part(compute, steps, constant=left.constant and right.constant)
    return _settle(part) if part.constant else part


def _compare(left: _Part, right: _Part, symbol: str) -> _Part | None:
    if left.truth != right.truth or (left.truth and symbol not in ("==", "!=")):
        return None
    first, second, apply = left.compute, right.compute, _COMPARISONS[symbol]
    part = _Part(
        lambda item: apply(first(item), second(item)),
        1 + left.steps + right.steps,
        constant=left.constant and right.constant,
        truth=True,
    )
    return _settle(part) if part.constant else part


def _join(left: _Part, right: _Part, symbol: str) -> _Part:
    first, second = left.compute, right.compute
    both = symbol == "and"
    return _Part(
        lambda item: (first(item) and second(item)) if both else (first(item) or second(item)),
        1 + left.steps + right.steps,
        constant=False,
        truth=True,
    )


def _sign(symbol: str, part: _Part | None) -> _Part | None:
    if part is None or part.truth != (symbol == "not"):
        return None
    if symbol == "+":
        return part
    inner = part.compute
    apply = operator.not_ if symbol == "not" else operator.neg
    made = _Part(
        lambda item: apply(inner(item)), 1 + part.steps, constant=part.constant, truth=part.truth
    )
    return _settle(made) if made.constant else made
