"""The clause `metric`: a figure by name, from a metric of the vocabulary or from any value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.calls.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.calls.places import CallPlace
from compiler.elaborate.items.operands import refuse_word
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.scopes.later import find_purpose
from compiler.elaborate.scopes.library import is_loss
from compiler.elaborate.scopes.lookup import find_built_in
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.options import Unfit, convert
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    Known,
    Poison,
    Record,
    Refused,
    Tensor,
    Val,
)
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.metrics import (
    direction_contradicts,
    figure_is_a_chart,
    metric_in_expression,
    metric_is_not_a_number,
)
from compiler.report.messages.training import reserved_figure
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import (
    Attribute,
    Call,
    Clause,
    Declare,
    Expr,
    Group,
    Name,
    Operand,
    String,
    Then,
)
from compiler.training.base import METRICS, Direction, Metric
from compiler.training.registry import load_training
from compiler.training.regression import Mean
from compiler.types.dims import Dim


@dataclass(frozen=True)
class MetricEntry:
    """One metric of a train, with the tensors that it reads."""

    name: str
    metric: Metric
    arguments: tuple[Tensor | None, ...]
    span: Span
    better: Direction | None


def read_metrics(body: Body, clause: Clause, before: Sequence[MetricEntry]) -> list[MetricEntry]:
    """The metrics of one clause; those that are refused are reported and left out."""
    load_training()
    found: list[MetricEntry] = []
    refused = False
    for operand in read_operands(body, clause):
        name = operand.name
        if name is not None and name.text == "better" and (found or refused):
            better = _read_direction(body, clause, operand)
            if better is not None and found and not refused:
                found[-1] = _direct(body, found[-1], better, operand)
            continue
        is_text = isinstance(operand.value, String) and (found or refused)
        if is_text and name is not None and did_you_mean(name.text, ("better",)):
            malformed(body, clause, name.span, "did you mean `better`?")
            continue
        entry = _read_entry(body, clause, operand, (*before, *found))
        refused = entry is None
        if name is not None:
            _declare_figure(body, name, entry)
        found += [entry] if entry is not None else []
    return found


def _read_entry(
    body: Body, clause: Clause, operand: Operand, before: Sequence[MetricEntry]
) -> MetricEntry | None:
    """One metric, whose name none before has."""
    name = operand.name
    if name is None or isinstance(operand.value, Declare):
        malformed(body, clause, operand.span, "a metric has a name")
        return None
    first = next((m for m in before if m.name == name.text), None)
    if name.text == "loss" or first is not None:
        place = first.span if first is not None else None
        body.report(reserved_figure(name.span, name.text, place))
        return None
    return _read_metric(body, clause, name, operand)


def _declare_figure(body: Body, name: Name, entry: MetricEntry | None) -> None:
    """Lets the name of a metric, where it means nothing else, be refused as what it is; nothing
    is said of one that was refused itself."""
    word = name.text
    known = any(word in layer for layer in body.names)
    known = known or find_built_in(body, word, name.span) is not None
    if not known and find_entry(body.file, word, name.span) is None:
        refusal = Refused(metric_in_expression(None, word, declared=True))
        body.names[0][word] = refusal if entry is not None else POISON


# --- directions ---------------------------------------------------------------------------------


def _read_direction(body: Body, clause: Clause, operand: Operand) -> Direction | None:
    """`better="higher"`."""
    expression = operand.value
    expected = 'it is "higher" or "lower"'
    if isinstance(expression, (Declare, Name)):
        malformed(body, clause, expression.span, expected)
        return None
    value = body.evaluate(expression)
    if isinstance(value, Known) and value.value in get_args(Direction):
        return "higher" if value.value == "higher" else "lower"
    if not isinstance(value, Poison):
        malformed(body, clause, expression.span, expected)
    return None


def _direct(body: Body, entry: MetricEntry, better: Direction, operand: Operand) -> MetricEntry:
    """A metric with the direction that the spec says; one that contradicts is reported."""
    chart = entry.metric.chart
    if chart is not None:
        said = (entry.name, chart.kind, "`better`", chart.number)
        body.report(figure_is_a_chart(operand.span, *said, entry.span))
        return entry
    if entry.better not in (None, better):
        body.report(direction_contradicts(operand.span, entry.name, entry.better or "", better))
        return entry
    return replace(entry, better=better)


def _find_direction(body: Body, expression: Expr, tensor: Tensor) -> Direction | None:
    """Which value of an expression is better: known where it is a loss and nothing else, an op or
    a block of the library's losses."""
    if _applies_loss(body, expression):
        return "lower"
    op = OPS.get(tensor.home.makers.get(tensor.value.name, ""))
    return op.better if op is not None else None


def _applies_loss(body: Body, expression: Expr) -> bool:
    match expression:
        case Group(inner=inner) | Then(right=inner):
            return _applies_loss(body, inner)
        case Call(function=Name() | Attribute() as function) | (Name() as function):
            layer = body.evaluate(function)
            return isinstance(layer, BlockLayer) and is_loss(layer.item)
    return False


# --- one metric ---------------------------------------------------------------------------------


