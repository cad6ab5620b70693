"""What is found of a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import Column
from compiler.data.holding import is_held
from compiler.data.joined import qualify
from compiler.data.summary import ColumnSummary
from compiler.ir.graph import Graph, Output, Value
from compiler.ir.subgraph import extract_subgraph
from compiler.program.train import Train
from compiler.rows.copies import LARGEST, list_rows
from compiler.rows.counts import RowCounts
from compiler.rows.loading import LoadedData
from compiler.rows.readers import find_readers
from compiler.rows.targets import find_fixed
from weft.survey.association import Association, has_classes, measure_association

Array = NDArray[Any]

SAMPLE = 100_000
"""Rows whose columns are compared with a target."""
BINS = 24
"""Parts of the range of a column of numbers in its histogram."""
MOST_CLASSES = 1000
"""Classes of a target up to which they are counted."""
MOST_BARS = 20
"""Categories of a column that its picture shows, most frequent first."""


@dataclass(frozen=True)
class Histogram:
    """How many rows have which values of a column: between `edges`, one more than `counts`, or of
    categories, with their `words`."""

    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A column that a loss or metric compares with what a net says. `classes` are its values in
    order, where they are few and whole, and `counts` how many rows of each split have them;
    `associations` how strongly other columns go together with it, the strongest first; `leaks` are
    those that a train reads and that are the target under another name."""

    column: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    associations: tuple[Association, ...]
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    """How many rows of each split stand in it more than once, and how many rows of splits but the
    training split stand among the training rows too, in every column that is read. None where the
    columns are too large to compare."""

    within: Mapping[str, int]
    among_training: Mapping[str, int]


@dataclass(frozen=True)
class Survey:
    """What is found of a data set: rows, columns of its source, targets, copies. `looked_at` is
    how many rows targets were compared in."""

    name: str
    rows: RowCounts
    columns: tuple[ColumnSummary, ...]
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    copies: Copies | None = None
    looked_at: int = 0


def survey_data(
    loaded: LoadedData, columns: Sequence[ColumnSummary], trains: Sequence[Train]
) -> Survey:
    """A survey of data that is loaded: columns of its source, as its summary tells them, and what
    `trains` read of it."""
    rows = np.sort(loaded.divided_rows)
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
    name = loaded.data.name
    targets = dict.fromkeys(t for train in trains for t in _find_targets(train, name))
    read = {c for train in trains for o in train.graph.inputs for c in _trace(train, o.name, name)}
    return Survey(
        name,
        RowCounts.of(loaded),
        tuple(columns),
        dict(_draw_histograms(loaded)),
        tuple(_describe_target(loaded, target, list(targets), read, rows) for target in targets),
        _count_copies(loaded, sorted(read)),
        len(rows),
    )


def _find_targets(train: Train, data: str) -> Iterator[str]:
    """The columns of the source of a data set that losses and metrics compare with something."""
    graph = train.graph
    fixed = find_fixed(graph)
    outputs = {o.name: o.value for o in graph.outputs}
    compared = [reader.value for reader in find_readers(graph, train.metrics) if not reader.places]
    compared += [value for node in graph.nodes for value in _read_targets(node)]
    pairs = [use.arguments[1] for use in train.metrics if len(use.arguments) > 1]
    compared += [outputs[name] for name in pairs if name is not None]
    for value in compared:
        if value.name in fixed:
            for name in _name_inputs(graph, value):
                yield from _trace(train, name, data)


def _trace(train: Train, column: str, data: str) -> Iterator[str]:
    """The columns of the source of a data set that a column of a train follows from."""
    columns = train.data.columns
    head = qualify(data, "") if train.data.members else ""
    made = next(o.value for o in columns.outputs if o.name == column)
    for raw in _name_inputs(columns, made):
        if raw.startswith(head):
            yield raw.removeprefix(head)


def _read_targets(node: Any) -> Iterator[Value]:
    for operand, value in zip(node.op.operands, node.inputs, strict=False):
        if operand.name == "target" and value is not None:
            yield value


def _name_inputs(graph: Graph, value: Value) -> list[str]:
    """The inputs of a graph that a value follows from."""
    part = extract_subgraph(graph, (), [Output("value", value)])
    read = {v.name for node in part.nodes for v in node.inputs if v is not None} | {value.name}
    return [item.name for item in graph.inputs if item.value.name in read]


def _describe_target(
    loaded: LoadedData, name: str, targets: Sequence[str], read: Collection[str], rows: Array
) -> Target:
    if len(loaded.raw[name].shape) != 1:
        return Target(name, (), {}, ())
    array = np.asarray(loaded.raw[name][:])
    known = {column.name: column for column in loaded.data.schema}
    values, classes = _list_classes(array[loaded.divided_rows], known[name])
    counts = {
        split: tuple(int((array[chosen] == value).sum()) for value in values)
        for split, chosen in loaded.divided.items()
        if classes
    }
    found = []
    for other, column in loaded.raw.items():
        if len(column.shape) != 1 or other in targets:
            continue
        one = measure_association(
            other,
            column[rows],
            array[rows],
            classes=known[other].words or bool(known[other].categories),
            of_classes=bool(classes),
        )
        found += [one] if one is not None else []
    found.sort(key=lambda a: -abs(a.value))
    leaks = tuple(a.column for a in found if a.same and a.column in read)
    return Target(name, classes, counts, tuple(found), leaks)


def _list_classes(array: Array, column: Column) -> tuple[list[Any], tuple[str, ...]]:
    """The values of a target of classes and what they are called; none of a target of numbers."""
    if column.categories:
        return list(range(len(column.categories))), column.categories
    values = np.unique(array)
    few = has_classes(array) or (array.dtype.kind in "bui" and len(values) <= MOST_CLASSES)
    if column.written.date or not few:
        return [], ()
    return list(values), tuple(f"{value:g}" for value in values.astype(np.float64))


def _draw_histograms(loaded: LoadedData) -> Iterator[tuple[str, Histogram]]:
    rows = loaded.divided_rows
    for column in loaded.data.schema:
        array = loaded.raw.get(column.name)
        if array is None or len(array.shape) != 1 or array.dtype.kind not in "buif":
            continue
        cells = array[rows]
        if column.categories:
            codes, counts = np.unique(cells[cells >= 0], return_counts=True)
            order = np.argsort(-counts, kind="stable")[:MOST_BARS]
            words = tuple(column.categories[code] for code in codes[order])
            yield column.name, Histogram(tuple(map(int, counts[order])), words=words)
            continue
        cells = cells[np.isfinite(cells)].astype(np.float64)
        if len(cells):
            found, edges = np.histogram(cells, BINS)
            yield column.name, Histogram(tuple(map(int, found)), tuple(map(float, edges)))


def _count_copies(loaded: LoadedData, read: Sequence[str]) -> Copies | None:
    """Rows that are equal in every column of the source that is read. Windows, and rows of a source
    that share cells, or are not in memory, are left alone."""
    arrays = [array for name in read if is_held(array := loaded.raw[name])]
    size = sum(a.nbytes // max(1, len(a)) for a in arrays) * len(loaded.divided_rows)
    if loaded.data.window is not None or loaded.data.source.overlap() or size > LARGEST or not size:
        return None
    if len(arrays) < len(read):
        return None
    hashes = {name: list(list_rows(arrays, rows)) for name, rows in loaded.divided.items()}
    training = set(hashes["train"])
    within = {name: len(found) - len(set(found)) for name, found in hashes.items()}
    others = (name for name in hashes if name != "train")
    return Copies(within, {n: sum(h in training for h in hashes[n]) for n in others})
