"""Statistics of columns: which there are, and their fitting on the training rows, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.data.statistics import Statistic
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Output
from compiler.ir.operands import Array
from compiler.ops.fitted import Fitted
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode


def find_statistics(graph: Graph) -> tuple[Statistic, ...]:
    """What the buffers of a graph of columns hold, in the order in which they can be fitted."""
    found = []
    for node in graph.nodes:
        if isinstance(node.op, Fitted):
            operand, *buffers = node.inputs
            assert operand is not None
            joined = tuple(axis for axis in node.op.joins_axes(operand.type) if axis)
            for buffer, figure in zip(buffers, node.op.statistics.values(), strict=True):
                assert buffer is not None
                classes = node.op.counted_classes
                found.append(Statistic(buffer.name, figure, operand.name, joined, classes))
    return tuple(found)


def fit_statistics(
    graph: Graph, statistics: Sequence[Statistic], columns: Mapping[str, Array], training: Array
) -> dict[str, Array]:
    """The buffers of a graph of columns, by path, fitted on the rows `training` of its inputs.

    Args:
        graph: the columns of a data set, over all rows at once.
        statistics: what its buffers hold, in order.
        columns: an array per input, `[rows, …]`.
        training: row numbers.
    """
    fitted: dict[str, Array] = {}
    for statistic in statistics:
        value = evaluate_fitted(graph, statistic, fitted, columns, training)
        dtype = graph.parameter[statistic.path].value.type.dtype
        fitted[statistic.path] = statistic.fit(value).astype(dtype.numpy)
    return fitted


def evaluate_fitted(
    graph: Graph,
    statistic: Statistic,
    fitted: Mapping[str, Array],
    columns: Mapping[str, Array],
    training: Array,
) -> Array:
    """The training rows that a statistic is fitted to; `fitted` are those before it."""
    values = {v.name: v for node in graph.nodes for v in node.outputs}
    values |= {item.name: item.value for item in graph.inputs}
    output = Output(statistic.of, values[statistic.of])
    part = DeadCode().run(replace(graph, outputs=(output,)), Context())
    rows = {item.name: columns[item.name][training] for item in graph.inputs}
    return evaluate(part, fitted, rows)[statistic.of]
