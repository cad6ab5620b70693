"""`max` and `min` of several values: element by element where a tensor is among them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from compiler.elaborate.calls.primitives import apply_op
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Known,
    ListValue,
    OpLayer,
    Poison,
    Tensor,
    Val,
)
from compiler.ops.choosing import Extreme
from compiler.ops.registry import load_ops
from compiler.report.messages.functions import axis_or_number
from compiler.report.source import Span


@cache
def find_extreme(word: str) -> type[Extreme] | None:
    """The op of two tensors that a function on numbers stands for beside a tensor."""
    found = (cls for cls in load_ops().classes() if issubclass(cls, Extreme))
    return next((cls for cls in found if cls.function == word), None)


def take_extreme(
    body: Body,
    op: type[Extreme],
    arguments: Sequence[ArgumentValue],
    span: Span,
    names: tuple[str, ...],
) -> Val | None:
    """`max(x, y)`, `min(1, x)` or `max([x, y, z])`: the larger or smaller, element by element;
    None where that is not what the call says. As in PyTorch, one tensor alone is reduced, and so
    is `max(x, axis=1)`; `max(x, 1)` could mean both and is refused."""
    terms = _list_terms(arguments)
    if any(isinstance(term.value, Poison) for term in terms):
        return POISON
    tensors = [term for term in terms if isinstance(term.value, Tensor)]
    numbers = [term for term in terms if isinstance(term.value, Known) and term.value.is_number]
    if len(terms) < 2 or not tensors or len(tensors) + len(numbers) < len(terms):
        return None
    if len(arguments) == 2 and terms[0] is tensors[0] and _is_axis(*terms):
        body.report(axis_or_number(terms[1].span, op.function, op.name, _spell(terms[1].value)))
        return POISON
    total = terms[0]
    for index, term in enumerate(terms[1:], start=2):
        layer = OpLayer(op, {}, span, body.frame)
        wish = names if index == len(terms) else ()
        made = apply_op(body, layer, {"a": total, "b": term}, Application(span, names=wish))
        total = ArgumentValue(made, span)
    return total.value


def _list_terms(arguments: Sequence[ArgumentValue]) -> Sequence[ArgumentValue]:
    """The values that are compared: the arguments, or the items of the only one."""
    if len(arguments) == 1 and isinstance(arguments[0].value, ListValue):
        items = plain_items(arguments[0].value) or ()
        return [ArgumentValue(item, arguments[0].span) for item in items]
    return arguments


def _is_axis(first: ArgumentValue, second: ArgumentValue) -> bool:
    """Whether the second could be an axis of the first: a single number has none."""
    whole = isinstance(second.value, Known) and isinstance(second.value.value, int)
    return whole and isinstance(first.value, Tensor) and first.value.type.rank > 0


def _spell(value: Val) -> str:
    assert isinstance(value, Known)
    return str(value.value)
