"""The clauses `buffer` and `update` of a train: its state, and what that is behind a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from compiler.elaborate.bodies.code_clauses import declare_weight, read_operands
from compiler.elaborate.calls.initial import Hinted, read_start
from compiler.elaborate.calls.primitives import make_constant
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Known,
    ListValue,
    NetValue,
    Poison,
    Tensor,
    Val,
)
from compiler.ir.graph import Parameter
from compiler.program.train import START_OUTPUT, Train, Update
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.nets import no_initializer, two_of_a_name
from compiler.report.messages.updates import (
    buffer_never_updated,
    update_differs,
    update_not_shared,
    update_of_parts,
    update_reads_figure,
    update_with_fixed_loss,
    updated_twice,
    updates_no_buffer,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.rows.handed import Handing
from compiler.text.tree.syntax import Attribute, Clause, Declare, Expr, Name
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.initializers.given import Zeros

SPLITS = ("train", "val", "test")
"""What splits of data are usually called."""


@dataclass(frozen=True)
class UpdateEntry:
    """`update center = EXPR`, as it is written. `step` is the name of the step around it."""

    name: str
    tensor: Tensor
    span: Span
    place: Span
    step: str = ""

    @property
    def made(self) -> Update:
        """The update, as the typed program has it."""
        return Update(self.name, self.step, self.span)


@dataclass(frozen=True)
class StartEntry:
    """`buffer queue: f32[n, d] = EXPR`: a buffer that starts as a tensor."""

    name: str
    tensor: Tensor
    span: Span

    @property
    def output(self) -> str:
        """The output of the train's graph that it starts as."""
        return f"{START_OUTPUT}{self.name}"


def read_buffers(body: Body, clause: Clause, columns: Mapping[str, Span]) -> Iterator[StartEntry]:
    """Declares the buffers of a clause; those that start as a tensor which is computed. `columns`
    are those of the data, and where they come from."""
    for operand in read_operands(body, clause):
        declare = operand.value
        if not isinstance(declare, Declare):
            declare_weight(body, clause, operand, trainable=False)
            continue
        taken = _find_taken(body, declare.name, columns)
        if taken is not None:
            body.report(taken)
            continue
        found: list[StartEntry] = []
        begin = partial(_read_start, found, declare)
        declare_weight(body, clause, operand, trainable=False, begin=begin)
        yield from found


def _find_taken(body: Body, name: Name, columns: Mapping[str, Span]) -> Message | None:
    """That a net, or a column of the data, has the name of a buffer already."""
    net = next(flatten_nets([body.nets.get(name.text, POISON)]), None)
    if net is not None:
        return two_of_a_name(name.span, "part", net.name, net.span)
    if name.text in columns:
        return two_of_a_name(name.span, "tensor", name.text, columns[name.text])
    return None


def _read_start(
    found: list[StartEntry], declare: Declare, body: Body, expression: Expr, type: TensorType
) -> Hinted | None:
    """How a buffer starts; a tensor that is computed is `found`."""
    start = read_start(body, expression, type)
    if not isinstance(start, Tensor):
        return start
    name = declare.name.text
    if start.type != type:
        place = declare.type.span
        advice = _advise(type, start.type)
        told = update_differs(expression.span, name, str(type), _describe(start), place, advice)
        body.report(told)
        return None
    found.append(StartEntry(name, start, expression.span))
    return Zeros(), ()


def read_updates(
    body: Body, clause: Clause, before: Sequence[UpdateEntry]
) -> Iterator[UpdateEntry]:
    """What a clause says, behind the updates of the same step that stand `before` it; what is
    refused is reported."""
    known = {entry.name: entry for entry in before}
    for operand in read_operands(body, clause):
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a buffer of the train is given a value")
            continue
        figure = _find_figure(body, operand.value)
        if figure is not None:
            body.report(update_reads_figure(figure.span, figure.span.text))
            continue
        # what an earlier update made of a buffer is what later ones read
        body.names.append({entry.name: entry.tensor for entry in known.values()})
        value = body.evaluate(operand.value, ExpectedUse((name.text,)))
        body.names.pop()
        buffer = _find_buffer(body, name)
        if buffer is None:
            continue
        if name.text in known:
            body.report(updated_twice(name.span, name.text, known[name.text].span))
            continue
        value = _give_type(body, buffer, ArgumentValue(value, operand.value.span))
        if _fits(body, buffer, value, operand.value.span):
            assert isinstance(value, Tensor), "it fits"
            entry = UpdateEntry(name.text, value, name.span, operand.value.span)
            known[name.text] = entry
            yield entry


def _find_figure(body: Body, expression: Expr) -> Attribute | None:
    """A figure of a split, `val.loss`, in an expression."""
    for node in walk(expression):
        if isinstance(node, Attribute) and isinstance(node.base, Name):
            word = node.base.text
            if word in SPLITS and not any(word in layer for layer in body.names):
                return node
    return None


