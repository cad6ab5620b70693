"""Lists as tensors: `tensor([0.485, 0.456])`, and the sum of a list of tensors."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.calls.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.calls.gathering import note_sum
from compiler.elaborate.calls.primitives import apply_built, apply_op
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_none, list_hints, plain_items
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    DTypeValue,
    Known,
    ListValue,
    OpLayer,
    Poison,
    Range,
    Tensor,
    Val,
)
from compiler.ir.hint import hint_atoms, mark_names
from compiler.ops.broadcasting import literal_dtype
from compiler.ops.registry import OPS
from compiler.report.messages.arguments import wrong_argument
from compiler.report.source import Span

_SIGNATURE = Signature(
    "tensor",
    (
        Formal("values", False, True, lambda _: True),
        Formal("dtype", False, False, lambda _: True),
    ),
)

Number = int | float | bool


def make_tensor(body: Body, actuals: Sequence[Actual], span: Span, names: tuple[str, ...]) -> Val:
    """`tensor(list)`: a constant with the numbers of nested lists."""
    match = match_call(_SIGNATURE, actuals, 0)
    if not match.holds:
        for fault in match.find_faults(_SIGNATURE, span):
            body.report(fault)
        return POISON
    values, dtype = match.given["values"], match.given.get("dtype")
    if isinstance(values.value, Poison):
        return POISON
    if isinstance(values.value, Tensor):
        return values.value
    laid_out = _lay_out(values.value)
    if laid_out is None:
        found = describe(values.value)
        if isinstance(values.value, ListValue):
            found = "a list that holds something else, or rows of different lengths"
        body.report(wrong_argument(values.span, "tensor", "values", "a list of numbers", found))
        return POISON
    numbers, shape = laid_out
    chosen = literal_dtype(sum(numbers, 0) if numbers else 0.0, ())
    if all(isinstance(n, bool) for n in numbers) and numbers:
        chosen = literal_dtype(True, ())
    if dtype is not None and not is_none(dtype.value):
        if not isinstance(dtype.value, DTypeValue):
            expected, found = "a dtype such as f32", describe(dtype.value)
            body.report(wrong_argument(dtype.span, "tensor", "dtype", expected, found))
            return POISON
        chosen = dtype.value.dtype
    cls = OPS.get("constant")
    assert cls is not None, "the op that holds numbers is missing"
    value = tuple(numbers) if shape else numbers[0]
    op = cls(value=value, dtype=chosen, shape=shape)  # type: ignore[call-arg]
    written = tuple(list_hints(values.value))
    hint = written[0] if written and not shape else mark_names(*written)
    follows = any(True for _ in hint_atoms(hint))
    hints = (("value", hint),) if follows else ()
    return apply_built(body, op, (), Application(span, names=names), hints)


def _lay_out(value: Val) -> tuple[list[Number], tuple[int, ...]] | None:
    """Numbers row by row and their shape; None where rows differ or something is no number."""
    match value:
        case Known(bool() | int() | float() as number):
            return [number], ()
        case ListValue() | Range():
            rows = [_lay_out(item) for item in plain_items(value) or ()]
            known = [row for row in rows if row is not None]
            if not known or len(known) != len(rows) or len({row[1] for row in known}) != 1:
                return None
            return [n for row in known for n in row[0]], (len(known), *known[0][1])
    return None


def sum_tensors(body: Body, item: ArgumentValue, span: Span, names: tuple[str, ...]) -> Val | None:
    """`sum([a, b, c])` of tensors; None where it is no list with a tensor in it."""
    items = plain_items(item.value) if isinstance(item.value, ListValue) else None
    if not items or not any(isinstance(i, Tensor) for i in items):
        return None
    cls = OPS.get("add")
    assert cls is not None, "the op of sums is missing"
    layer = OpLayer(cls, {}, span, body.frame)
    total = items[0]
    for index, term in enumerate(items[1:], start=2):
        wish = names if index == len(items) else ()
        given = {"a": ArgumentValue(total, item.span), "b": ArgumentValue(term, item.span)}
        total = apply_op(body, layer, given, Application(span, names=wish))
    source = item.value.source if isinstance(item.value, ListValue) else None
    if isinstance(total, Tensor) and source is not None:
        return note_sum(body, source, total, names)
    return total
