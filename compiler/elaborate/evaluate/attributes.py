"""`base.name`: results of calls, what is inside a net, names of a namespace, `shape` of tensors."""

from __future__ import annotations

from compiler.elaborate.calls.nets import read_net
from compiler.elaborate.scopes.context import Body, scope_of
from compiler.elaborate.scopes.data_attributes import find_data, read_data_attribute
from compiler.elaborate.scopes.lookup import find_value, stand_for
from compiler.elaborate.scopes.resolve import resolve_name
from compiler.elaborate.values.arithmetic import simplify
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import (
    POISON,
    DTypeValue,
    ItemValue,
    Known,
    ListValue,
    Namespace,
    NetValue,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.hint import HintSize
from compiler.report.messages.names import unknown_attribute
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute, Name, Sweep


def evaluate_attribute(body: Body, expression: Attribute) -> Val:
    """The value of `base.name`."""
    data = find_data(body, expression.base)
    if data is not None:
        return read_data_attribute(body, *data, expression)
    name = expression.name.text
    found = _read_trial(body, expression)
    if found is not None:
        return found
    base = body.evaluate(expression.base)
    match base:
        case Poison():
            return POISON
        case Namespace():
            return _read_namespace(body, base, expression)
        case NetValue(called=called) if called == name:
            return base
        case NetValue():
            return read_net(body, base, expression)
        case Record(items):
            found = next((value for key, value in items if key == name), None)
            known = tuple(key for key, _ in items if key)
            return found if found is not None else _refuse(body, expression, base, known)
        case Tensor():
            return _read_tensor(body, expression, base)
    hint = None
    if is_layer(base):
        hint = "only a `net` has parts to refer to"
    return _refuse(body, expression, base, (), hint)


def _read_trial(body: Body, expression: Attribute) -> Val | None:
    """`tune.lr`: what the best trial of a sweep has; None where that is not what is meant."""
    base = expression.base
    if not isinstance(base, Name) or not isinstance(body.file.entries.get(base.text), Sweep):
        return None
    nearest = find_value(body, base)
    if not isinstance(nearest, ItemValue):
        return None
    return body.session.trial_value(body, nearest, expression.name.text, expression.span)


def _read_tensor(body: Body, expression: Attribute, base: Tensor) -> Val:
    match expression.name.text:
        case "shape":
            name = base.value.name
            sizes = enumerate(base.type.shape)
            return ListValue(
                tuple(Known(simplify(size), HintSize(name, axis)) for axis, size in sizes)
            )
        case "dtype":
            return DTypeValue(base.type.dtype)
        case "rank":
            return Known(base.type.rank)
        case name if name == base.result:
            return base
    known = tuple(n for n in (base.result, "shape", "rank", "dtype") if n)
    return _refuse(body, expression, base, known)


def _read_namespace(body: Body, base: Namespace, expression: Attribute) -> Val:
    name = expression.name
    value = resolve_name(scope_of(base), name.text, name.span, body.home)
    if value is None:
        known = tuple(scope_of(base).entries)
        return _refuse(body, expression, base, known)
    return stand_for(body, value, name.span) if isinstance(value, ItemValue) else value


def _refuse(
    body: Body, expression: Attribute, base: Val, known: tuple[str, ...], hint: str | None = None
) -> Val:
    name = expression.name
    shown = known if hint is None else ()
    body.report(
        unknown_attribute(
            name.span, name.text, describe(base), shown, did_you_mean(name.text, known), hint
        )
    )
    return POISON
