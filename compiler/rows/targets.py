"""Targets of losses and metrics, and places of tables, held to their ranges over all splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from compiler.data.holding import read_columns
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Output, Value
from compiler.ir.operands import Array
from compiler.ir.subgraph import extract_subgraph
from compiler.ops.class_losses import ClassLoss
from compiler.program.joining import find_lead
from compiler.program.train import Train
from compiler.report.diagnostics import Message
from compiler.report.messages.columns import nothing_counts
from compiler.report.source import Span
from compiler.rows.loading import LoadedData
from compiler.rows.loss_parts import is_counted
from compiler.rows.readers import by_row, find_outside, find_outside_columns, find_readers
from compiler.training.batch_mean import Counting
from compiler.training.weighting import Comparison, LabelComparison
from compiler.vocabulary.signature import MASK

CHUNK = 4096
"""Rows whose targets are computed at once, or a batch where that is larger."""


def check_columns(columns: Graph, loaded: LoadedData) -> Iterator[Message]:
    """Places of tables in column expressions: these are computed in all rows, those of no split
    too."""
    for piece in loaded.pieces(np.arange(len(next(iter(loaded.raw.values()))))):
        rows, raw = loaded.name_rows(piece), loaded.raw
        raw = read_columns(raw, piece if loaded.data.is_lazy else slice(None))
        found = list(find_outside_columns(columns, loaded.statistics, raw, rows))
        yield from found
        if found:
            return


def check_targets(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Targets that follow from the columns alone, over all splits: as they are, or computed in
    the train. What the nets put out is left alone."""
    used = np.concatenate(list(loaded.rows.values()))
    readers = list(find_readers(train.graph, train.metrics))
    outputs = {o.name: o.value for o in train.graph.outputs}
    counts = [outputs[n] for use in train.metrics for n in use.arguments[1:] if n is not None]
    masks = [reader.mask for reader in readers if reader.mask is not None]
    wanted = [*(reader.value for reader in readers), *masks, *counts]
    if loaded.lead:
        wanted = [value for value in wanted if _is_led(train, loaded, value)]
    seen: set[tuple[str, str]] = set()
    known: dict[str, Array] = {}
    for piece in loaded.pieces(used):
        known = compute_values(train, loaded, piece, wanted)
        for reader in readers:
            key = reader.value.name, str(reader.range)
            if reader.value.name in known and key not in seen:
                name = describe_source(train.graph, reader.value)
                array = known[reader.value.name]
                mask = known.get(reader.mask.name) if reader.mask is not None else None
                if mask is None and reader.mask is not None:
                    continue  # which entries count follows from a net
                faults = list(find_outside(reader, name, array, loaded.name_rows(piece), mask))
                seen |= {key} if faults else set()
                yield from faults
    if not seen and not loaded.data.is_lazy:
        found = dict(_find_uncounted(train, known, loaded))
        yield from found.values()  # one for each split


def _is_led(train: Train, loaded: LoadedData, value: Value) -> bool:
    """Whether the rows at hand are those that a value is computed of: of several data sets, those
    of the first that it reads."""
    return find_lead(loaded.data, _find_columns(train.graph, value)).name == loaded.lead


def compute_values(
    train: Train, loaded: LoadedData, rows: Array, wanted: Sequence[Value]
) -> dict[str, Array]:
    """Those of the values that follow from the columns alone, of all rows, by name."""
    step = train.graph
    columns = {item.value.name: loaded.columns[item.name] for item in step.inputs}
    found = {v.name: np.asarray(columns[v.name][rows]) for v in wanted if v.name in columns}
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
        given = read_columns({i.name: loaded.columns[i.name] for i in part.inputs}, chosen)
        made = evaluate(part, {}, given)
        for name, array in made.items():
            pieces[name].append(by_row(array, len(chosen))[start - first :])
    return found | {name: np.concatenate(arrays) for name, arrays in pieces.items()}


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
