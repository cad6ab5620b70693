"""Clauses of blocks and models: `input`, `output`, `param`, `buffer`, `net`, `assert`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from compiler.elaborate.calls.initial import Hinted, read_initializer
from compiler.elaborate.calls.loading import split_loads
from compiler.elaborate.calls.modes import evaluate_whole
from compiler.elaborate.calls.primitives import layer_for_tensor
from compiler.elaborate.calls.weights import make_weight
from compiler.elaborate.evaluate.pipes import callee_span
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, ClauseHandler, ClauseTable, malformed
from compiler.elaborate.scopes.paths import is_path, join
from compiler.elaborate.scopes.ports import OutputEntry
from compiler.elaborate.shapes.assertions import run_assert
from compiler.elaborate.shapes.symbols import declare_input
from compiler.elaborate.shapes.types import (
    Subject,
    TensorPattern,
    bind_sizes,
    check_tensor,
    evaluate_shape,
    read_type,
)
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    Known,
    Layer,
    ListValue,
    NetValue,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint, hint_atoms
from compiler.ir.operands import Weight
from compiler.program.net import AddAdapters, LoadWeights, TakeAverage
from compiler.report.messages.deployments import several_nets
from compiler.report.messages.names import type_has_no_dims
from compiler.report.messages.nets import (
    bad_label,
    foreign_tensor,
    net_stands_already,
    not_a_layer,
    two_of_a_name,
)
from compiler.report.messages.shapes import not_a_tensor, shape_not_settled, weight_not_trainable
from compiler.report.messages.training_steps import average_outside_train, not_a_net_of_the_train
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Declare, Expr, Group, Name, Operand, Rest, Then
from compiler.text.tree.syntax import Train as TrainItem
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.clauses import BLOCK, MODEL, SCAN, TRAIN, ClauseWord, runs
from compiler.vocabulary.net_functions import LOAD
from compiler.writing.files import find_name_fault


def read_operands(body: Body, clause: Clause) -> tuple[Operand, ...]:
    """The operands of a clause that has neither `with`, `over` nor a body."""
    for tail in clause.tails:
        malformed(body, clause, tail.span, f"`{tail.word}` has no meaning here")
    if clause.body is not None:
        malformed(body, clause, clause.word.span, "it has no body")
    if not clause.operands:
        malformed(body, clause, clause.word.span, "something is missing behind it")
    return clause.operands


# --- input and output -------------------------------------------------------------------------


@runs("input name: f32[batch, 3]", "a tensor that comes in", MODEL)
def run_input(body: Body, clause: Clause) -> None:
    """`input name: type`: a tensor that comes in from outside."""
    ports = body.ports
    assert ports is not None
    for operand in read_operands(body, clause):
        declare = operand.value
        if not isinstance(declare, Declare):
            malformed(body, clause, operand.span, "an input has a name and a type")
            continue
        if declare.value is not None:
            malformed(body, clause, declare.value.span, "an input has no value")
            body.bind(declare.name.text, POISON)
            continue
        name = declare.name
        if name.text in ports.inputs:
            body.report(two_of_a_name(name.span, "input", name.text, ports.inputs[name.text]))
            continue
        ports.inputs[name.text] = name.span
        pattern = read_type(body.report, declare.type)
        if isinstance(pattern, str):
            body.report(type_has_no_dims(declare.type.span, pattern, "is not a type of tensors"))
        value: Val = POISON
        if isinstance(pattern, TensorPattern):
            value = _take_input(body, declare, pattern, clause.doc)
        body.bind(name.text, value)


def _take_input(body: Body, declare: Declare, pattern: TensorPattern, doc: str) -> Val:
    assert body.ports is not None
    name = declare.name
    if body.ports.given is None:
        return declare_input(body, declare, pattern, doc)
    item = body.ports.given.get(name.text)
    if item is None or not isinstance(item.value, Tensor):
        return POISON
    subject = Subject(f"input `{name.text}`", item.span, name.text)
    bind_sizes(body, pattern, item.value, subject)
    return item.value if check_tensor(body, pattern, item.value, subject) else POISON


@runs("output name = value", "a tensor that goes out", MODEL)
def run_output(body: Body, clause: Clause) -> None:
    """`output name[: type] = value`: a tensor that goes out."""
    ports = body.ports
    assert ports is not None
    for operand in read_operands(body, clause):
        name, expression = _named_value(operand)
        if name is None or expression is None:
            malformed(body, clause, operand.span, "an output has a name and a value")
            continue
        value = evaluate_whole(body, expression, ExpectedUse((name.text,)))
        value = check_declared(body, operand.value, value, f"output `{name.text}`")
        tensor = _need_tensor(body, value, expression, f"output `{name.text}`")
        body.bind(name.text, value if tensor is None else tensor)
        first = next((o for o in ports.outputs if o.name == name.text), None)
        if first is not None:
            body.report(two_of_a_name(name.span, "output", name.text, first.span))
        elif tensor is None:
            ports.refused.add(name.text)
        else:
            ports.outputs.append(OutputEntry(name.text, tensor, clause.doc, name.span))


def _named_value(operand: Operand) -> tuple[Name | None, Expr | None]:
    """The name and value of `name = value` or `name: type = value`."""
    if isinstance(operand.value, Declare):
        return operand.value.name, operand.value.value
    return operand.name, operand.value


def _need_tensor(body: Body, value: Val, expression: Expr, subject: str) -> Tensor | None:
    match value:
        case Tensor():
            return value
        case Poison():
            return None
        case _ if is_layer(value):
            body.report(layer_for_tensor(ArgumentValue(value, expression.span)))
        case _:
            hint = None
            if isinstance(value, Record):
                hint = "take one of its results: `result.name`"
            elif isinstance(value, Known):
                hint = "an output is not known when compiling; `full([…], value)` makes a tensor"
            body.report(not_a_tensor(expression.span, subject, "a tensor", describe(value), hint))
    return None


def check_declared(body: Body, declared: Expr | Declare, value: Val, subject: str) -> Val:
    """The value, checked against the type in `name: type = value`; poison where it differs."""
    if not isinstance(declared, Declare) or isinstance(value, Poison):
        return value
    pattern = read_type(body.report, declared.type)
    if not isinstance(pattern, TensorPattern):
        return value
    if is_layer(value):
        return value
    span = declared.value.span if declared.value is not None else declared.span
    place = Subject(subject, _last_stage(declared.value) if declared.value else span)
    return value if check_tensor(body, pattern, value, place) else POISON


def _last_stage(expression: Expr) -> Span:
    """Where the carets of a type that does not hold stand: the last stage of a pipe."""
    match expression:
        case Then(right=right):
            return callee_span(right)
        case Group(inner=inner):
            return _last_stage(inner)
    return expression.span


# --- weights ----------------------------------------------------------------------------------


@runs("param name: f32[d] = zeros", "a weight of the block itself", BLOCK, MODEL, SCAN)
def run_param(body: Body, clause: Clause) -> None:
    """`param name: type = initializer`: a weight of the block itself."""
    for operand in read_operands(body, clause):
        declare_weight(body, clause, operand, trainable=True)


@runs("buffer name: f32[d] = zeros", "numbers that no optimizer touches", BLOCK, MODEL, SCAN)
def run_buffer(body: Body, clause: Clause) -> None:
    """`buffer name: type = initializer`: numbers that no optimizer touches."""
    for operand in read_operands(body, clause):
        declare_weight(body, clause, operand, trainable=False)


def declare_weight(
    body: Body,
    clause: Clause,
    operand: Operand,
    *,
    trainable: bool,
    begin: Callable[[Body, Expr, TensorType], Hinted | None] = read_initializer,
) -> None:
    """Binds the weight of `name: type = initializer`; `begin` reads how it starts."""
    declare = operand.value
    name, expression = _named_value(operand)
    if name is None or not isinstance(declare, Declare):
        malformed(body, clause, operand.span, "a weight has a name and a type")
        if name is not None:
            body.bind(name.text, POISON)
        return
    body.bind(name.text, POISON)
    if not is_path(name.text):
        body.report(bad_label(name.span, name.text))
        return
    if expression is None:
        malformed(body, clause, declare.span, "it has no initial value")
        return
    settled = _settle_type(body, declare)
    if settled is None:
        return
    weight_type, hints = settled
    if trainable and not weight_type.dtype.is_float:
        body.report(weight_not_trainable(declare.type.span, str(weight_type.dtype)))
        return
    start = begin(body, expression, weight_type)
    if start is None:
        return
    initializer, numbers = start
    written = tuple((field, hint) for field, hint in numbers if any(hint_atoms(hint)))
    if body.home is None or body.frame is None:
        body.report(foreign_tensor(name.span))
        return
    path = join(body.prefix, name.text)
    body.paths.claim(path, name.span)
    weight = Weight(name.text, weight_type, initializer, trainable)
    full = join(body.frame.path, path)
    made = make_weight(body, full, weight, name.span, reuse=body.reuse, hints=(*hints, *written))
    if made is not None:
        body.bind(name.text, made)


def _settle_type(
    body: Body, declare: Declare
) -> tuple[TensorType, tuple[tuple[str, Hint], ...]] | None:
    """The type of a weight, and how its sizes were written."""
    pattern = read_type(body.report, declare.type)
    if isinstance(pattern, Poison):
        return None
    if isinstance(pattern, str) or pattern.dims is None or pattern.dtype is None:
        body.report(type_has_no_dims(declare.type.span, declare.type.name.text, _NEEDS_DIMS))
        return None
    dims = [d for d in pattern.dims if not isinstance(d, Rest)]
    if len(dims) != len(pattern.dims):
        body.report(shape_not_settled(declare.type.span, "a weight", "`...` leaves it open"))
        return None
    shape = evaluate_shape(body, dims)
    if shape is None:
        return None
    for dim, size in zip(dims, shape, strict=True):
        if isinstance(size, Dim):
            found = f"`{size}` is known only when the network runs"
            place = body.sizes.get(dim.text) if isinstance(dim, Name) else None
            body.report(
                shape_not_settled(
                    dim.span,
                    "a weight",
                    found,
                    "give the size as a number or a parameter",
                    (place,) if place is not None else (),
                )
            )
            return None
    return TensorType.of(pattern.dtype, shape), size_hints(body, dims)


_NEEDS_DIMS = "needs a dtype and dims here, such as `f32[8, d]`"


def size_hints(body: Body, dims: Sequence[Expr]) -> tuple[tuple[str, Hint], ...]:
    """How the sizes of a shape were written."""
    hints = []
    for axis, dim in enumerate(dims):
        value = body.evaluate(dim)
        if isinstance(value, Known) and value.hint is not None:
            hints.append((str(axis), value.hint))
    return tuple(hints)


# --- nets -------------------------------------------------------------------------------------


@runs("net m = Model()", "a net with its own weights", TRAIN)
@runs("net name = layer", "one set of weights for every use", BLOCK, MODEL, SCAN)
def run_net(body: Body, clause: Clause) -> None:
    """`net name = layer`: one set of weights for every use. A train is the net that it made, `net
    teacher = fit`."""
    for operand in read_operands(body, clause):
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a net has a name and a layer")
            continue
        value = body.evaluate(operand.value)
        net = declare_net(body, name, value, operand.value.span)
        body.bind(name.text, net)
        body.nets[name.text] = net


def declare_net(body: Body, name: Name, value: Val, span: Span) -> Val:
    """The net, or list of nets, that a name stands for from here on."""
    prefix = body.frame.path if body.frame is not None else ""
    path = join(join(prefix, body.prefix), name.text)
    return make_net(body, name, name.text, path, value, span)


def make_net(body: Body, name: Name, label: str, path: str, value: Val, span: Span) -> Val:
    """A net under a path; a list of layers makes a list of nets, `path.0`, `path.1` …"""
    if isinstance(value, Poison):
        return POISON
    if path and not is_path(path):
        # an item whose name is none for a file either has been told of
        if body.home is not None or find_name_fault(name.text) is None:
            body.report(bad_label(name.span, path))
        return POISON
    if isinstance(value, ListValue):
        return ListValue(
            tuple(
                make_net(body, name, f"{label}.{i}", f"{path}.{i}", item, span)
                for i, item in enumerate(value.items)
            )
        )
    if isinstance(value, Record) and all(isinstance(v, NetValue) for v in value.values):
        names = tuple(net for net, _ in value.items)
        body.report(several_nets(span, span.text, names))
        return POISON
    if not is_layer(value):
        hint = "apply it with `->`; `net` declares a layer whose weights are shared"
        made = value.made if isinstance(value, Tensor) else None
        body.report(not_a_layer(span, describe(value), hint, made))
        return POISON
    layer, steps = split_loads(value)  # type: ignore[arg-type]
    average = next((step for step in steps if isinstance(step, TakeAverage)), None)
    if average is not None:
        return _make_average(body, name, label, path, layer, steps)
    loads = tuple(step for step in steps if not isinstance(step, TakeAverage))
    if isinstance(layer, NetValue):
        if body.home is not None and layer.home is not None:
            for step in loads:
                word = LOAD if isinstance(step, LoadWeights) else step.lora.name
                body.report(net_stands_already(step.span, word, layer.name, layer.span))
            return layer  # a second name for the same weights
        loads = (*layer.loads, *loads)
        layer = layer.layer
    if isinstance(layer, BlockLayer):
        layer = replace(layer)
    return NetValue(label, layer, path, body.home, body.frame, name.span, loads, body.reuse)


def _make_average(
    body: Body,
    name: Name,
    label: str,
    path: str,
    source: Layer,
    steps: Sequence[LoadWeights | AddAdapters | TakeAverage],
) -> Val:
    """A net of a train that follows another one of it."""
    average = steps[-1]
    if len(steps) > 1 or not isinstance(average, TakeAverage):
        word = next(s.function.name for s in steps if isinstance(s, TakeAverage))
        body.report(not_a_net_of_the_train(name.span, word, "a net with other functions on it"))
        return POISON
    place, word = average.span, average.function.name
    if not isinstance(body.item, TrainItem) or body.home is None:
        where = body.clauses.place if body.home is not None else "a file"
        body.report(average_outside_train(place, word, where))
        return POISON
    if not isinstance(source, NetValue) or source.home is not body.home:
        found = describe(source) if not isinstance(source, NetValue) else f"the net {source.name}"
        body.report(not_a_net_of_the_train(place, word, found))
        return POISON
    if source.source is not None:
        advice = f"follow the net that `{source.name}` follows, by another decay"
        body.report(not_a_net_of_the_train(place, word, f"the average {source.name}", advice))
        return POISON
    layer = replace(source.layer) if isinstance(source.layer, BlockLayer) else source.layer
    adapters = tuple(step for step in source.loads if isinstance(step, AddAdapters))
    return NetValue(
        label,
        layer,
        path,
        body.home,
        body.frame,
        name.span,
        adapters,
        body.reuse,
        average=average,
        source=source,
    )


# --- tables -----------------------------------------------------------------------------------

runs(
    'assert condition, "text"',
    "a condition that is checked when compiling",
    BLOCK,
    MODEL,
    SCAN,
    TRAIN,
)(run_assert)


def find_runner(word: ClauseWord) -> ClauseHandler:
    """What runs a clause in a body of code."""
    assert word.run is not None
    return word.run


BLOCK_CLAUSES = ClauseTable.of(BLOCK, find_runner)
MODEL_CLAUSES = ClauseTable.of(MODEL, find_runner)
