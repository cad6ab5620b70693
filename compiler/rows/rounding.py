"""Numbers whose differences are too small for the floating-point type that they are rounded to:
dates of one day, numbers of a ledger, measurements with a large offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from compiler.data.narrowing import find_lost
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.operands import Array
from compiler.ir.subgraph import extract_subgraph
from compiler.program.train import Train
from compiler.report.diagnostics import Message
from compiler.report.messages.columns import rounded_away
from compiler.rows.limits import takes_entries
from compiler.rows.loading import LoadedData
from compiler.rows.targets import compute_values, describe_source
from compiler.types.tensor import DType

EXACT = 2**24
"""f32 holds every whole number up to here."""
WIDE = (DType.I64, DType.I32, DType.F64)
"""What f32 cannot hold."""


def check_rounding(train: Train, loaded: LoadedData) -> Iterator[Message]:
    """Numbers of the rows that lose their differences where an expression of the data item, or
    the train itself, rounds them; of rows that are in memory."""
    if loaded.data.is_lazy:
        return
    columns, rows = loaded.data.columns, loaded.divided_rows
    readers = list(find_conversions(columns.nodes))
    outputs = [Output(value.name, value) for value in dict.fromkeys(v for v, _, _ in readers)]
    if outputs:
        part = extract_subgraph(columns, (), outputs)
        raw = {item.name: loaded.raw[item.name][rows] for item in part.inputs}
        values = evaluate(part, loaded.statistics, raw)
        yield from _report(columns, readers, values, fitted=True)
    if any(_may_lose(loaded.single[item.name][rows]) for item in train.graph.inputs):
        readers = list(find_conversions(train.graph.nodes))
        used = np.concatenate(list(loaded.rows.values()))
        values = compute_values(train, loaded, used, [value for value, _, _ in readers])
        yield from _report(train.graph, readers, values, fitted=False)


Conversion = tuple[Value, Node, type[np.floating[Any]]]


def find_conversions(nodes: Iterable[Node]) -> Iterator[Conversion]:
    """Numbers that a node rounds, with the node and the type: to f32, or to f64 where the mean of
    whole numbers is subtracted in it."""
    for node in nodes:
        kinds = [v.type.dtype for v in node.outputs]
        for operand, value in enumerate(node.inputs):
            if value is None or takes_entries(node, operand):
                continue
            source = value.type.dtype
            if node.op.subtracts_first:
                if source is DType.I64:
                    yield value, node, np.float64
            elif source in WIDE and any(k.is_float and k is not DType.F64 for k in kinds):
                yield value, node, np.float32


def _may_lose(array: Array) -> bool:
    """Whether numbers may be too large for f32, or have more digits."""
    if array.dtype.kind == "f":
        return array.dtype.itemsize > 4
    whole = array.dtype.kind == "i" and array.size > 0
    return whole and bool(array.max() > EXACT or array.min() < -EXACT)


def _report(
    graph: Graph,
    readers: Iterable[Conversion],
    values: Mapping[str, Array],
    *,
    fitted: bool,
) -> Iterator[Message]:
    columns = {item.value.name for item in graph.inputs}
    for value, node, dtype in readers:
        array = values.get(value.name)
        lost = find_lost(array, dtype) if array is not None and _may_lose(array) else None
        if lost is None:
            continue
        distinct = len(np.unique(lost)), len(np.unique(lost.astype(dtype)))
        yield rounded_away(
            node.origin.span,
            describe_source(graph, value),
            (lost.min().item(), lost.max().item()),
            distinct,
            "f32" if dtype is np.float32 else "f64",
            plain=value.name in columns,
            fitted=fitted and not node.op.subtracts_first,
        )