def _read_metric(body: Body, clause: Clause, name: Name, operand: Operand) -> MetricEntry | None:
    assert not isinstance(operand.value, Declare)
    value = operand.value
    while isinstance(value, Group):
        value = value.inner
    call = _find_call(body, value)
    if call is None:
        unknown = _find_unknown(body, value)
        if unknown is not None:
            refuse_word(body, unknown, "metric", METRICS.names())
            return None
        return _read_value(body, clause, name, value)
    cls, expression = call
    callee = expression.function.span
    match = _match(body, cls, expression)
    if match is None:
        return None
    metric = _make(body, cls, match, callee)
    if metric is None:
        return None
    given = [match.get(o.name) for o in cls.operands]
    tensors = [g.value if g is not None and isinstance(g.value, Tensor) else None for g in given]
    types = [t.type if t is not None else None for t in tensors]
    needed = [t for t, o in zip(types, cls.operands, strict=True) if t and not o.named]
    try:
        metric.check(needed)
        metric.check_weights(types)
        metric = metric.resolve(needed)
    except Fault as fault:
        body.report(fault.make(CallPlace(callee, match, given)))
        return None
    while tensors[-1] is None:
        tensors.pop()
    return MetricEntry(name.text, metric, tuple(tensors), name.span, metric.better)


def _find_call(body: Body, expression: Expr) -> tuple[type[Metric], Call] | None:
    """The metric that a call names, unless the spec gives that name a meaning of its own."""
    if not isinstance(expression, Call) or not isinstance(expression.function, Name):
        return None
    word = expression.function.text
    cls = METRICS.get(word)
    own = any(word in layer and is_layer(layer[word]) for layer in body.names)
    if cls is None or own or find_entry(body.file, word, expression.function.span) is not None:
        return None
    return cls, expression


def _find_unknown(body: Body, expression: Expr) -> Name | None:
    """The name that a call applies, where it means nothing: most likely a metric, misspelt."""
    if not isinstance(expression, Call) or not isinstance(expression.function, Name):
        return None
    name = expression.function
    word = name.text
    known = any(word in layer for layer in body.names)
    known = known or find_built_in(body, word, name.span) is not None
    known = known or find_entry(body.file, word, name.span) is not None
    return None if known or find_purpose(word) is not None else name


def _match(body: Body, cls: type[Metric], expression: Call) -> dict[str, ArgumentValue] | None:
    """The arguments by operand or option, all of them tensors where they should be."""
    needed = [o for o in cls.operands if not o.named]
    options = {o.name: o.required for o in cls.options()}
    options |= {o.name: False for o in cls.operands if o.named}
    formals = [Formal(o.name, False, True, _fits) for o in needed]  # nothing waits for `->`
    formals += [Formal(name, False, required, _fits) for name, required in options.items()]
    signature = Signature(cls.name, tuple(formals))
    actuals = [
        Actual(a.name, _only(body.evaluate(a.value)), a.value.span) for a in expression.arguments
    ]
    if any(isinstance(a.value, Poison) for a in actuals):
        return None
    match = match_call(signature, actuals, 0)
    if not match.holds:
        for fault in match.find_faults(signature, expression.function.span):
            body.report(fault)
        return None
    either = {o.name for o in cls.options()}
    for operand in cls.operands:
        item = match.given.get(operand.name)
        if item is None or operand.name in either:
            continue
        if not isinstance(item.value, Tensor):
            found = describe(item.value)
            body.report(wrong_argument(item.span, cls.name, operand.name, "a tensor", found))
            return None
    return match.given


def _fits(value: Val) -> bool:
    return True


def _only(value: Val) -> Val:
    """The only result of a record of one."""
    if isinstance(value, Record) and len(value.items) == 1:
        return value.values[0]
    return value


def _make(
    body: Body, cls: type[Metric], given: dict[str, ArgumentValue], callee: Span
) -> Metric | None:
    """The metric with its options."""
    fields: dict[str, object] = {}
    operands = {o.name for o in cls.operands}
    for option in cls.options():
        item = given.get(option.name)
        if item is None or (option.name in operands and isinstance(item.value, Tensor)):
            continue
        try:
            fields[option.name] = convert(item.value, option.annotation)
        except Unfit as unfit:
            body.report(
                wrong_argument(item.span, cls.name, option.name, unfit.expected, unfit.found)
            )
            return None
    return cls(**fields)


def _read_value(body: Body, clause: Clause, name: Name, expression: Expr) -> MetricEntry | None:
    """Any other value, one number for the batch or for each row: its mean over the split."""
    value = _only(body.evaluate(expression))
    if isinstance(value, Poison):
        return None
    if not isinstance(value, Tensor):
        found = describe(value)
        malformed(body, clause, expression.span, f"a metric or a tensor belongs here, not {found}")
        return None
    kind = value.type
    batch = Dim.of("batch")
    if kind.rank and (kind.shape[0] != batch or kind.size != batch):
        body.report(metric_is_not_a_number(expression.span, name.text, str(kind), value.made))
        return None
    better = _find_direction(body, expression, value)
    return MetricEntry(name.text, Mean().resolve([kind]), (value,), name.span, better)
