"""What reads targets, places of tables and weights, and which entries it does not take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.operands import Array
from compiler.ir.subgraph import extract_subgraph
from compiler.ir.target_range import CLOSE, TargetRange
from compiler.ops.losses import PairLoss
from compiler.program.train import MetricUse
from compiler.records import dataclass
from compiler.report.diagnostics import SHOWN_CALLS, Label, Message
from compiler.report.messages.columns import label_out_of_range
from compiler.report.source import Span
from compiler.rows.limits import find_counts, find_divisors, find_target_range
from compiler.training.weighting import Comparison
from compiler.vocabulary.signature import MASK, WEIGHT

SIGNS = (-1, 1)


@dataclass(frozen=True)
class Reader:
    """What reads a value, and what it takes. `places`: the value names classes or entries. `calls`:
    the calls of blocks that it stands in, nearest first. `mask`: which entries count, where not all
    do."""

    value: Value
    name: str
    range: TargetRange
    span: Span | None
    places: bool
    calls: tuple[Label, ...] = ()
    mask: Value | None = None


def find_readers(step: Graph, uses: Sequence[MetricUse]) -> Iterator[Reader]:
    """What reads targets, places and weights: losses and tables in the graph, then metrics."""
    for node in step.nodes:
        span, target = node.origin.span, find_target_range(node)
        calls = tuple(_find_calls(node, step))
        for operand, found in find_counts(node):
            value = node.inputs[operand]
            if value is not None:
                yield Reader(value, node.op.name, found, span, True, calls)
        for operand, found in find_divisors(node):
            value = node.inputs[operand]
            if value is not None:
                name = node.op.operator or node.op.name
                yield Reader(value, name, found, span, False, calls)
        value = node.inputs[node.op.target_operand] if target is not None else None
        if target is not None and value is not None:
            # What says of an operand of a block what it holds stands for the block.
            inside = node.op.moves and node.scope.parent is not None
            name = node.scope.block if inside else node.op.name
            mask = node.inputs[MASK] if isinstance(node.op, PairLoss) else None
            yield Reader(value, name, target, span, False, calls, mask)
    outputs = {o.name: o.value for o in step.outputs}
    for use in uses:
        values = [outputs[name] for name in use.reads]
        found_range = use.metric.target_range([value.type for value in values])
        if found_range is not None:
            classes = not found_range.whole
            chosen = use.arguments[MASK] if len(use.arguments) > MASK else None
            masks = isinstance(use.metric, Comparison)
            mask = outputs[chosen] if chosen is not None and masks else None
            name = use.metric.name
            yield Reader(values[1], name, found_range, use.span, classes, mask=mask)
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


def find_outside(
    reader: Reader, name: str, array: Array, rows: Array, mask: Array | None = None
) -> Iterator[Message]:
    """The first entry that what reads it does not take, of those that count by the mask."""
    if array.dtype.kind not in "iufb" or (reader.places and array.dtype.kind not in "iu"):
        return
    numbers = array.reshape(len(rows), -1)
    if not numbers.size:
        return
    least, largest = float(numbers.min()), float(numbers.max())
    outside = reader.range.find_outside(numbers)
    if mask is not None:
        outside &= mask.reshape(outside.shape)
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
            divides=reader.range.divides,
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


def by_row(array: Array, rows: int) -> Array:
    """An array with the rows along its first axis: they may be joined with the next one there, and
    what holds for a whole batch holds for each row."""
    if array.shape[:1] == (rows,):
        return array
    if array.ndim and array.shape[0] % rows == 0:
        return array.reshape(rows, -1, *array.shape[1:])
    return np.broadcast_to(array, (rows, *array.shape))


def find_outside_columns(
    columns: Graph, statistics: Mapping[str, Array], raw: Mapping[str, Array], rows: Array
) -> Iterator[Message]:
    """Entries of columns that what reads them in column expressions does not take, in the order in
    which these are computed. `rows` are the numbers of the rows in the source."""
    made = {output.name for node in columns.nodes for output in node.outputs}
    for reader in find_readers(columns, ()):
        name = reader.value.name
        part = extract_subgraph(columns, (), [Output(name, reader.value)])
        read = {v.name for node in part.nodes for v in node.inputs if v is not None} | {name}
        given = {item.name: raw[item.name] for item in part.inputs}
        shown = ", ".join(item.name for item in part.inputs if item.value.name in read)
        if not shown:
            continue  # what follows from no column is known when compiling
        array = evaluate(part, statistics, given)[name] if name in made else raw[name]
        yield from find_outside(reader, shown, by_row(array, len(rows)), rows)
