"""Calls of what specs can name besides layers: initializers, optimizers, schedules, sources."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from compiler.elaborate.calls.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.calls.formulas import read_formula, reads_step
from compiler.elaborate.calls.places import CallPlace
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.later import find_purpose
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.values.functions import FUNCTIONS
from compiler.elaborate.values.options import Unfit, convert, field_hints
from compiler.elaborate.values.values import POISON, ArgumentValue, Poison, Val
from compiler.ir.hint import Hint
from compiler.ops.registry import OPS
from compiler.report.diagnostics import Fault
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.training import not_a_figure, unknown_word
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Argument, Attribute, Call, Expr, Group, ListExpr, Name
from compiler.training.base import Schedule
from compiler.training.expression import Expression, Formula
from compiler.training.figure import Figure
from compiler.vocabulary.signature import Described, Registry, find_registry

T = TypeVar("T", bound=Described)


def find_class(expression: Expr, registry: Registry[T]) -> type[T] | None:
    """The class that an expression names, `adamw` or `adamw(lr=1e-3)`; None for anything else."""
    match expression:
        case Group(inner=inner):
            return find_class(inner, registry)
        case Name(text=text) | Call(function=Name(text=text)):
            return registry.get(text)
    return None


def build_described(body: Body, expression: Expr, cls: type[T]) -> T | None:
    """The instance that an expression asks for; None where an argument was refused, which is
    reported."""
    built = build_hinted(body, expression, cls)
    return None if built is None else built[0]


def build_hinted(
    body: Body, expression: Expr, cls: type[T]
) -> tuple[T, tuple[tuple[str, Hint], ...]] | None:
    """The same, with how its fields were written."""
    while isinstance(expression, Group):
        expression = expression.inner
    if isinstance(expression, Call):
        return _build_from_arguments(body, expression.function, expression.arguments, cls)
    return _build_from_arguments(body, expression, (), cls)


def _build_from_arguments(
    body: Body, callee: Expr, arguments: Sequence[Argument], cls: type[T]
) -> tuple[T, tuple[tuple[str, Hint], ...]] | None:
    """An instance of a class from the arguments of its call, with how its fields were written."""
    options = {option.name: option for option in cls.options()}
    formals = tuple(Formal(o.name, False, o.required, lambda _: True) for o in options.values())
    signature = Signature(cls.name, formals)
    positions = list(options)
    actuals: list[Actual] = []
    nested: dict[int, object] = {}
    for index, argument in enumerate(arguments):
        name = argument.name.text if argument.name is not None else None
        name = name or (positions[index] if index < len(positions) else None)
        option = options.get(name) if name is not None else None
        made = _build_nested(body, argument.value, option.annotation) if option else _PLAIN
        if made is not _PLAIN:
            nested[id(argument)] = made
        value: Val = body.evaluate(argument.value) if made is _PLAIN else POISON
        actuals.append(Actual(argument.name, value, argument.value.span))
    match = match_call(signature, actuals, 0)
    if not match.holds:
        for fault in match.find_faults(signature, callee.span):
            body.report(fault)
        return None
    built = {
        a.span: nested[id(g)] for a, g in zip(actuals, arguments, strict=True) if id(g) in nested
    }
    made = _make(body, callee, cls, match.given, built)
    given = ((o.field, match.given[o.name]) for o in options.values() if o.name in match.given)
    hints = (pair for field, item in given for pair in field_hints(field, item))
    return None if made is None else (made, tuple(hints))


_PLAIN = object()
"""Says of an argument that it is a plain value, to be evaluated."""


def _build_nested(body: Body, expression: Expr, annotation: Any) -> object:
    """What an expression makes for a field that takes instances of a described class (`int8`,
    `cosine(warmup=5%)`), the class itself, or a list of them; None where it was refused."""
    while isinstance(expression, Group):
        expression = expression.inner
    if annotation is Figure:
        return _build_figure(body, expression)
    if annotation is Formula:
        return read_formula(body, expression)
    members = _members(annotation)
    if isinstance(expression, ListExpr):
        for member in members:
            if typing.get_origin(member) is tuple and _registry_of(typing.get_args(member)[0]):
                part = typing.get_args(member)[0]
                made = [_build_entry(body, item, part) for item in expression.items]
                return None if None in made else tuple(made)
        return _PLAIN
    registry = _registry_of(annotation)
    inner = find_class(expression, registry) if registry is not None else None
    if inner is not None:
        if isinstance(expression, Name) and any(typing.get_origin(m) is type for m in members):
            return inner
        return build_described(body, expression, inner)
    if annotation is Schedule and reads_step(expression):
        formula = read_formula(body, expression)
        return None if formula is None else _make_formula(body, expression, formula)
    if registry is not None and _refuse_unknown(body, expression, registry):
        return None
    return _PLAIN


def _make_formula(body: Body, expression: Expr, formula: Formula) -> Schedule | None:
    """The schedule that a formula is; None where it cannot be one, which is reported."""
    try:
        return Expression(formula)
    except Fault as fault:
        body.report(fault.make(CallPlace(expression.span, {})))
        return None


def _build_figure(body: Body, expression: Expr) -> Figure | None:
    """`val.loss`; None where it is none, which is reported."""
    match expression:
        case Attribute(base=Name(text=split), name=Name(text=metric)):
            return Figure(split, metric)
        case Attribute(
            base=Attribute(base=Name(text=split), name=Name(text=step)), name=Name(text="loss")
        ):
            return Figure(split, f"{step}.loss")
    body.report(not_a_figure(expression.span))
    return None


def _build_entry(body: Body, expression: Expr, annotation: Any) -> object:
    """One entry of a list of described things; None where it was refused, which is reported."""
    made = _build_nested(body, expression, annotation)
    if made is not _PLAIN:
        return made
    registry = _registry_of(annotation)
    assert registry is not None
    names = tuple(registry.names())
    body.report(unknown_word(expression.span, registry.kind, expression.span.text, names, None))
    return None


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; a class alone is its own."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _refuse_unknown(body: Body, expression: Expr, registry: Registry[Any]) -> bool:
    """Whether an expression is a word, or the call of one, that means nothing here: then a name
    of the registry was meant, and it is reported as an unknown one."""
    match expression:
        case (Name() as name) | Call(function=(Name() as name)):
            text = name.text
            known = text in OPS.names() or text in FUNCTIONS
            bound = any(text in layer for layer in body.names)
            if known or bound or find_entry(body.file, text, name.span) is not None:
                return False
            if find_purpose(text) is not None:
                return False
            names = tuple(registry.names())
            near = did_you_mean(text, names)
            body.report(unknown_word(name.span, registry.kind, text, names, near))
            return True
    return False


def _make(
    body: Body,
    callee: Expr,
    cls: type[T],
    given: Mapping[str, ArgumentValue],
    built: Mapping[Any, object],
) -> T | None:
    fields: dict[str, object] = {}
    refused = False
    for option in cls.options():
        item = given.get(option.name)
        if item is None:
            continue
        if item.span in built:
            fields[option.field] = built[item.span]
            refused = refused or built[item.span] is None
            continue
        if isinstance(item.value, Poison):
            refused = True
            continue
        try:
            fields[option.field] = convert(item.value, option.annotation)
        except Unfit as unfit:
            refused = True
            suggestion, span = unfit.suggestion, unfit.place or item.span
            body.report(
                wrong_argument(span, cls.name, option.name, unfit.expected, unfit.found, suggestion)
            )
    if refused:
        return None
    try:
        return cls(**fields)
    except Fault as fault:
        body.report(fault.make(CallPlace(callee.span, given)))
        return None


def _registry_of(annotation: Any) -> Registry[Any] | None:
    """The registry whose classes a field takes."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, Described):
            registry = find_registry(member)
            if registry is not None:
                return registry
    return None


def suggest_class(word: str, registry: Registry[Any]) -> str | None:
    """The name in a registry that may have been meant."""
    return did_you_mean(word, registry.names())
