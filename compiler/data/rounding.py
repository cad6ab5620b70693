"""Whole numbers that become f32 although their differences are too small for it: dates of one
day, numbers of a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from compiler.data.limits import takes_entries
from compiler.data.loading import LoadedData
from compiler.data.targets import compute_values, describe_source
from compiler.diagnostics import Message
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.subgraph import extract_subgraph
from compiler.messages.columns import RoundedToSingle
from compiler.ops.base import Array
from compiler.program import Train
from compiler.tensor import DType

EXACT = 2**24
"""f32 holds every whole number up to here."""
SHARE = 1e-3
"""Rounding by more than this share of the standard deviation is reported."""


def check_rounding(train: Train, loaded: LoadedData, rows: Array) -> Iterator[Message]:
    """Whole numbers of the rows that lose their differences where an expression of the data item,
    or the train itself, makes floating-point numbers of them."""
    columns = loaded.data.columns
    readers = list(find_conversions(columns.nodes))
    outputs = [Output(value.name, value) for value in dict.fromkeys(v for v, _ in readers)]
    if outputs:
        part = extract_subgraph(columns, (), outputs)
        raw = {item.name: loaded.raw[item.name][rows] for item in part.inputs}
        values = evaluate(part, loaded.statistics, raw)
        yield from _report(columns, readers, values, fitted=True)
    if any(_is_large(loaded.columns[item.name][rows]) for item in train.step.inputs):
        readers = list(find_conversions(train.step.nodes))
        values = compute_values(train, loaded, rows, [value for value, _ in readers])
        yield from _report(train.step, readers, values, fitted=False)


def find_conversions(nodes: Iterable[Node]) -> Iterator[tuple[Value, Node]]:
    """Whole numbers that a node turns into floating-point numbers, with the node."""
    for node in nodes:
        if node.op.subtracts_first or not any(v.type.dtype.is_float for v in node.outputs):
            continue
        for operand, value in enumerate(node.inputs):
            wide = value is not None and value.type.dtype in (DType.I64, DType.I32)
            if wide and value is not None and not takes_entries(node, operand):
                yield value, node


def _is_large(array: Array) -> bool:
    whole = array.dtype.kind == "i" and array.size > 0
    return whole and bool(array.max() > EXACT or array.min() < -EXACT)


def _report(
    graph: Graph,
    readers: Iterable[tuple[Value, Node]],
    values: Mapping[str, Array],
    *,
    fitted: bool,
) -> Iterator[Message]:
    columns = {item.value.name for item in graph.inputs}
    for value, node in readers:
        lost = _find_lost(values[value.name]) if value.name in values else None
        if lost is None:
            continue
        distinct = len(np.unique(lost)), len(np.unique(lost.astype(np.float32)))
        yield RoundedToSingle(
            node.origin.span,
            describe_source(graph, value),
            (int(lost.min()), int(lost.max())),
            distinct,
            plain=value.name in columns,
            fitted=fitted,
        )


def _find_lost(array: Array) -> Array | None:
    """The first entry of the rows `[rows, …]` whose numbers lose their differences in f32."""
    if not _is_large(array):
        return None
    numbers = array.reshape(len(array), -1)
    errors = np.abs(numbers.astype(np.float32).astype(np.float64) - numbers).max(0)
    lost = np.flatnonzero(errors > SHARE * numbers.std(0))
    varied = [entry for entry in lost if (numbers[:, entry] != numbers[0, entry]).any()]
    return np.asarray(numbers[:, varied[0]]) if varied else None
