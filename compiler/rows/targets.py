"""Targets of losses and metrics, and places of tables, held to their ranges over all splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.operands import Array
from compiler.ir.subgraph import extract_subgraph
from compiler.ir.target_range import CLOSE, TargetRange
from compiler.ops.class_losses import ClassLoss
from compiler.program.joining import find_lead
from compiler.program.train import MetricUse, Train
from compiler.records import dataclass
from compiler.report.diagnostics import SHOWN_CALLS, Label, Message
from compiler.report.messages.columns import label_out_of_range, nothing_counts
from compiler.report.source import Span
from compiler.rows.limits import find_counts, find_target_range
from compiler.rows.loading import LoadedData
from compiler.rows.loss_parts import is_counted
from compiler.training.batch_mean import Counting
from compiler.training.weighting import MASK, WEIGHT, Comparison, LabelComparison

CHUNK = 4096
"""Rows whose targets are computed at once, or a batch where that is larger."""
SIGNS = (-1, 1)


@dataclass(frozen=True)
class Reader:
    """What reads a value, and what it takes. `places`: the value names classes or entries. `calls`:
    the calls of blocks that it stands in, nearest first."""

    value: Value
    name: str
    range: TargetRange
    span: Span | None
    places: bool
    calls: tuple[Label, ...] = ()


def check_columns(columns: Graph, loaded: LoadedData) -> Iterator[Message]:
    """Labels of tables in column expressions that come straight from the source: these are computed
    in all rows, those of no split too."""
    raw = {item.value.name: item.name for item in columns.inputs}
    for reader in find_readers(columns, ()):
        if reader.value.name in raw:
            name = raw[reader.value.name]
            array = loaded.raw[name]
            yield from find_outside(reader, name, array, loaded.name_rows(np.arange(len(array))))


def check_targets(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Targets that follow from the columns alone, over all splits: as they are, or computed in
    the train. What the nets put out is left alone."""
    used = np.concatenate(list(loaded.rows.values()))
    readers = list(find_readers(train.graph, train.metrics))
    outputs = {o.name: o.value for o in train.graph.outputs}
    counts = [outputs[n] for use in train.metrics for n in use.arguments[1:] if n is not None]
    wanted = [*(reader.value for reader in readers), *counts]
    if loaded.lead:
        wanted = [value for value in wanted if _is_led(train, loaded, value)]
    known = compute_values(train, loaded, used, wanted)
    seen: set[tuple[str, str]] = set()
    for reader in readers:
        key = reader.value.name, str(reader.range)
        if reader.value.name in known and key not in seen:
            name = describe_source(train.graph, reader.value)
            array = known[reader.value.name]
            faults = list(find_outside(reader, name, array, loaded.name_rows(used)))
            seen |= {key} if faults else set()
            yield from faults
    if not seen:
        found = dict(_find_uncounted(train, known, loaded))
        yield from found.values()  # one for each split


def _is_led(train: Train, loaded: LoadedData, value: Value) -> bool:
    """Whether the rows at hand are those that a value is computed of: of several data sets, those
    of the first that it reads."""
    return find_lead(loaded.data, _find_columns(train.graph, value)).name == loaded.lead


def find_readers(step: Graph, uses: Sequence[MetricUse]) -> Iterator[Reader]:
    """What reads targets, places and weights: losses and tables in the graph, then metrics."""
    for node in step.nodes:
        span, target = node.origin.span, find_target_range(node)
        calls = tuple(_find_calls(node, step))
        for operand, found in find_counts(node):
            value = node.inputs[operand]
            if value is not None:
                yield Reader(value, node.op.name, found, span, True, calls)
        value = node.inputs[node.op.target_operand] if target is not None else None
        if target is not None and value is not None:
            # What says of an operand of a block what it holds stands for the block.
            inside = node.op.moves and node.scope.parent is not None
            name = node.scope.block if inside else node.op.name
            yield Reader(value, name, target, span, False, calls)
    outputs = {o.name: o.value for o in step.outputs}
    for use in uses:
        values = [outputs[name] for name in use.reads]
        found_range = use.metric.target_range([value.type for value in values])
        if found_range is not None:
            classes = not found_range.whole
            yield Reader(values[1], use.metric.name, found_range, use.span, classes)
        weight = use.arguments[WEIGHT] if len(use.arguments) > WEIGHT else None
        if weight is not None and isinstance(use.metric, Comparison):
            reader = f"{use.metric.name}(weight=…)"
            yield Reader(outputs[weight], reader, TargetRange(0), use.span, places=False)


def _find_calls(node: Node, step: Graph) -> Iterator[Label]:
    """The calls around a node of another file, the library's most often, as errors found in bodies
    show them."""
    place, train = node.origin.span, step.frame.origin
    if place is None or train is None or place.source.path == train.source.path:
        return
    for frame in reversed(node.scope.chain[1:]):
        if frame.origin is not None:
            yield Label(frame.origin, f"in this call of `{frame.block}`")


