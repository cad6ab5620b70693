"""Compile-time conditions and lists: decided, gone through, or refused with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import Known, Poison, Range, SymbolicCondition, Tensor, Val
from compiler.ir.hint import HintConst
from compiler.report.messages.functions import unknown_when_compiling
from compiler.report.messages.values import condition_not_bool, condition_undecided, not_a_list
from compiler.report.source import Span
from compiler.types.dims import Dim


def decide(body: Body, condition: Val, span: Span) -> bool | None:
    """Whether a condition holds; None where that cannot be said, which is reported."""
    match condition:
        case Poison():
            return None
        case Known(bool() as value):
            return value
        case SymbolicCondition(_, text):
            body.report(condition_undecided(span, text))
        case Tensor():
            hint = "a choice at run time is `where(condition, a, b)`"
            body.report(unknown_when_compiling(span, "a condition", describe(condition), hint))
        case Known(None):
            body.report(condition_not_bool(span, describe(condition), "compare it: `… != none`"))
        case Known() if condition.is_number:
            body.report(condition_not_bool(span, describe(condition), "compare it: `… != 0`"))
        case _:
            body.report(condition_not_bool(span, describe(condition)))
    return None


def iterate(body: Body, value: Val, span: Span) -> Sequence[Val] | None:
    """The items that a `for` goes through; None where it is no list, which is reported."""
    if isinstance(value, Poison):
        return None
    if isinstance(value, Range):
        numbers = value.values
        if numbers is None:
            ends = [e for e in (value.start, value.stop) if isinstance(e, Dim)]
            hint = "a loop over a size that only a run knows is a `scan`"
            found = f"the size {ends[0]}"
            body.report(unknown_when_compiling(span, "the number of turns", found, hint))
            return None
        length = value.length
        assert isinstance(length, int)
        body.session.spend(length, span)
        return tuple(Known(number, HintConst(number)) for number in numbers)
    items = plain_items(value)
    if items is None:
        advice: str | None = None
        if isinstance(value, Known) and isinstance(value.value, int):
            advice = f"to count, write `0..{value.value}`"
        elif isinstance(value, Tensor):
            advice = "a loop over a tensor at run time is a `scan`; `unbind` takes it apart"
        body.report(not_a_list(span, describe(value), advice))
        return None
    body.session.spend(len(items), span)
    return items
