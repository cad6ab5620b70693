"""Statistics of columns: which there are, and their fitting on the training rows, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from compiler.data.holding import Rows, cut_pieces, read_columns
from compiler.data.statistics import MOMENTS, Moments, Statistic
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Output
from compiler.ir.operands import Array
from compiler.ops.fitted import Fitted
from compiler.rows.reading import cut_output


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


def plan_passes(graph: Graph, statistics: Sequence[Statistic]) -> list[list[Statistic]]:
    """The statistics in passes over the rows: in each those that need none of the same pass, nor of
    later ones."""
    passes: list[list[Statistic]] = []
    place: dict[str, int] = {}
    for statistic in statistics:
        part = cut_output(graph, find_fitted_output(graph, statistic))
        needed = [place[p.path] for p in part.parameters if p.path in place]
        place[statistic.path] = number = 1 + max(needed, default=-1)
        passes += [[]] if number == len(passes) else []
        passes[number].append(statistic)
    return passes


def fit_in_passes(
    graph: Graph, statistics: Sequence[Statistic], columns: Mapping[str, Rows], training: Array
) -> dict[str, Array]:
    """As `fit_statistics`, of rows that are not in memory: each pass goes through the training rows
    once. Means and deviations are taken piece by piece; of others the numbers are collected, and of
    what is computed of arrays alone."""
    fitted: dict[str, Array] = {}
    for together in plan_passes(graph, statistics):
        made: dict[str, Array] = {}
        for of in dict.fromkeys(statistic.of for statistic in together):
            own = [statistic for statistic in together if statistic.of == of]
            made |= _fit_value(graph, own, fitted, columns, training)
        for path, array in made.items():
            fitted[path] = array.astype(graph.parameter[path].value.type.dtype.numpy)
    return fitted


def _fit_value(
    graph: Graph,
    statistics: Sequence[Statistic],
    fitted: Mapping[str, Array],
    columns: Mapping[str, Rows],
    training: Array,
) -> dict[str, Array]:
    """The figures of one value."""
    part = cut_output(graph, find_fitted_output(graph, statistics[0]))
    read = [columns[item.name] for item in part.inputs]
    moments: dict[tuple[int, ...], Moments] = {}
    kept: list[Array] = []
    for piece in cut_pieces(read, training):
        values = evaluate_fitted(graph, statistics[0], fitted, columns, piece)
        for joined in {s.joined for s in statistics if s.method in MOMENTS}:
            found = Moments.of(values, joined)
            moments[joined] = moments[joined].add(found) if joined in moments else found
        kept += [values] if any(s.method not in MOMENTS for s in statistics) else []
    return {
        s.path: moments[s.joined].find(s.method)
        if s.method in MOMENTS
        else s.fit(np.concatenate(kept))
        for s in statistics
    }


def find_fitted_output(graph: Graph, statistic: Statistic) -> Output:
    """What a statistic is fitted to, as an output of the graph."""
    values = {v.name: v for node in graph.nodes for v in node.outputs}
    values |= {item.name: item.value for item in graph.inputs}
    return Output(statistic.of, values[statistic.of])


def fit_statistics(
    graph: Graph, statistics: Sequence[Statistic], columns: Mapping[str, Rows], training: Array
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
    columns: Mapping[str, Rows],
    training: Array,
) -> Array:
    """The training rows that a statistic is fitted to; `fitted` are those before it."""
    part = cut_output(graph, find_fitted_output(graph, statistic))
    return evaluate(
        part, fitted, read_columns({i.name: columns[i.name] for i in part.inputs}, training)
    )[statistic.of]