def compute_values(
    train: Train, loaded: LoadedData, rows: Array, wanted: Sequence[Value]
) -> dict[str, Array]:
    """Those of the values that follow from the columns alone, of all rows, by name."""
    step = train.graph
    columns = {item.value.name: loaded.columns[item.name] for item in step.inputs}
    found = {v.name: columns[v.name][rows] for v in wanted if v.name in columns}
    fixed = find_fixed(step)
    rest = {v.name: v for v in wanted if v.name in fixed and v.name not in found}
    if not rest:
        return found
    part = extract_subgraph(step, (), [Output(name, value) for name, value in rest.items()])
    read = {v.name for node in part.nodes for v in node.inputs if v is not None}
    inputs = tuple(item for item in part.inputs if item.value.name in read)
    part = replace(part, inputs=inputs or step.inputs[:1])  # one says how many rows there are
    size = train.batch * max(1, CHUNK // train.batch)
    pieces: dict[str, list[Array]] = {name: [] for name in rest}
    for start in range(0, len(rows), size):
        # The last piece is as long as the others where it can be: a shape may ask for it.
        first = max(0, min(start, len(rows) - size))
        chosen = rows[first : first + size]
        made = evaluate(part, {}, {i.name: loaded.columns[i.name][chosen] for i in part.inputs})
        for name, array in made.items():
            pieces[name].append(by_row(array, len(chosen))[start - first :])
    return found | {name: np.concatenate(arrays) for name, arrays in pieces.items()}


def by_row(array: Array, rows: int) -> Array:
    """An array with the rows along its first axis: they may be joined with the next one there, and
    what holds for a whole batch holds for each row."""
    if array.shape[:1] == (rows,):
        return array
    if array.ndim and array.shape[0] % rows == 0:
        return array.reshape(rows, -1, *array.shape[1:])
    return np.broadcast_to(array, (rows, *array.shape))


def find_fixed(step: Graph) -> set[str]:
    """Values that follow from the columns alone, and not by chance."""
    fixed = {item.value.name for item in step.inputs}
    for node in step.nodes:
        chance = node.op.draws
        if not chance and all(v is None or v.name in fixed for v in node.inputs):
            fixed |= {value.name for value in node.outputs}
    return fixed


def describe_source(step: Graph, value: Value) -> str:
    """The columns that a value follows from."""
    return ", ".join(_find_columns(step, value))


def _find_columns(step: Graph, value: Value) -> list[str]:
    part = extract_subgraph(step, (), [Output("target", value)])
    read = {v.name for node in part.nodes for v in node.inputs if v is not None} | {value.name}
    return [item.name for item in step.inputs if item.value.name in read]


def find_outside(reader: Reader, name: str, array: Array, rows: Array) -> Iterator[Message]:
    """The first entry that what reads it does not take."""
    if array.dtype.kind not in "iufb" or (reader.places and array.dtype.kind not in "iu"):
        return
    numbers = array.reshape(len(rows), -1)
    if not numbers.size:
        return
    least, largest = float(numbers.min()), float(numbers.max())
    outside = reader.range.find_outside(numbers)
    found = numbers
    sums = reader.range.find_sums(array) if not outside.any() else None
    if sums is not None:
        found = sums.reshape(len(rows), -1)
        outside = np.abs(found - 1) > CLOSE
    if outside.any():
        first = int(np.flatnonzero(outside.any(1))[0])
        shown = float(found[first][outside[first]][0])
        own = reader.span, name, int(rows[first]), shown, str(reader.range), reader.name
        message = label_out_of_range(
            *own,
            (least, largest),
            places=reader.places,
            sums=sums is not None,
            rescaled=_rescale(reader.range, name, numbers),
        )
        yield replace(message, calls=reader.calls[:SHOWN_CALLS])


def _rescale(range: TargetRange, name: str, numbers: Array) -> str | None:
    """What makes numbers that say yes or no in one way say it in the other."""
    found = set(np.unique(numbers).tolist())
    if found == {0, 1} and range.values == SIGNS:
        return f"2 * {name} - 1"
    if found == set(SIGNS) and (range.low, range.high) == (0, 1):
        return f"({name} + 1) / 2"
    return None


def _find_uncounted(
    train: Train, known: Mapping[str, Array], loaded: LoadedData
) -> Iterator[tuple[str, Message]]:
    """Splits of which no label counts for a loss or a metric: its figure would be that of
    nothing."""
    for node in train.graph.nodes:
        labels = node.inputs[1] if is_counted(node) else None
        target = known.get(labels.name) if labels is not None else None
        if isinstance(node.op, ClassLoss) and target is not None:
            weights = Counting(node.op.weight, node.op.ignore_index).weigh_each(target)
            given = node.op.ignore_index, target, weights
            yield from _find_empty(node.origin.span, node.op.name, given, loaded)
    outputs = {o.name: o.value.name for o in train.graph.outputs}
    for use in train.metrics:
        if not isinstance(use.metric, Comparison):
            continue
        arrays = [None if n is None else known.get(outputs[n]) for n in use.arguments]
        first = next((array for array in arrays[1:] if array is not None), None)
        if first is None:
            continue
        ignored = None
        if isinstance(use.metric, LabelComparison) and arrays[1] is not None:
            ignored = use.metric.ignore_index
            weights = use.metric.weigh(arrays)
        else:  # of a target that a net computes only masks and weights are known
            weights = Comparison.weigh(use.metric, [None, first, *arrays[MASK:]])
        yield from _find_empty(use.span, use.name, (ignored, arrays[1], weights), loaded)


def _find_empty(
    span: Span | None,
    name: str,
    given: tuple[int | None, Array | None, Array],
    loaded: LoadedData,
) -> Iterator[tuple[str, Message]]:
    """The splits in which all weights are 0; `given` is the label that is ignored, the targets
    and their weights."""
    ignored, target, weights = given
    start = 0
    for split, rows in loaded.rows.items():
        own = slice(start, start + len(rows))
        start += len(rows)
        if not weights[own].any():
            alike = ignored is not None and target is not None and np.all(target[own] == ignored)
            yield split, nothing_counts(span, name, split, ignored if alike else None)
