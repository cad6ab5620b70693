"""Applying a primitive op: operands, options, weights, and the node that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.elaborate.calls.gathering import find_list, list_picks
from compiler.elaborate.calls.initial import settle_initializer
from compiler.elaborate.calls.places import CallPlace
from compiler.elaborate.calls.signatures import given_of, sign
from compiler.elaborate.calls.weights import Slot, claim_slot, make_weight
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lints import check_call
from compiler.elaborate.scopes.paths import join
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.options import Unfit, convert, field_hints
from compiler.elaborate.values.parts import is_layer, is_none, plain_items
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    FunctionLayer,
    Known,
    ListValue,
    OpLayer,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.builder import own_names
from compiler.ir.domain import Domain
from compiler.ir.frame import Listing, Site
from compiler.ir.graph import Op, Value
from compiler.ir.hint import Hint, hint_atoms, mark_outer
from compiler.ir.operands import Weight, names_start
from compiler.ops.broadcasting import literal_dtype
from compiler.ops.choosing import Cast
from compiler.ops.creation import Constant, Full
from compiler.ops.fitted import Fitted
from compiler.ops.shaping import Expand
from compiler.ops.sizes import Size
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, Message
from compiler.report.messages.arguments import unknown_argument, wrong_argument
from compiler.report.messages.columns import only_in_data
from compiler.report.messages.derivatives import no_slope
from compiler.report.messages.functions import not_a_layer_here
from compiler.report.messages.nets import foreign_tensor, nothing_to_start
from compiler.report.messages.tensor_operands import number_not_held, number_outside, zero_divisor
from compiler.report.suggestions import did_you_mean
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType, shorten_integer

NODE_WORK = 25
"""What making a node costs, in expressions evaluated."""
RESULT_WORK = 2
"""What each of its results costs beyond that."""


@dataclass
class Refused(Exception):
    """An operand or option that was refused; the diagnostic is reported."""


def apply_op(
    body: Body,
    layer: OpLayer,
    given: Mapping[str, ArgumentValue],
    application: Application,
    slot: Slot | None = None,
) -> Val:
    """The result of an op on everything that was given to it; `slot` is where its weights live
    already, for a net. Faults are reported once; what follows from them is silent."""
    if any(_is_poisoned(g.value) for g in given.values()):
        return POISON
    filling = given.get("value")
    if layer.op is Full and filling is not None and isinstance(filling.value, Tensor):
        return _fill(body, layer, given, application)
    try:
        operands = _collect_operands(body, layer.op, given, application)
        if not any(g is not None and isinstance(g.value, Tensor) for g in operands):
            number = _compute_number(layer.op, operands)
            if number is not None:
                return number
        body.session.spend(NODE_WORK, application.span)
        if body.home is None:
            body.report(foreign_tensor(application.span))
            return POISON
        op = _make_op(body, layer.op, given, application)
        operands = _make_constants(body, layer.op, operands, application)
        made = _add_node(_Call(body, layer, op, given, operands, application), slot)
        if not isinstance(made, Poison):
            _check_constants(body, op, operands)
        return made
    except Refused:
        return POISON


def _fill(
    body: Body, layer: OpLayer, given: Mapping[str, ArgumentValue], application: Application
) -> Val:
    """`full(shape, x)` of a tensor: x repeated to that shape, in that dtype."""
    repeated = {"x": given["value"], **{n: g for n, g in given.items() if n == "shape"}}
    if "dtype" in given:
        cast = OpLayer(Cast, {}, layer.span, layer.frame)
        converted = {"x": given["value"], "dtype": given["dtype"]}
        value = apply_op(body, cast, converted, Application(application.span))
        repeated["x"] = ArgumentValue(value, given["value"].span)
    return apply_op(body, OpLayer(Expand, {}, layer.span, layer.frame), repeated, application)


def _is_poisoned(value: Val) -> bool:
    items = plain_items(value) if not isinstance(value, Known | Tensor) else None
    return isinstance(value, Poison) or any(map(_is_poisoned, items or ()))


@dataclass(frozen=True)
class _Call:
    """One application with its parts settled."""

    body: Body
    layer: OpLayer
    op: Op
    given: Mapping[str, ArgumentValue]
    operands: Sequence[ArgumentValue | None]
    application: Application

    def find_weight(self, name: str) -> ArgumentValue | None:
        """What was given for a weight. `bias=true` is the option that asks for one."""
        options = {option.name for option in type(self.op).options()}
        item = self.given.get(name)
        return item if item is None or name not in options or _is_itself(item, name) else None


# --- operands ---------------------------------------------------------------------------------


def _collect_operands(
    body: Body, op: type[Op], given: Mapping[str, ArgumentValue], application: Application
) -> list[ArgumentValue | None]:
    """The operands in order; a variadic one is spread out, a left-out one is None."""
    operands: list[ArgumentValue | None] = []
    for operand in op.operands:
        item = given.get(operand.name)
        if item is None or is_none(item.value):
            if not operand.optional:
                span = item.span if item is not None else application.span
                body.report(wrong_argument(span, op.name, operand.name, "a tensor", "none"))
                raise Refused
            operands.append(None)
        elif operand.variadic:
            operands += _spread(body, op, operand.name, item)
        else:
            operands.append(_check_operand(body, op, operand.name, item))
    return operands


def _spread(body: Body, op: type[Op], name: str, item: ArgumentValue) -> list[ArgumentValue]:
    items = (item.value,) if isinstance(item.value, Tensor) else plain_items(item.value)
    if not items:
        found = describe(item.value) if items is None else "an empty list"
        body.report(wrong_argument(item.span, op.name, name, "a list of tensors", found))
        raise Refused
    given = item.value
    return [
        _check_operand(
            body,
            op,
            name,
            ArgumentValue(
                v, given.span_of(i, item.span) if isinstance(given, ListValue) else item.span
            ),
        )
        for i, v in enumerate(items)
    ]


def _check_operand(body: Body, op: type[Op], name: str, item: ArgumentValue) -> ArgumentValue:
    value = item.value
    if isinstance(value, Record) and len(value.items) == 1:
        return ArgumentValue(value.values[0], item.span)
    if isinstance(value, Tensor) or _is_scalar(value):
        return item
    if is_layer(value):
        body.report(layer_for_tensor(item))
        raise Refused
    body.report(wrong_argument(item.span, op.name, name, "a tensor", describe(value)))
    raise Refused


def _is_scalar(value: Val) -> bool:
    """Whether it is a number or a bool, which can meet a tensor."""
    return isinstance(value, Known) and (value.is_number or isinstance(value.value, bool))


def layer_for_tensor(item: ArgumentValue) -> Message:
    """The message for a layer where a tensor is needed."""
    value, waits = item.value, ""
    signature = sign(value) if isinstance(value, OpLayer | BlockLayer) else None
    if signature is not None:
        given = given_of(value)  # type: ignore[arg-type]
        open_tensors = (f for f in signature.formals if f.tensor and f.required)
        waits = " and ".join(f"`{f.name}`" for f in open_tensors if f.name not in given)
    bare = isinstance(value, OpLayer | FunctionLayer) and item.span.text.isidentifier()
    return not_a_layer_here(item.span, describe(value), waits, item.span.text if bare else "")


def _compute_number(op: type[Op], operands: Sequence[ArgumentValue | None]) -> Known | None:
    """The result on compile-time numbers, for ops that act on them too."""
    numbers = [g.value.value for g in operands if g is not None and isinstance(g.value, Known)]
    if not op.scalar or len(numbers) != len(operands) or not numbers:
        return None
    known = [n for n in numbers if isinstance(n, int | float)]
    if len(known) != len(numbers) or len(op.options()):
        return None
    return Known(op().compute(*known))


def _make_constants(
    body: Body, op: type[Op], operands: Sequence[ArgumentValue | None], application: Application
) -> list[ArgumentValue | None]:
    """The operands with numbers turned into constants of the dtype that they meet; positions
    meet nothing."""
    met = [g.value.type for g in operands if g is not None and isinstance(g.value, Tensor)]
    positions = {place for place, operand in enumerate(op.operands) if operand.index}
    made: list[ArgumentValue | None] = []
    for place, item in enumerate(operands):
        if item is None or isinstance(item.value, Tensor):
            made.append(item)
            continue
        assert isinstance(item.value, Known)
        beside = [] if place in positions else met
        constant = make_constant(body, item.value, beside, item)
        if isinstance(constant, Poison):
            raise Refused
        made.append(ArgumentValue(constant, item.span))
    return made


def _check_constants(body: Body, op: Op, operands: Sequence[ArgumentValue | None]) -> None:
    """Refuses known numbers that an operand may not hold (zeros that whole numbers are divided by,
    negative powers of them), once the types are known to fit. Places of tables may be counted from
    the end."""
    tensors = [g.value if g is not None and isinstance(g.value, Tensor) else None for g in operands]
    types = [tensor.type if tensor is not None else None for tensor in tensors]
    pairs = zip(types, op.operands, strict=False)
    lacks = any(found is None and not operand.optional for found, operand in pairs)
    for place, domain in () if lacks else op.place_domains(types).items():
        tensor, item = tensors[place], operands[place]
        known = find_constant(tensor) if tensor is not None else None
        table = domain.count is not None and not op.broadcasts
        if known is None or item is None or table or domain.holds(known):
            continue
        if domain == Domain():
            body.report(zero_divisor(item.span, op.name, str(types[0])))
        else:
            outside = next(n for n in known.flat if not domain.holds(np.asarray(n))).item()
            expected = domain.describe()
            body.report(number_outside(item.span, op.name, str(types[0]), outside, expected))
        raise Refused


def find_constant(tensor: Tensor) -> NDArray[Any] | None:
    """The numbers of a tensor that are written in the spec; None where they are computed."""
    op = tensor.home.builder.find_source(tensor.value)
    if not isinstance(op, Constant) or isinstance(op.value, Dim):
        return None
    return op.array


def make_constant(
    body: Body, number: Known, met: Sequence[TensorType], item: ArgumentValue
) -> Tensor | Poison:
    """A scalar constant of the dtype that a number takes beside tensors. A number that the dtype
    cannot hold is reported."""
    value = number.value
    assert isinstance(value, int | float | Dim)
    dtype = literal_dtype(1 if isinstance(value, Dim) else value, met)
    if not isinstance(value, Dim):
        if not dtype.holds(value):
            body.report(number_not_held(item.span, value, dtype.value, *dtype.range))
            return POISON
        value = shorten_integer(value)
    op = Size(value, dtype) if isinstance(value, Dim) else Constant(value, dtype)
    hints = (("value", number.hint),) if number.hint is not None else ()
    assert body.home is not None
    assert body.frame is not None
    site = Site(item.span, "", hints, body.guard, turns=body.turns)
    (made,) = body.home.builder.apply(op, (), body.frame, site)
    return Tensor(made, body.home, item.span)


# --- options ----------------------------------------------------------------------------------


def _make_op(
    body: Body, cls: type[Op], given: Mapping[str, ArgumentValue], application: Application
) -> Op:
    """The op with its fields, or the diagnostics of every field that does not fit."""
    fields: dict[str, object] = {}
    refused = False
    for option in cls.options():
        item = given.get(option.name)
        if item is None:
            continue
        if _is_itself(item, option.name):
            fields[option.name] = True
            continue
        try:
            fields[option.name] = convert(item.value, option.annotation)
        except Unfit as unfit:
            refused = True
            span = unfit.place or item.span
            body.report(
                wrong_argument(
                    span, cls.name, option.name, unfit.expected, unfit.found, unfit.suggestion
                )
            )
    if refused:
        raise Refused
    try:
        return cls(**fields)
    except Fault as fault:
        body.report(fault.make(CallPlace(application.span, given)))
        raise Refused from fault


def _is_itself(item: ArgumentValue, name: str) -> bool:
    """Whether it is the weight itself, where an option says if there is one: `bias=b`."""
    return name == "bias" and isinstance(item.value, Tensor)


# --- the node ---------------------------------------------------------------------------------


def _add_node(call: _Call, slot: Slot | None) -> Val:
    body, op, application = call.body, call.op, call.application
    assert body.home is not None
    assert body.frame is not None
    if isinstance(op, Fitted) and not body.home.root.of_rows:
        body.report(only_in_data(application.span, op.name))
        return POISON
    place = CallPlace(application.span, call.given, call.operands)
    if op.of_graph and (outer := _find_outer(call)) is not None:
        reason = "inside a loop this is made outside of it"
        body.report(no_slope(outer.span, reason))
        return POISON
    inputs: list[Value | None] = [
        body.home.value_of(g.value) if g is not None and isinstance(g.value, Tensor) else None
        for g in call.operands
    ]
    try:
        wanted = op.weights([v.type if v is not None else None for v in inputs])
        _check_extra(call, wanted)
        if slot is None and any(call.find_weight(w.name) is None for w in wanted):
            slot = claim_slot(body, application.label, op.name, application.span)
            if slot is None:
                return POISON
        inputs += [_get_weight(call, weight, slot, place) for weight in wanted]
        name, label = (slot.name, slot.hint) if slot is not None else ("", None)
        site = Site(
            application.span,
            name,
            _hints(call),
            body.guard,
            label,
            body.turns,
            list_picks(body, call.operands),
            _find_list(call),
        )
        frame = slot.frame if slot is not None else body.frame
        made = body.home.builder.apply(op, inputs, frame, site, own_names(application.names))
    except Fault as fault:
        body.report(fault.make(place))
        return POISON
    body.session.spend(RESULT_WORK * len(made), application.span)
    check_call(body, op, call.operands, application.span)
    return _wrap(body, op, made, application)


def _find_outer(call: _Call) -> ArgumentValue | None:
    """An operand that another graph makes: that around the body of a loop."""
    given = (item for item in call.operands if item is not None)
    tensors = ((item, item.value) for item in given)
    home = call.body.home
    return next((i for i, v in tensors if isinstance(v, Tensor) and v.home is not home), None)


def _find_list(call: _Call) -> Listing | None:
    """The list that a variadic operand was given as."""
    names = [operand.name for operand in type(call.op).operands if operand.variadic]
    given = [call.given[name].value for name in names if name in call.given]
    return next((s for v in given if (s := find_list(call.body, v)) is not None), None)


def apply_built(
    body: Body,
    op: Op,
    operands: Sequence[ArgumentValue],
    application: Application,
    hints: tuple[tuple[str, Hint], ...] = (),
) -> Val:
    """The result of an op that the compiler itself made, on tensors."""
    if body.home is None or body.frame is None:
        body.report(foreign_tensor(application.span))
        return POISON
    values = [body.home.value_of(g.value) for g in operands if isinstance(g.value, Tensor)]
    picks = list_picks(body, operands)
    site = Site(application.span, "", hints, body.guard, turns=body.turns, picks=picks)
    try:
        made = body.home.builder.apply(op, values, body.frame, site, own_names(application.names))
    except Fault as fault:
        body.report(fault.make(CallPlace(application.span, {}, operands)))
        return POISON
    return _wrap(body, op, made, application)


def _wrap(body: Body, op: Op, made: Sequence[Value], application: Application) -> Val:
    assert body.home is not None
    home = body.home
    tensors = tuple(Tensor(value, home, application.span) for value in made)
    for tensor in tensors:
        home.makers[tensor.value.name] = op.name
    if op.multiple or len(tensors) != 1:
        return Record(tuple(("", tensor) for tensor in tensors))
    return tensors[0]


def _check_extra(call: _Call, wanted: Sequence[Weight]) -> None:
    """Names that were taken for weights must be weights."""
    cls = type(call.op)
    known = [*(o.name for o in cls.operands), *(o.name for o in cls.options())]
    names = list(dict.fromkeys([*known, *(w.name for w in wanted)]))
    for name, item in call.given.items():
        if _is_itself(item, name) and name in known and all(w.name != name for w in wanted):
            found = describe(item.value)
            call.body.report(wrong_argument(item.span, cls.name, name, "true or false", found))
            raise Refused
        started = [w.name for w in wanted if w.trainable and w.start == name]
        if name in known or any(call.find_weight(weight) is None for weight in started):
            continue
        if names_start(name):
            given = started[0] if started else None
            call.body.report(nothing_to_start(item.span, cls.name, name, given))
            raise Refused
        if name not in names:
            call.body.report(
                unknown_argument(item.span, cls.name, name, tuple(names), did_you_mean(name, names))
            )
            raise Refused


def _get_weight(call: _Call, weight: Weight, slot: Slot | None, place: CallPlace) -> Value:
    """The value of a weight: given by keyword, found (a net's later use), or made."""
    body, item = call.body, call.find_weight(weight.name)
    assert body.home is not None
    if item is not None:
        if not isinstance(item.value, Tensor):
            name, found = call.op.name, describe(item.value)
            body.report(wrong_argument(item.span, name, weight.name, "a tensor", found))
            raise Refused
        return body.home.value_of(item.value)
    assert slot is not None
    path = join(join(slot.frame.path, slot.name), weight.name)
    span = call.application.span
    weight, hints = _start(call, weight)
    made = make_weight(body, path, weight, span, reuse=slot.reuse, hints=hints, slot=slot)
    if made is None:
        raise Refused
    return body.home.value_of(made)


def _start(call: _Call, weight: Weight) -> tuple[Weight, tuple[tuple[str, Hint], ...]]:
    """A weight that starts as `init=` says, and how the initializer's fields were written."""
    names = {option.name for option in type(call.op).options()}
    item = call.given.get(weight.start) if weight.start not in names else None
    if item is None:
        return weight, ()
    settled = settle_initializer(call.body, item, weight.type)
    if settled is None:
        raise Refused
    initializer, written = settled
    here = call.body.reads(call.layer.frame)
    kept = ((field, hint if here else mark_outer(hint)) for field, hint in written)
    hints = tuple((f, hint) for f, hint in kept if hint is not None and any(hint_atoms(hint)))
    return replace(weight, initializer=call.op.start_weight(weight, initializer)), hints


def _hints(call: _Call) -> tuple[tuple[str, Hint], ...]:
    """How the fields were written, where that was in this block, else what they follow there;
    `op` names the parameter that the op itself came from."""
    hints: list[tuple[str, Hint]] = []
    if call.application.hint is not None:
        hints.append(("op", call.application.hint))
    here = call.body.reads(call.layer.frame)
    for option in type(call.op).options():
        item = call.given.get(option.name)
        for field, hint in field_hints(option.name, item) if item is not None else ():
            kept = hint if here else mark_outer(hint)
            hints += [(field, kept)] if kept is not None else []
    return tuple(hints)
