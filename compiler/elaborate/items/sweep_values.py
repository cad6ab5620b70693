"""Values of sweeps: spaces as they are written, and conditions on what a trial has drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_layer, plain_items
from compiler.elaborate.values.values import Known, ListValue, Poison, Range, Val
from compiler.report.diagnostics import Sink
from compiler.report.messages.sweeps import bad_condition, bad_space
from compiler.report.source import Source, Span
from compiler.report.suggestions import did_you_mean
from compiler.sweeping.base import SPACES, Space, Value, Written, label, write_value
from compiler.sweeping.conditions import ALWAYS, RELATIONS, Condition, Every, Some, Test, Unless
from compiler.sweeping.spaces import Listed, RandInt
from compiler.text.parse import parse_expression
from compiler.text.tree.syntax import Binary, Call, Expr, Group, ListExpr, Name, String, Unary
from compiler.types.units import NOT_PLAIN

# --- spaces -------------------------------------------------------------------------------------


def read_space(body: Body, parameter: str, expression: Expr) -> Space | None:
    """The space behind `in`; None where it is none, which is reported."""
    while isinstance(expression, Group):
        expression = expression.inner
    cls = find_class(expression, SPACES)
    if cls is not None:
        if isinstance(expression, Name):
            form = f"it has ends: `{cls.name}(…, …)`"
            body.report(bad_space(expression.span, parameter, form))
            return None
        return build_described(body, expression, cls)
    if isinstance(expression, Call) and isinstance(expression.function, Name):
        near = did_you_mean(expression.function.text, SPACES.names())
        if near is not None:
            said = f"did you mean `{near}`?"
            body.report(bad_space(expression.function.span, parameter, said))
            return None
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    if isinstance(value, Range):
        return _read_range(body, parameter, expression.span, value)
    if isinstance(value, ListValue):
        return _read_list(body, parameter, expression, value)
    body.report(bad_space(expression.span, parameter, f"this is {describe(value)}"))
    return None


def _read_range(body: Body, parameter: str, span: Span, value: Range) -> Space | None:
    """`1..5`: whole numbers from one end to the other."""
    numbers = value.values
    if numbers is None or not numbers:
        body.report(bad_space(span, parameter, "there is no number in it"))
        return None
    ordered = numbers if numbers.step > 0 else numbers[::-1]
    return RandInt(ordered[0], ordered[-1] + 1, abs(numbers.step))


def _read_list(body: Body, parameter: str, expression: Expr, value: ListValue) -> Space | None:
    """`[8, 16, 32]`; entries may be numbers, text, booleans, layers and lists."""
    written = expression.items if isinstance(expression, ListExpr) else ()
    items = plain_items(value) or value.items
    if not items:
        body.report(bad_space(expression.span, parameter, "the list is empty"))
        return None
    found: list[Value] = []
    for index, item in enumerate(items):
        place = written[index] if index < len(written) else expression
        if isinstance(item, Poison):
            return None
        known = _read_value(item, place if len(written) == len(items) else None)
        fault = "" if known is not None else f"{describe(item)} is no value of a parameter"
        if known is not None and _mark(known) in map(_mark, found):
            fault = "this value stands twice"
        if fault:
            body.report(bad_space(place.span, parameter, fault))
            return None
        assert known is not None
        found.append(known)
    return Listed(tuple(found))


def _mark(value: Value) -> tuple[type, object]:
    """What tells values apart: 1 and true are two, and so are 1 and 1.0."""
    return type(label(value)), label(value)


def _read_value(value: Val, written: Expr | None) -> Value | None:
    """A value that a parameter may be given; None where it is none."""
    match value:
        case Known(bool() | str() as plain):
            return plain
        case Known(int() | float() as number, unit=unit) if unit not in NOT_PLAIN:
            return number
        case Known() if value.unit not in NOT_PLAIN:
            size = whole(value)
            return size if isinstance(size, int) else None
    if written is not None and (is_layer(value) or isinstance(value, ListValue)):
        text = written.span.text
        return Written(text if "#" in text else " ".join(text.split()))
    return None


# --- values as expressions ----------------------------------------------------------------------


def write_expression(name: str, value: Value) -> Expr:
    """A value as an expression of a text of its own, so that faults in it show it. `name` is
    whose it is: `fit.lr`."""
    if isinstance(value, str):
        source = Source(f"value of {name}", f'"{value}"')
        return String(Span(source, 0, len(source.text)), (value,))
    sink = Sink()
    made = parse_expression(Source(f"value of {name}", write_value(value)), sink)
    assert made is not None, "what is written is a value"
    return made


def describe_values(values: Mapping[str, Value]) -> str:
    """`lr=0.1` and `width=8`, as arguments are written."""
    return ", ".join(f"{name}={write_value(value)}" for name, value in values.items())


# --- conditions ---------------------------------------------------------------------------------


Spaces = Mapping[str, Space | None]
"""The parameters of the item, and the spaces of those that stand above a condition."""


def read_condition(body: Body, expression: Expr, spaces: Spaces) -> Condition | None:
    """`act == "elu" and depth > 2`; None where it is nothing that a trial decides, which is
    reported. What no value of the trial takes part in is decided at once."""
    match expression:
        case Group(inner=inner):
            return read_condition(body, inner, spaces)
        case Unary(operator="not", operand=operand):
            part = read_condition(body, operand, spaces)
            return Unless(part) if part is not None else None
        case Binary(operator="and" | "or" as link, left=left, right=right):
            parts = [read_condition(body, side, spaces) for side in (left, right)]
            known = tuple(part for part in parts if part is not None)
            if len(known) < len(parts):
                return None
            return Every(known) if link == "and" else Some(known)
        case Name(text=text) if spaces.get(text) is not None:
            return Test(text, "==", True)
        case Binary(left=Name(text=text)) if spaces.get(text) is not None:
            return _read_test(body, text, expression)
    return _decide(body, expression, spaces)


def _read_test(body: Body, parameter: str, expression: Binary) -> Condition | None:
    """`act == "elu"`, `depth in [2, 3]`."""
    relation = expression.operator.removeprefix("not ")
    if relation not in RELATIONS:
        said = f"a comparison belongs here, as `{parameter} == …`"
        body.report(bad_condition(expression.span, said))
        return None
    right = expression.right
    value = body.evaluate(right)
    if isinstance(value, Poison):
        return None
    bound = _read_bound(value, right, listed=relation == "in")
    if bound is None:
        body.report(bad_condition(right.span, f"`{parameter}` is no {describe(value)}"))
        return None
    test = Test(parameter, relation, bound)
    return Unless(test) if expression.operator.startswith("not ") else test


def _read_bound(value: Val, written: Expr, *, listed: bool) -> Value | tuple[Value, ...] | None:
    """What a value of the trial is compared with."""
    if not listed:
        return _read_value(value, written)
    items: Sequence[Val] | None = plain_items(value)
    if items is None:
        return None
    entries = written.items if isinstance(written, ListExpr) else (None,) * len(items)
    found = [_read_value(item, entry) for item, entry in zip(items, entries, strict=True)]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else None


def _decide(body: Body, expression: Expr, spaces: Spaces) -> Condition | None:
    """A condition on nothing that is searched: it holds of all trials or of none."""
    named = [name.text for name in _find_names(expression) if name.text in spaces]
    if named:
        said = "the parameter stands alone to the left: `act == …`"
        if spaces[named[0]] is None:
            said = f"`{named[0]}` is searched nowhere above"
        body.report(bad_condition(expression.span, said))
        return None
    value = body.evaluate(expression)
    match value:
        case Poison():
            return None
        case Known(bool() as holds):
            return ALWAYS if holds else Some(())
    body.report(bad_condition(expression.span, f"this is {describe(value)}"))
    return None


def _find_names(expression: Expr) -> Iterator[Name]:
    match expression:
        case Name():
            yield expression
        case Group(inner=inner) | Unary(operand=inner):
            yield from _find_names(inner)
        case Binary(left=left, right=right):
            yield from _find_names(left)
            yield from _find_names(right)
