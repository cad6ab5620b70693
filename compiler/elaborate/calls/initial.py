"""How weights start: a number, a list of numbers, or an initializer."""

from __future__ import annotations

from compiler.elaborate.calls.described import build_hinted, find_class
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    InitialValue,
    Known,
    ListValue,
    Poison,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint
from compiler.ops.registry import OPS
from compiler.report.messages.nets import no_initializer, numbers_differ, start_needs_axes
from compiler.report.messages.shapes import shape_not_settled
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Call, Expr, Group, Name
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import INITIALIZERS, Initializer

Hinted = tuple[Initializer, tuple[tuple[str, Hint], ...]]
"""An initializer, and how its fields were written."""


def read_initializer(body: Body, expression: Expr, type: TensorType) -> Hinted | None:
    """The initializer of a weight of that type; None where it is none, which is reported."""
    value = evaluate_initializer(body, expression)
    return settle_initializer(body, ArgumentValue(value, expression.span), type)


def read_start(body: Body, expression: Expr, type: TensorType) -> Hinted | Tensor | None:
    """The same where a weight may start as a tensor that is computed."""
    value = evaluate_initializer(body, expression)
    if isinstance(value, Tensor):
        return value
    return settle_initializer(body, ArgumentValue(value, expression.span), type)


def evaluate_initializer(body: Body, expression: Expr) -> Val:
    """What an expression is where an initializer belongs: that, or a number or list of numbers."""
    cls = find_class(expression, INITIALIZERS)
    if cls is not None:
        made = build_hinted(body, expression, cls)
        return POISON if made is None else InitialValue(*made)
    return POISON if _is_unknown_word(body, expression) else body.evaluate(expression)


def settle_initializer(body: Body, given: ArgumentValue, type: TensorType) -> Hinted | None:
    """The initializer of a weight of that type that a value stands for; None where it is none,
    which is reported."""
    value = given.value
    if isinstance(value, Poison):
        return None
    if isinstance(value, InitialValue):
        return (value.initializer, value.hints) if _fits(body, given, value, type) else None
    numbers = _numbers(value)
    if isinstance(value, Known) and numbers is not None:
        hints = (("value", value.hint),) if value.hint is not None else ()
        return _make("constant", value=numbers[0]), hints
    if numbers is not None and len(numbers) == type.size.known:
        return _make("values", numbers=tuple(numbers)), ()
    if numbers is not None:
        body.report(numbers_differ(given.span, len(numbers), str(type)))
    else:
        _refuse(body, given.span, describe(value))
    return None


def _fits(body: Body, given: ArgumentValue, value: InitialValue, type: TensorType) -> bool:
    """Whether a weight of that type has the axes that an initializer is for."""
    cls = value.initializer
    if cls.least_axes <= type.rank and (cls.most_axes is None or type.rank <= cls.most_axes):
        return True
    axes = "one axis" if type.rank == 1 else f"{type.rank} axes"
    if cls.most_axes is None:
        found = f"`{cls.name}` counts inputs and outputs, and this has {axes}"
        body.report(shape_not_settled(given.span, "a weight drawn by its fan", found))
    else:
        wanted = dict.fromkeys((cls.least_axes, cls.most_axes))
        needed = " to ".join(str(axis) for axis in wanted)
        body.report(start_needs_axes(given.span, cls.name, needed, str(type)))
    return False


def _make(name: str, **fields: object) -> Initializer:
    cls = INITIALIZERS.get(name)
    assert cls is not None, f"the initializer {name} is missing"
    return cls(**fields)


def _is_unknown_word(body: Body, expression: Expr) -> bool:
    """Whether it is a call of something that nobody knows: then an initializer is meant."""
    while isinstance(expression, Group):
        expression = expression.inner
    match expression:
        case Name(text=text) | Call(function=Name(text=text)):
            known = any(text in layer for layer in body.names) or text in set(body.file.names())
            known = known or OPS.get(text) is not None
        case _:
            return False
    suggestion = did_you_mean(text, INITIALIZERS.names())
    if known or suggestion is None:
        return False
    _refuse(body, expression.span, f"`{text}`", suggestion)
    return True


def _refuse(body: Body, span: Span, found: str, suggestion: str | None = None) -> None:
    names = tuple(INITIALIZERS.names())
    body.report(no_initializer(span, found, names, suggestion))


def _numbers(value: Val) -> list[float] | None:
    """The numbers in a value, those of nested lists row by row; None where one is none."""
    match value:
        case Known(int() | float() as number):
            return [float(number)]
        case ListValue(items):
            rows = [_numbers(item) for item in items]
            known = [row for row in rows if row is not None]
            return [n for row in known for n in row] if len(known) == len(rows) else None
    return None
