"""How `param` and `buffer` start: a number, a list of numbers, or an initialiser."""

from __future__ import annotations

from compiler.elaborate.calls.described import build_hinted, find_class
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, ListValue, Poison, Val
from compiler.ir.hint import Hint
from compiler.report.messages.nets import no_initializer
from compiler.report.messages.shapes import shape_not_settled
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Call, Expr, Group, Name
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import INITIALIZERS, Initializer

Hinted = tuple[Initializer, tuple[tuple[str, Hint], ...]]
"""An initialiser, and how its fields were written."""


def read_initializer(body: Body, expression: Expr, type: TensorType) -> Hinted | None:
    """The initialiser of a weight of that type; None where it is none, which is reported."""
    cls = find_class(expression, INITIALIZERS)
    if cls is not None:
        made = build_hinted(body, expression, cls)
        if made is not None and type.rank < cls.least_axes:
            axes = "one axis" if type.rank == 1 else f"{type.rank} axes"
            found = f"`{cls.name}` counts inputs and outputs, and this has {axes}"
            body.report(shape_not_settled(expression.span, "a weight drawn by its fan", found))
            return None
        return made
    if _is_unknown_word(body, expression):
        return None
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    numbers = _numbers(value)
    if isinstance(value, Known) and numbers is not None:
        hints = (("value", value.hint),) if value.hint is not None else ()
        return _make("constant", value=numbers[0]), hints
    if numbers is not None and len(numbers) == type.size.known:
        return _make("values", numbers=tuple(numbers)), ()
    _refuse(body, expression, describe(value))
    return None


def _make(name: str, **fields: object) -> Initializer:
    cls = INITIALIZERS.get(name)
    assert cls is not None, f"the initialiser {name} is missing"
    return cls(**fields)


def _is_unknown_word(body: Body, expression: Expr) -> bool:
    """Whether it is a call of something that nobody knows: then an initialiser is meant."""
    while isinstance(expression, Group):
        expression = expression.inner
    match expression:
        case Name(text=text) | Call(function=Name(text=text)):
            known = any(text in layer for layer in body.names) or text in set(body.file.names())
        case _:
            return False
    suggestion = did_you_mean(text, INITIALIZERS.names())
    if known or suggestion is None:
        return False
    _refuse(body, expression, f"`{text}`", suggestion)
    return True


def _refuse(body: Body, expression: Expr, found: str, suggestion: str | None = None) -> None:
    names = tuple(INITIALIZERS.names())
    body.report(no_initializer(expression.span, found, names, suggestion))


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
