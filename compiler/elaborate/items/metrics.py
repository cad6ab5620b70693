"""The clause `metric`: a figure by name, from a metric of the vocabulary or from any value."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.diagnostics import Fault
from compiler.elaborate.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.context import Body
from compiler.elaborate.describing import describe
from compiler.elaborate.items.operands import malformed, read_operands, refuse_word
from compiler.elaborate.later import LATER
from compiler.elaborate.lookup import find_built_in
from compiler.elaborate.options import Unfit, convert
from compiler.elaborate.places import CallPlace
from compiler.elaborate.values import Given, Poison, Record, Tensor, Val, is_layer
from compiler.messages.arguments import WrongArgument
from compiler.messages.training import ReservedFigure
from compiler.records import dataclass
from compiler.source import Span
from compiler.syntax import Call, Clause, Declare, Expr, Group, Name, Operand
from compiler.training.base import METRICS, Metric
from compiler.training.registry import load_training
from compiler.training.regression import Mean


@dataclass(frozen=True)
class MetricEntry:
    """One metric of a train, with the tensors that it reads."""

    name: str
    metric: Metric
    arguments: tuple[Tensor, ...]
    span: Span


def read_metrics(body: Body, clause: Clause, before: Sequence[MetricEntry]) -> list[MetricEntry]:
    """The metrics of one clause; those that are refused are reported and left out."""
    load_training()
    found: list[MetricEntry] = []
    for operand in read_operands(body, clause):
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a metric has a name")
            continue
        first = next((m for m in (*before, *found) if m.name == name.text), None)
        if name.text == "loss" or first is not None:
            place = first.span if first is not None else None
            body.report(ReservedFigure(name.span, name.text, place))
            continue
        entry = _read_metric(body, clause, name, operand)
        if entry is not None:
            found.append(entry)
    return found


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
    given = [match[o.name] for o in cls.operands]
    tensors = [g.value for g in given if isinstance(g.value, Tensor)]
    if metric is None or len(tensors) != len(given):
        return None
    types = [t.type for t in tensors]
    try:
        metric.check(types)
        metric = metric.resolve(types)
    except Fault as fault:
        body.report(fault.make(CallPlace(callee, match, given)))
        return None
    return MetricEntry(name.text, metric, tuple(tensors), name.span)


def _find_call(body: Body, expression: Expr) -> tuple[type[Metric], Call] | None:
    """The metric that a call names, unless the spec gives that name a meaning of its own."""
    if not isinstance(expression, Call) or not isinstance(expression.function, Name):
        return None
    word = expression.function.text
    cls = METRICS.get(word)
    own = any(word in layer and is_layer(layer[word]) for layer in body.names)
    if cls is None or own or body.file.find(word, expression.function.span) is not None:
        return None
    return cls, expression


def _find_unknown(body: Body, expression: Expr) -> Name | None:
    """The name that a call applies, where it means nothing: most likely a metric, misspelt."""
    if not isinstance(expression, Call) or not isinstance(expression.function, Name):
        return None
    name = expression.function
    word = name.text
    known = any(word in layer for layer in body.names) or word in LATER
    known = known or find_built_in(body, word, name.span) is not None
    return None if known or body.file.find(word, name.span) is not None else name


def _match(body: Body, cls: type[Metric], expression: Call) -> dict[str, Given] | None:
    """The arguments by operand or option, all of them tensors where they should be."""
    formals = [Formal(o.name, True, True, _is_tensor) for o in cls.operands]
    formals += [Formal(o.name, False, o.required, lambda _: True) for o in cls.options()]
    signature = Signature(cls.name, tuple(formals))
    actuals = [
        Actual(a.name, _only(body.evaluate(a.value)), a.value.span) for a in expression.arguments
    ]
    if any(isinstance(a.value, Poison) for a in actuals):
        return None
    match = match_call(signature, actuals, 0)
    match.missing += match.left_out
    if not match.holds:
        for fault in match.find_faults(signature, expression.function.span):
            body.report(fault)
        return None
    for operand in cls.operands:
        item = match.given[operand.name]
        if not isinstance(item.value, Tensor):
            found = describe(item.value)
            body.report(WrongArgument(item.span, cls.name, operand.name, "a tensor", found))
            return None
    return match.given


def _is_tensor(value: Val) -> bool:
    return isinstance(value, Tensor)


def _only(value: Val) -> Val:
    """The only result of a record of one."""
    if isinstance(value, Record) and len(value.items) == 1:
        return value.values[0]
    return value


def _make(body: Body, cls: type[Metric], given: dict[str, Given], callee: Span) -> Metric | None:
    """The metric with its options."""
    fields: dict[str, object] = {}
    for option in cls.options():
        item = given.get(option.name)
        if item is None:
            continue
        try:
            fields[option.name] = convert(item.value, option.annotation)
        except Unfit as unfit:
            body.report(
                WrongArgument(item.span, cls.name, option.name, unfit.expected, unfit.found)
            )
            return None
    return cls(**fields)


def _read_value(body: Body, clause: Clause, name: Name, expression: Expr) -> MetricEntry | None:
    """Any other value: its mean over the split."""
    value = _only(body.evaluate(expression))
    if isinstance(value, Poison):
        return None
    if not isinstance(value, Tensor):
        found = describe(value)
        malformed(body, clause, expression.span, f"a metric or a tensor belongs here, not {found}")
        return None
    return MetricEntry(name.text, Mean().resolve([value.type]), (value,), name.span)
