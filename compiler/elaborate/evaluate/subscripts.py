"""Subscripts: items and slices of lists, and `x[:, 0, none, ..., positions]` of tensors."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.calls.gathering import lose, pick
from compiler.elaborate.calls.primitives import apply_built
from compiler.elaborate.scopes.application import Application, ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.arithmetic import replace_hint, whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint, is_none, plain_items
from compiler.elaborate.values.values import (
    NONE,
    POISON,
    ArgumentValue,
    Known,
    ListValue,
    NetValue,
    Poison,
    Range,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint, HintCall, HintConst, HintItem, find_readable, whole_hint
from compiler.ops.items import IndexItem, NewAxis, Rest, SliceItem, TensorIndex
from compiler.ops.registry import OPS
from compiler.report.diagnostics import Message
from compiler.report.messages.functions import not_whole, unknown_when_compiling
from compiler.report.messages.values import not_a_list, outside_list
from compiler.text.tree.syntax import Expr, Slice, Subscript
from compiler.text.tree.syntax import Rest as RestSyntax
from compiler.types.dims import Dim


def evaluate_subscript(body: Body, expression: Subscript, want: ExpectedUse) -> Val:
    """The value of `base[indices]`."""
    base = body.evaluate(expression.base)
    if isinstance(base, Poison):
        for index in expression.indices:
            if not isinstance(index, Slice | RestSyntax):
                body.evaluate(index)
        return POISON
    if isinstance(base, Tensor):
        return _index_tensor(body, expression, base, want)
    items = plain_items(base)
    if isinstance(base, Known) and isinstance(base.value, str):
        items = tuple(Known(char) for char in base.value)
    if items is None:
        body.report(not_a_list(expression.base.span, describe(base)))
        return POISON
    picked = _index_list(body, expression, items, base, want)
    if isinstance(base, Known) and isinstance(picked, ListValue):
        return Known("".join(str(i.value) for i in picked.items if isinstance(i, Known)))
    return picked


# --- lists ------------------------------------------------------------------------------------


def _index_list(
    body: Body, expression: Subscript, items: Sequence[Val], base: Val, want: ExpectedUse
) -> Val:
    """One item of a list or several."""
    hint = find_readable(find_hint(base))
    source = base.source if isinstance(base, ListValue) else None
    if len(expression.indices) != 1 or isinstance(expression.indices[0], RestSyntax):
        body.report(not_whole(expression.indices[-1].span, "the index of a list", "several items"))
        return POISON
    index = expression.indices[0]
    if isinstance(index, Slice):
        ends = [index.start, index.stop, *([index.step] if index.step is not None else [])]
        values = [NONE if end is None else body.evaluate(end) for end in ends]
        bounds = [
            None if end is None else _whole_bound(body, end, value)
            for end, value in zip(ends, values, strict=True)
        ]
        if any(isinstance(b, Poison) for b in bounds) or bounds[2:] == [0]:
            return POISON
        start, stop, *step = (b if isinstance(b, int) else None for b in bounds)
        cut = items[start : stop : step[0] if step else None]
        picked = ListValue(tuple(cut) if source is None else lose(cut, source))
        return replace_hint(picked, _slice_hint(hint, values))
    place = body.evaluate(index)
    number = _whole_bound(body, index, place)
    if isinstance(number, Poison):
        return POISON
    if not -len(items) <= number < len(items):
        body.report(outside_list(index.span, number, len(items)))
        return POISON
    own = find_hint(place)
    item = items[number]
    if isinstance(item, NetValue) and own is not None:
        body.picked[item] = whole_hint(own)
    if source is not None and isinstance(item, Tensor):
        return pick(body, source, item, number, own and whole_hint(own), want, index.span)
    if hint is None or own is None:
        return item if find_hint(item) is not None else replace_hint(item, find_hint(base))
    return replace_hint(item, _pick_hint(hint, whole_hint(own)))


def _pick_hint(hint: Hint, own: Hint) -> Hint:
    """`widths[1]` for the first item of `widths[1:]`."""
    match hint, own:
        case (
            HintItem(items, HintCall("slice", (HintConst(int() as start), HintConst(None)))),
            HintConst(int() as number),
        ) if start >= 0 <= number:
            return HintItem(items, HintConst(start + number))
    return HintItem(hint, own)


def _slice_hint(hint: Hint | None, bounds: Sequence[Val]) -> Hint | None:
    """How some items of a list were written: `depths[1:]`."""
    known = [whole_hint(own) for bound in bounds if (own := find_hint(bound)) is not None]
    if hint is None or len(known) < len(bounds):
        return None
    return HintItem(hint, HintCall("slice", tuple(known)))


def _bound(body: Body, expression: Expr | None) -> int | Poison | None:
    """A bound of a slice of a list, or an index."""
    if expression is None:
        return None
    return _whole_bound(body, expression, body.evaluate(expression))


def _whole_bound(body: Body, expression: Expr, value: Val) -> int | Poison:
    if isinstance(value, Poison):
        return POISON
    number = whole(value) if isinstance(value, Known) else None
    if isinstance(number, int):
        return number
    if isinstance(value, Tensor) or isinstance(number, Dim):
        body.report(unknown_when_compiling(expression.span, "an index of a list", describe(value)))
    else:
        body.report(_refuse_index(expression, "an index of a list", value))
    return POISON


def _refuse_index(expression: Expr, what: str, value: Val) -> Message:
    is_range = isinstance(value, Range)
    return not_whole(expression.span, what, describe(value), is_range=is_range)


# --- tensors ----------------------------------------------------------------------------------


class _Items:
    """The items of a tensor's subscript, with the tensors among them and the hints."""

    def __init__(self, body: Body, base: ArgumentValue) -> None:
        self.body = body
        self.items: list[IndexItem] = []
        self.operands: list[ArgumentValue] = [base]
        self.hints: list[tuple[str, Hint]] = []
        self.refused = False

    def add(self, index: Expr | Slice | RestSyntax) -> None:
        """Reads one item."""
        position = len(self.items)
        if isinstance(index, RestSyntax):
            self.items.append(Rest())
            return
        if isinstance(index, Slice):
            self.add_slice(index, position)
            return
        value = self.body.evaluate(index)
        if isinstance(value, Poison):
            self.refused = True
        elif is_none(value):
            self.items.append(NewAxis())
        elif isinstance(value, Tensor):
            self.items.append(TensorIndex(len(self.operands)))
            self.operands.append(ArgumentValue(value, index.span))
        else:
            number = self.number(value, index, f"items.{position}")
            if number is not None:
                self.items.append(number)

    def add_slice(self, index: Slice, position: int) -> None:
        """Reads `start:stop:step`."""
        start = self.bound(index.start, f"items.{position}.start")
        stop = self.bound(index.stop, f"items.{position}.stop")
        step = self.bound(index.step, f"items.{position}.step")
        if isinstance(step, Dim):
            assert index.step is not None
            found = f"the size {step}"
            self.body.report(unknown_when_compiling(index.step.span, "the step of a slice", found))
            self.refused = True
            return
        self.items.append(SliceItem(start, stop, 1 if step is None else step))

    def bound(self, expression: Expr | None, field: str) -> int | Dim | None:
        """One bound of a slice; None where it is left out or refused."""
        if expression is None:
            return None
        value = self.body.evaluate(expression)
        if isinstance(value, Poison):
            self.refused = True
            return None
        number = None if is_none(value) else self.number(value, expression, field)
        return _clip(number) if isinstance(number, int) else number

    def number(self, value: Val, expression: Expr, field: str) -> int | Dim | None:
        """A whole number; None where it is refused."""
        number = whole(value) if isinstance(value, Known) else None
        if number is None:
            self.refused = True
            if isinstance(value, Tensor):
                what, found = "a bound of a slice", describe(value)
                self.body.report(unknown_when_compiling(expression.span, what, found))
            else:
                self.body.report(_refuse_index(expression, "an index", value))
        elif isinstance(value, Known) and value.hint is not None:
            self.hints.append((field, value.hint))
        return number


def _index_tensor(body: Body, expression: Subscript, base: Tensor, want: ExpectedUse) -> Val:
    items = _Items(body, ArgumentValue(base, expression.base.span))
    for index in expression.indices:
        items.add(index)
    if items.refused:
        return POISON
    cls = OPS.get("index")
    assert cls is not None, "the op of subscripts is missing"
    op = cls(items=tuple(items.items))  # type: ignore[call-arg]
    span = expression.indices[0].span.to(expression.indices[-1].span)
    application = Application(span, names=want.names)
    return apply_built(body, op, items.operands, application, tuple(items.hints))


def _clip(bound: int) -> int:
    """A bound or step of a slice with which 64 bits can reckon: beyond every axis it is all the
    same."""
    return min(max(bound, -(2**62)), 2**62)