def flatten_nets(values: Iterable[Val]) -> Iterator[NetValue]:
    """Nets, and those in lists of nets."""
    for value in values:
        match value:
            case NetValue():
                yield value
            case ListValue(items):
                yield from flatten_nets(items)


def _find_buffer(body: Body, name: Name) -> Parameter | None:
    """The buffer of the train that a name stands for; None where it is none, which is reported."""
    value = next((layer[name.text] for layer in reversed(body.names) if name.text in layer), None)
    if isinstance(value, Poison):
        return None
    buffers = find_buffers(body)
    if isinstance(value, Tensor) and value.value.name in buffers:
        return buffers[value.value.name]
    near = did_you_mean(name.text, list(buffers))
    found = "nothing has this name" if value is None else f"this is {_describe(value)}"
    body.report(updates_no_buffer(name.span, name.text, found, tuple(buffers), near))
    return None


def _describe(value: Val) -> str:
    return f"a tensor {value.type}" if isinstance(value, Tensor) else describe(value)


def find_buffers(body: Body) -> Mapping[str, Parameter]:
    """The buffers that the body of a train declares, by name."""
    assert body.home is not None
    root = body.home.root
    own = (path for path, place in root.stages.items() if place == (body.frame, ""))
    found = ((path, root.builder.get_parameter(path)) for path in own)
    return {path: parameter for path, parameter in found if parameter is not None}


def _give_type(body: Body, buffer: Parameter, given: ArgumentValue) -> Val:
    """A number as a tensor, where a buffer that holds one number becomes it."""
    value = given.value
    known = isinstance(value, Known) and (value.is_number or isinstance(value.value, bool))
    if not known or buffer.value.type.rank:
        return value
    assert isinstance(value, Known), "it is a number"
    return make_constant(body, value, [buffer.value.type], given)


def _fits(body: Body, buffer: Parameter, value: Val, span: Span) -> bool:
    """Whether a buffer can become a value; reported where it cannot."""
    if isinstance(value, Poison):
        return False
    if isinstance(value, Tensor) and value.type == buffer.value.type:
        return True
    place = buffer.origin
    assert place is not None, "a spec has declared it"
    wanted = buffer.value.type
    found = value.type if isinstance(value, Tensor) else None
    advice = _advise(wanted, found)
    told = update_differs(span, buffer.path, str(wanted), _describe(value), place, advice)
    body.report(told)
    return False


def _advise(wanted: TensorType, found: TensorType | None) -> str:
    """What makes a tensor that a buffer can become of what was found."""
    if found is None:
        shape = ", ".join(map(str, wanted.shape))
        dtype = "" if wanted.dtype is DType.F32 else f", dtype={wanted.dtype}"
        return f"a tensor belongs here: `full([{shape}], 1{dtype})` holds one number everywhere"
    if found.shape == wanted.shape:
        return f"`cast(x, {wanted.dtype})` converts"
    return "keep axes that a mean takes away with `keep=true`"


def find_update_faults(train: Train) -> Iterator[Message]:
    """Buffers that stay as they are, and updates that the train cannot make."""
    fixing = [g.optimizer for g in train.groups if g.optimizer.evaluates or g.optimizer.solves]
    for update in train.updates if fixing else ():
        yield update_with_fixed_loss(update.span, update.buffer, fixing[0].name)
    yield from _find_unshared(train)
    yield from _find_late_starts(train)
    updated = {update.buffer for update in train.updates}
    for buffer in train.buffers if train.learns else ():
        if buffer.path not in updated:
            yield buffer_never_updated(buffer.origin, buffer.path)


def _find_unshared(train: Train) -> Iterator[Message]:
    """Updates that need a whole batch, of which processes, or parts, have a share each."""
    handing = Handing(train, train.graph)
    tell = update_not_shared if train.processes == "ddp" else update_of_parts
    sites = {v.name: node.origin.span for node in train.graph.nodes for v in node.outputs}
    sites |= {item.value.name: item.origin for item in train.graph.inputs}
    for update, value, why in handing.find_faults() if handing.is_shared else ():
        yield tell(update.span, update.buffer, f"{value.type}: {why}", sites[value.name])


def _find_late_starts(train: Train) -> Iterator[Message]:
    """Starts that need more than draws and numbers: they are computed before there is a batch."""
    graph = train.graph
    given = {item.value.name for item in graph.inputs} | set(graph.parameter)
    for output in graph.outputs:
        if not output.name.startswith(START_OUTPUT):
            continue
        needed = {output.value.name}
        for node in reversed(graph.nodes):
            if any(v.name in needed for v in node.outputs):
                needed.update(v.name for v in node.inputs if v is not None)
        if needed & given:
            found = "a tensor that follows from rows or weights"
            yield no_initializer(output.origin, found, tuple(INITIALIZERS.names()), None)
