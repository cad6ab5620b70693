"""Which weighted means and sums a loss adds up: over a split, each mean is divided by its own
weights, and sums are added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.limits import find_limits
from compiler.ir.sizes import ROWS
from compiler.ops.arithmetic import Div, Mul
from compiler.ops.class_losses import ClassLoss
from compiler.ops.creation import Constant
from compiler.ops.losses import PairLoss
from compiler.program.data import DataSet
from compiler.program.train import MetricUse, Train
from compiler.records import dataclass
from compiler.training.batch_mean import BatchMean, Counting, EntryCounting, Part
from compiler.vocabulary.signature import MASK
from compiler.writing.names import free_name


@dataclass(frozen=True)
class _Term:
    """A value that is added up, times a factor; `counted` has the entries that are counted, or how
    much each counts."""

    value: Value
    part: Part
    counted: tuple[Value, ...] = ()


def measure_losses(train: Train) -> tuple[Graph, tuple[MetricUse, ...]]:
    """The loss of each step of a train as a figure of a split, and its graph with the outputs that
    these read."""
    graph, uses = train.graph, []
    for name in train.losses:
        use = MetricUse(name, BatchMean(), (name,))
        graph, use = count_targets(graph, use, train.data)
        uses.append(use)
    return graph, tuple(uses)


def count_targets(
    step: Graph, use: MetricUse, data: DataSet | None = None
) -> tuple[Graph, MetricUse]:
    """A mean of a number per batch, with every weighted mean in it counted by its weights and every
    sum added up, and the step with the outputs that it reads then. The `data` may say that all
    labels count."""
    if use.metric != BatchMean():
        return step, use
    outputs = {o.name: o for o in step.outputs}
    (name,) = use.reads
    terms = _split(step, data, outputs[name].value, 1.0)
    if all(term.part.is_plain for term in terms):
        return step, use
    names = {o.value.name: o.name for o in step.outputs if o.name != name}
    names[outputs[name].value.name] = name
    read = [value for term in terms for value in (term.value, *term.counted)]
    for value in read:
        if value.name not in names:
            maker = step.producers.get(value.name)
            wish = value.name
            if wish.startswith("%"):
                wish = f"{use.name}_term"
                if maker is not None and not maker.op.operator:
                    wish = maker.op.name
            names[value.name] = free_name(wish, outputs, ".")
            outputs[names[value.name]] = Output(names[value.name], value, "", use.span)
    metric = BatchMean(tuple(term.part for term in terms))
    made = replace(use, metric=metric, arguments=tuple(names[v.name] for v in read))
    return replace(step, outputs=tuple(outputs.values())), made


def _split(step: Graph, data: DataSet | None, value: Value, factor: float) -> tuple[_Term, ...]:
    """The terms of a sum, with the numbers that they are multiplied by; one where nothing in it is
    counted or added up."""
    terms = tuple(_list_terms(step, data, value, factor))
    if all(term.part.is_plain for term in terms):
        return (_Term(value, Part(factor)),)
    return terms


def _list_terms(step: Graph, data: DataSet | None, value: Value, factor: float) -> Iterator[_Term]:
    node = step.producers.get(value.name)
    operands = _operands(node) if node is not None else []
    if node is None or any(v.type.rank for v in operands):
        yield _make_term(step, data, value, node, factor)
        return
    match node.op:
        case op if op.signs:
            for operand, sign in zip(operands, op.signs, strict=True):
                yield from _split(step, data, operand, sign * factor)
        case _ if (scaled := _read_scale(step, node)) is not None:
            yield from _split(step, data, scaled[0], factor * scaled[1])
        case _:
            yield _Term(value, Part(factor))


def _operands(node: Node) -> list[Value]:
    return [v for v in node.inputs if v is not None]


def _read_scale(step: Graph, node: Node) -> tuple[Value, float] | None:
    """What a product or quotient scales, and by which number; None where no number does."""
    if not isinstance(node.op, Mul | Div):
        return None
    left, right = _operands(node)
    number = _read_number(step, right)
    if isinstance(node.op, Div):
        return (left, 1 / number) if number else None
    if number is not None:
        return left, number
    number = _read_number(step, left)
    return (right, number) if number is not None else None


def _read_number(step: Graph, value: Value) -> float | None:
    maker = step.producers.get(value.name)
    if maker is None or not isinstance(maker.op, Constant):
        return None
    number = maker.op.value
    return float(number) if isinstance(number, int | float) else None


def _make_term(
    step: Graph, data: DataSet | None, value: Value, node: Node | None, factor: float
) -> _Term:
    """A term that is not added up of others: a weighted mean counts the class numbers of its
    target, and the sum of all entries of what has rows is that of the split."""
    plain = _Term(value, Part(factor))
    if node is not None and node.op.adds_up and any(map(_has_rows, _operands(node))):
        return _Term(value, Part(factor, summed=True))
    if node is not None and (counts := find_entry_weights(node)):
        return _Term(value, Part(factor, EntryCounting(len(counts))), counts)
    if node is None or not isinstance(node.op, ClassLoss) or not is_counted(node):
        return plain
    target = node.inputs[1]
    assert target is not None, "a loss has a target"
    ignores = may_be_ignored(step, data, target, node.op.ignore_index)
    ignored = node.op.ignore_index if ignores else None
    if ignored is None and node.op.weight is None:
        return plain
    return _Term(value, Part(factor, Counting(node.op.weight, ignored)), (target,))


def find_entry_weights(node: Node) -> tuple[Value, ...]:
    """The mask and the weights of a loss of two tensors that is a mean, where it has any."""
    if not isinstance(node.op, PairLoss) or node.op.reduction != "mean":
        return ()
    return tuple(value for value in node.inputs[MASK:] if value is not None)


def is_counted(node: Node) -> bool:
    """Whether a node is a mean over class numbers, each of which counts by its weight."""
    if not isinstance(node.op, ClassLoss) or node.op.reduction != "mean":
        return False
    target = node.inputs[1]
    return target is not None and not target.type.dtype.is_float


def _has_rows(value: Value) -> bool:
    """Whether a tensor has more entries where a batch has more rows."""
    return any(ROWS in dim.symbols for dim in value.type.shape)


def may_be_ignored(step: Graph, data: DataSet | None, target: Value, ignored: int) -> bool:
    """Whether a label may be the one that does not count: it is none of the places of something
    (`arange`), and a category of the data is none of the numbers beyond."""
    if not may_hold(step, target, ignored):
        return False
    low, high = find_limits(step, target, whole=True)
    if not low <= ignored <= high:
        return False
    columns = {item.value.name: item.name for item in step.inputs}
    name = columns.get(find_first(step, target).name)
    if data is None or name is None:
        return True
    column = next((o.value for o in data.columns.outputs if o.name == name), None)
    if column is None:
        return True
    if not may_hold(data.columns, column, ignored):
        return False
    raw = {item.value.name: item.name for item in data.columns.inputs}
    name = raw.get(find_first(data.columns, column).name)
    count = next((len(c.categories) for c in data.schema if c.name == name), 0)
    return not count or 0 <= ignored < count


def may_hold(step: Graph, value: Value, number: int) -> bool:
    """Whether a tensor may hold a number, by its dtype, those that it was converted from, and what
    drew it: `randint(0, 4, [batch])` holds no -100."""
    values = list(_trace_back(step, value))
    ranges = [each.type.dtype.range for each in values]
    maker = step.producers.get(values[-1].name)
    if maker is not None and not _operands(maker):
        ranges.append(maker.op.find_limits([]))
    return all(low <= number <= high for low, high in ranges)


def find_first(step: Graph, value: Value) -> Value:
    """The value that the same numbers were first, before they were converted and moved."""
    return list(_trace_back(step, value))[-1]


def _trace_back(step: Graph, value: Value) -> Iterator[Value]:
    """A value, and those that it was converted and moved from, the first last."""
    while True:
        yield value
        maker = step.producers.get(value.name)
        if maker is None or not (maker.op.moves or maker.op.converts):
            return
        given = _operands(maker)
        if len(given) != 1:
            return
        value = given[0]
