"""Expressions: each form to its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from compiler.elaborate.calls.gathering import note_list
from compiler.elaborate.calls.modes import evaluate_condition, evaluate_versions
from compiler.elaborate.evaluate.attributes import evaluate_attribute
from compiler.elaborate.evaluate.calls import evaluate_call
from compiler.elaborate.evaluate.conditions import decide, iterate
from compiler.elaborate.evaluate.numbers import prepare
from compiler.elaborate.evaluate.operators import evaluate_binary, evaluate_unary, read_hint
from compiler.elaborate.evaluate.pipes import evaluate_named, evaluate_pipe
from compiler.elaborate.evaluate.subscripts import evaluate_subscript
from compiler.elaborate.evaluate.unpacking import bind_items
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, find_guard
from compiler.elaborate.scopes.lookup import look_up
from compiler.elaborate.scopes.modes import asks_mode
from compiler.elaborate.scopes.sizes import keep, size_of
from compiler.elaborate.values.arithmetic import MAX_TERMS
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint
from compiler.elaborate.values.values import POISON, Known, ListValue, Poison, Record, Rest, Val
from compiler.ir.hint import (
    Hint,
    HintChoose,
    HintConst,
    HintList,
    HintText,
    hint_atoms,
    hint_size,
    hint_sizes,
    mark_names,
)
from compiler.report.messages.values import not_text, size_too_large
from compiler.text.tree.syntax import (
    Attribute,
    Binary,
    Bool,
    Call,
    Comprehension,
    Conditional,
    Expr,
    Generator,
    Group,
    ListExpr,
    Name,
    Named,
    NoneLiteral,
    Number,
    String,
    Subscript,
    Then,
    TupleExpr,
    Unary,
)
from compiler.text.tree.syntax import Rest as RestSyntax
from compiler.types.dims import DimTooLarge

MANY = 8
"""Items from which on it pays to make the element of a comprehension ready once."""


def evaluate(body: Body, expression: Expr, want: ExpectedUse) -> Val:
    """The value of an expression; faults are reported and give poison."""
    body.session.spend(1, expression.span)
    try:
        match expression:
            case Name():
                return look_up(body, expression, applied=want.supplied > 0)
            case Number(value=value, unit=unit):
                return Known(value, HintConst(value), unit)
            case Then():
                return evaluate_pipe(body, expression, want)
            case Call():
                return evaluate_call(body, expression, want)
            case Binary():
                return evaluate_binary(body, expression, want)
            case Named():
                return evaluate_named(body, expression, want)
            case Group(inner=inner):
                return evaluate(body, inner, want)
            case Subscript():
                return evaluate_subscript(body, expression, want)
            case Attribute():
                return evaluate_attribute(body, expression)
            case Unary():
                return evaluate_unary(body, expression, want)
            case Conditional():
                return _choose(body, expression, want)
        return _evaluate_literal(body, expression, want)
    except DimTooLarge as error:
        body.report(size_too_large(expression.span, str(error)))
        return POISON


def _evaluate_literal(body: Body, expression: Expr, want: ExpectedUse) -> Val:
    match expression:
        case String():
            return _join_string(body, expression)
        case Bool(value=value):
            return Known(value, HintConst(value))
        case NoneLiteral():
            return Known(None, HintConst(None))
        case RestSyntax():
            return Rest()
        case ListExpr(items=items):
            made_items = tuple([body.evaluate(item) for item in items])
            spans = tuple(item.span for item in items)
            whole = ListValue(made_items, spans, _list_hint(made_items))
            return keep(body, note_list(body, whole, expression.span, want), expression.span)
        case TupleExpr(items=items):
            return keep(body, _tuple(body, items), expression.span)
        case Comprehension():
            made: list[Val] = []
            tests: list[Val] = []
            with body.scope():
                _comprehend(body, expression, expression.generators, made, tests)
            if any(isinstance(v, Poison) for v in made):
                return POISON
            hints = (read_hint(body, expression), *map(find_hint, (*made, *tests)))
            written = mark_names(*(hint for hint in hints if hint is not None))
            whole = ListValue(tuple(made), hint=written if written.arguments else None)
            return keep(body, whole, expression.span)
    raise AssertionError(f"no meaning for {type(expression).__name__}")


def _list_hint(items: Sequence[Val]) -> Hint | None:
    """How a list was written; only the names in it where that is longer than a person would
    write, or is not known of all items."""
    hints = [hint for item in items if (hint := find_hint(item)) is not None]
    if len(hints) < len(items) or sum(map(hint_size, hints)) >= MAX_TERMS:
        marked = mark_names(*hints)
        return marked if marked.arguments else None
    return HintList(tuple(hints))


def _tuple(body: Body, items: Sequence[Expr]) -> Val:
    """`(a, b)`: the results are named where they have names."""
    return Record(tuple(("", body.evaluate(item)) for item in items))


_NUMBERS = re.compile(r"[0-9]+\.\.[0-9]+")


def _join_string(body: Body, expression: String) -> Val:
    if all(isinstance(part, str) for part in expression.parts):
        text = "".join(part for part in expression.parts if isinstance(part, str))
        return Known(text, HintConst(text))
    pieces: list[str] = []
    hints: list[Hint | None] = []
    for part in expression.parts:
        if isinstance(part, str):
            pieces.append(part)
            hints.append(HintConst(part))
            continue
        if _NUMBERS.fullmatch(part.span.text):  # `part-{00..15}.csv` names several files
            pieces.append(f"{{{part.span.text}}}")
            hints.append(HintConst(pieces[-1]))
            continue
        value = body.evaluate(part)
        if isinstance(value, Poison):
            return POISON
        if not isinstance(value, Known):
            body.report(not_text(part.span, describe(value)))
            return POISON
        pieces.append(spell(value))
        body.session.spend(size_of(value), part.span)
        whole = isinstance(value.value, int) and not isinstance(value.value, bool)
        hints.append(value.hint if whole or isinstance(value.value, str) else None)
    known = tuple(hint for hint in hints if hint is not None)
    return Known("".join(pieces), HintText(known) if len(known) == len(hints) else None)


def spell(value: Known) -> str:
    """A known value as it stands in a string."""
    match value.value:
        case bool() | None:
            return str(value.value).lower()
        case float() as number if number.is_integer() and abs(number) < 1e15:
            return str(int(number))
        case scalar:
            return str(scalar)


def _choose(body: Body, expression: Conditional, want: ExpectedUse) -> Val:
    """`if condition then a else b`: only the branch taken is evaluated; both, where the condition
    asks for the mode."""
    if not asks_mode(body, expression.condition):
        return _choose_by(body, expression, want, body.evaluate(expression.condition))
    condition = evaluate_condition(body, expression.condition)
    if condition is not None:
        return _choose_by(body, expression, want, condition)
    choose = partial(_choose, body, expression, want)
    return evaluate_versions(body, choose, expression.span, want.names)


def _choose_by(body: Body, expression: Conditional, want: ExpectedUse, condition: Val) -> Val:
    decided = decide(body, condition, expression.condition.span)
    if decided is None:
        return POISON
    assert isinstance(condition, Known)
    taken = expression.then if decided else expression.otherwise
    guard = find_guard(condition) if body.mode is None else None
    with body.guarded(guard):
        value = body.evaluate(taken, want)
    if isinstance(value, Known):
        return Known(value.value, _choice_hint(body, expression, condition, value), value.unit)
    if condition.hint is not None and any(
        hint_atoms(condition.hint)
    ):  # no hint of a tensor says which one it is
        for hint in dict.fromkeys((mark_names(condition.hint), condition.hint)):
            body.note_decision(expression.span, hint, outcome=decided)
    return value


def _choice_hint(
    body: Body, expression: Conditional, condition: Known, value: Known
) -> Hint | None:
    """The hint of a choice; only the names in it where a part of it cannot be read."""
    taken = condition.value is True
    other = read_hint(body, expression.otherwise if taken else expression.then)
    if condition.hint is None or value.hint is None or other is None:
        known = (condition.hint, value.hint, other)
        return mark_names(*(hint for hint in known if hint is not None))
    return HintChoose(
        condition.hint, value.hint if taken else other, other if taken else value.hint
    )


def _comprehend(
    body: Body,
    expression: Comprehension,
    generators: Sequence[Generator],
    made: list[Val],
    tests: list[Val],
) -> None:
    """Gathers the items, and the conditions that chose them."""
    if not generators:
        made.append(body.evaluate(expression.element))
        return
    generator = generators[0]
    items = iterate(body, body.evaluate(generator.iterable), generator.iterable.span)
    if items is None:
        made.append(POISON)
        return
    ready = None
    if len(items) >= MANY and len(generators) == 1 and len(generator.names) == 1:
        ready = prepare(body, generator.names[0].text, expression.element)
    for item in items:
        bind_items(body, generator.names, item, generator.iterable.span)
        if generator.condition is not None:
            condition = body.evaluate(generator.condition)
            tests.append(condition)
            decided = decide(body, condition, generator.condition.span)
            if decided is None:
                made.append(POISON)
                return
            hint = find_hint(condition)
            if hint is not None and any(hint_sizes(hint)):
                body.note_decision(generator.condition.span, mark_names(hint), outcome=True)
            if not decided:
                continue
        value = None
        if ready is not None:
            body.session.spend(ready.work, expression.element.span)
            value = ready(item)
        if value is not None:
            made.append(value)
        else:
            _comprehend(body, expression, generators[1:], made, tests)
