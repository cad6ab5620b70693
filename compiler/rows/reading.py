"""Columns of rows that are not in memory: computed whenever rows are read, a piece at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.data.holding import Rows, is_held
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Output
from compiler.ir.operands import Array
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError
from compiler.rows.readers import find_outside_columns
from compiler.types.tensor import TensorType


@dataclass(frozen=True, eq=False)
class ComputedRows:
    """A column of a graph with one output, computed of the rows that are read. `type` has the rows
    as its first axis."""

    graph: Graph
    statistics: Mapping[str, Array]
    raw: Mapping[str, Rows]
    type: TensorType

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its entries."""
        return np.dtype(self.type.dtype.numpy)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, then the sizes of one."""
        return (len(self), *(dim.known or 0 for dim in self.type.shape[1:]))

    def __len__(self) -> int:
        return len(next(iter(self.raw.values())))

    def __getitem__(self, rows: Any, /) -> Array:
        if not isinstance(rows, slice) and not np.ndim(rows):
            return np.asarray(self[[rows]][0])
        given = {item.name: np.asarray(self.raw[item.name][rows]) for item in self.graph.inputs}
        try:
            (found,) = evaluate(self.graph, self.statistics, given).values()
        except IndexError:
            numbers = np.arange(len(self))[rows]
            faults = find_outside_columns(self.graph, self.statistics, given, numbers)
            raise CompileError([next(faults)]) from None
        return found


def cut_output(graph: Graph, output: Output) -> Graph:
    """The part of a graph of columns that one output needs."""
    return cut_outputs(graph, [output])


def cut_outputs(graph: Graph, outputs: Sequence[Output]) -> Graph:
    """The part of a graph of columns that outputs need, with at least one input, which says how
    many rows there are."""
    made = DeadCode().run(replace(graph, outputs=tuple(outputs)), Context())
    read = {v.name for node in made.nodes for v in node.inputs if v is not None}
    read |= {output.value.name for output in outputs}
    inputs = tuple(item for item in made.inputs if item.value.name in read)
    return replace(made, inputs=inputs or made.inputs[:1])


def compute_columns(
    graph: Graph, statistics: Mapping[str, Array], raw: Mapping[str, Rows]
) -> dict[str, Rows]:
    """The columns of a graph by name: arrays where they are computed of arrays alone."""
    found: dict[str, Rows] = {}
    for output in graph.outputs:
        part = cut_output(graph, output)
        given = {item.name: raw[item.name] for item in part.inputs}
        if not part.nodes:
            found[output.name] = next(iter(given.values()))
            continue
        column = ComputedRows(part, statistics, given, output.value.type)
        held = all(map(is_held, given.values()))
        found[output.name] = column[:] if held else column
    return found
