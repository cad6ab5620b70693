"""Fitted figures as part of the computation: how statistics are taken of the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from compiler.data.statistics import Statistic
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Site, Value
from compiler.ops.base import Array, Assume, OnnxBuilder, Op, Types
from compiler.ops.choosing import Where
from compiler.ops.compare import Greater
from compiler.ops.creation import Constant
from compiler.ops.fitted import Fitted
from compiler.ops.spelling import In, Index, Infix, Leaf, Method, Spelling, Term
from compiler.signature import Operand
from compiler.tensor import DType, TensorType

TRAINING = "training_rows"
"""The input of a fitting graph that says which rows are trained on, unless a column has this
name."""


class Figure(Op):
    """Base of the figures of a column over the training rows. They stand only in the graph that
    `fit_in_place` makes, never in a spec or an ONNX file."""

    operands: ClassVar[tuple[Operand, ...]] = (Operand("x"), Operand("rows"))
    method: ClassVar[str] = ""

    def infer(self, inputs: Types, assume: Assume) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(DType.F32, x.shape[1:]),)

    def evaluate(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, rows = inputs[0], inputs[1]
        assert x is not None
        assert rows is not None
        return (Statistic("", self.method, "").fit(x[rows]),)

    def onnx(
        self, build: OnnxBuilder, inputs: Sequence[Any], types: Types, outputs: Sequence[TensorType]
    ) -> Sequence[Any]:
        raise NotImplementedError("figures are fitted before a graph is lowered")

    @property
    def picked(self) -> Term:
        """The training rows as f64: sums of many rows of f32 lose digits."""
        return Method(Index(In(0), (In(1),)), "double")


@final
@dataclass(frozen=True)
class MeanFigure(Figure):
    """Mean of the training rows, without NaN."""

    name: ClassVar[str] = "mean_figure"
    method: ClassVar[str] = "mean"

    def torch(self, node: Node) -> Spelling:
        return Spelling(Method(Method(self.picked, "nanmean", (Leaf(0),)), "float"))


@final
@dataclass(frozen=True)
class MedianFigure(Figure):
    """Median of the training rows, without NaN."""

    name: ClassVar[str] = "median_figure"
    method: ClassVar[str] = "median"

    def torch(self, node: Node) -> Spelling:
        options = (("dim", Leaf(0)),)
        return Spelling(Method(Method(self.picked, "nanquantile", (Leaf(0.5),), options), "float"))


@final
@dataclass(frozen=True)
class SpreadFigure(Figure):
    """Standard deviation of the training rows, without NaN, around their mean, which is the third
    operand."""

    name: ClassVar[str] = "spread_figure"
    operands: ClassVar[tuple[Operand, ...]] = (Operand("x"), Operand("rows"), Operand("mean"))

    def evaluate(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, rows, mean = inputs
        assert x is not None
        assert rows is not None
        assert mean is not None
        squares = np.square(np.asarray(x[rows], np.float64) - mean)
        return (np.sqrt(Statistic("", "mean", "").fit(squares)),)

    def torch(self, node: Node) -> Spelling:
        square = Method(Infix("-", self.picked, In(2)), "square")
        return Spelling(Method(Method(Method(square, "nanmean", (Leaf(0),)), "sqrt"), "float"))


@dataclass(frozen=True)
class Fitting:
    """A graph of columns that fits its statistics itself: an input more, `rows` by name, and
    every statistic as an output behind the columns, under its path."""

    graph: Graph
    rows: str


def find_statistics(graph: Graph) -> tuple[Statistic, ...]:
    """What the buffers of a graph of columns hold, in the order in which they can be fitted."""
    found = []
    for node in graph.nodes:
        if isinstance(node.op, Fitted):
            operand, *buffers = node.inputs
            assert operand is not None
            for buffer, figure in zip(buffers, node.op.statistics.values(), strict=True):
                assert buffer is not None
                found.append(Statistic(buffer.name, figure, operand.name))
    return tuple(found)


def fit_in_place(graph: Graph) -> Fitting:
    """The columns as one computation that needs no buffers: where `graph` reads one, the figure
    is taken of the rows that a further input names. What the generated script runs."""
    return _Fitter(graph).run()


class _Fitter:
    """One run: where each value of the old graph is in the new one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph.name, graph.frame, graph.doc)
        self.values: dict[str, Value] = {}
        self.means: dict[str, Value] = {}

    def run(self) -> Fitting:
        for item in self.graph.inputs:
            self.values[item.name] = self.builder.input(
                item.name, item.value.type, item.doc, item.origin
            )
        rows = self.builder.input(TRAINING, TensorType.of(DType.I64, ("training",)))
        statistics = find_statistics(self.graph)
        for node in self.graph.nodes:
            for statistic in statistics:
                if statistic.path in {v.name for v in node.inputs if v is not None}:
                    self._fit(statistic, rows, node)
            inputs = [self.values[v.name] if v is not None else None for v in node.inputs]
            names = tuple(v.name for v in node.outputs)
            made = self.builder.apply(node.op, inputs, node.scope, node.origin, names)
            self.values.update(zip(names, made, strict=True))
        for output in self.graph.outputs:
            value = self.values[output.value.name]
            self.builder.output(output.name, value, output.doc, output.origin)
        for statistic in statistics:
            self.builder.output(statistic.path, self.values[statistic.path])
        return Fitting(self.builder.graph(), rows.name)

    def _fit(self, statistic: Statistic, rows: Value, node: Node) -> None:
        """Makes the value that stands for a buffer."""
        x = self.values[statistic.of]
        if statistic.method == "scale":
            mean = self.means.get(statistic.of) or self._add(MeanFigure(), (x, rows), node)
            made = self._guard(self._add(SpreadFigure(), (x, rows, mean), node), node)
        else:
            op = MeanFigure() if statistic.method == "mean" else MedianFigure()
            made = self._add(op, (x, rows), node, statistic.path)
        if statistic.method == "mean":
            self.means[statistic.of] = made
        self.values[statistic.path] = made

    def _guard(self, spread: Value, node: Node) -> Value:
        """The spread, and 1 where it is 0."""
        zero = self._add(Constant(0.0, DType.F32, ()), (), node)
        one = self._add(Constant(1.0, DType.F32, ()), (), node)
        return self._add(Where(), (self._add(Greater(), (spread, zero), node), spread, one), node)

    def _add(self, op: Op, inputs: tuple[Value, ...], node: Node, name: str = "") -> Value:
        site = Site(node.origin.span)
        (value,) = self.builder.apply(op, inputs, node.scope, site, (name,) if name else ())
        return value


def fit_statistics(graph: Graph, columns: Mapping[str, Array], training: Array) -> dict[str, Array]:
    """The buffers of a graph of columns, by path, fitted on the rows `training` of its inputs."""
    paths = [statistic.path for statistic in find_statistics(graph)]
    if not paths:
        return {}
    fitting = fit_in_place(graph)
    results = evaluate(fitting.graph, {}, {**columns, fitting.rows: training})
    return {path: results[path] for path in paths}
