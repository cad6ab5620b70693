"""Statistics of columns in a training script: fitted on the training rows where they are used.

The buffers of a data set's graph become nodes that compute them, so that the generated function
reads from top to bottom: `mean = income[training].nanmean(0)`, then `(income - mean) / scale`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from backends.pytorch.fold.printed import Printed
from compiler.data.statistics import Statistic
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Input, Node, Output, Value
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Index, Infix, Leaf, Method, Prefix, Spelling

TRAINING = "training"
"""The parameter of `compute_columns` with the numbers of the training rows."""


@final
@dataclass(frozen=True)
class Choose(Printed):
    """The training rows of a column, precise enough to be summed."""

    name = "choose"
    operands = (Operand("column"), Operand("training"))

    def torch(self, node: Node) -> Spelling:
        """`column[training].double()`."""
        return Spelling(Method(Index(In(0), (In(1),)), "double"))


@final
@dataclass(frozen=True)
class Fit(Printed):
    """A figure of rows, element by element, NaN left out: `mean`, `median`, `most_frequent`, or
    `spread`, the standard deviation with n; of all entries along the `joined` axes together."""

    name = "fit"
    operands = (Operand("rows"),)
    method: str
    joined: tuple[int, ...] = ()

    def torch(self, node: Node) -> Spelling:
        """`rows.nanmean(0).float()` and its like; f64 where the buffer is."""
        figure = self._find(In(0))
        precise = node.outputs[0].type.dtype is DType.F64
        return Spelling(figure if precise else Method(figure, "float"))

    def _find(self, rows: In) -> Method | Index:
        if self.joined:
            return self._find_joined(rows)
        mean = Method(rows, "nanmean", (Leaf(0),))
        if self.method == "mean":
            return mean
        if self.method == "most_frequent":
            known = Index(rows, (Prefix("~", Method(rows, "isnan")),))
            return Index(Method(known, "mode"), (Leaf(0),))
        if self.method == "median":
            return Method(rows, "nanquantile", (Leaf(0.5),), (("dim", Leaf(0)),))
        squares = Method(Infix("-", rows, mean), "square")
        return Method(Method(squares, "nanmean", (Leaf(0),)), "sqrt")

    def _find_joined(self, rows: In) -> Method:
        """`rows.nanmean((0, 2, 3), keepdim=True).squeeze(0)`, or the spread around it."""
        options = ((Leaf((0, *self.joined)),), (("keepdim", Leaf(True)),))
        mean = Method(rows, "nanmean", *options)
        if self.method == "mean":
            return Method(mean, "squeeze", (Leaf(0),))
        squares = Method(Infix("-", rows, mean), "square")
        variance = Method(Method(squares, "nanmean", *options), "squeeze", (Leaf(0),))
        return Method(variance, "sqrt")


@final
@dataclass(frozen=True)
class KeepPositive(Printed):
    """A spread with 1 in place of 0: what does not vary is not scaled."""

    name = "keep_positive"
    operands = (Operand("spread"),)

    def torch(self, node: Node) -> Spelling:
        """`spread.where(spread > 0, 1)`."""
        return Spelling(Method(In(0), "where", (Infix(">", In(0), Leaf(0)), Leaf(1))))


@final
@dataclass(frozen=True)
class CountClasses(Printed):
    """How many entries of the training rows of a column name each class."""

    name = "count_classes"
    operands = (Operand("column"), Operand("training"))
    classes: int

    def torch(self, node: Node) -> Spelling:
        """`column[training].bincount(minlength=3)`."""
        given = node.inputs[0]
        rows: Index | Method = Index(In(0), (In(1),))
        rows = rows if given is not None and given.type.rank == 1 else Method(rows, "flatten")
        return Spelling(Method(rows, "bincount", (), (("minlength", Leaf(self.classes)),)))


@final
@dataclass(frozen=True)
class BalanceClasses(Printed):
    """The weight of each class, by how many entries it has."""

    name = "balance_classes"
    operands = (Operand("counts"),)
    classes: int

    def torch(self, node: Node) -> Spelling:
        """`counts.sum() / (3 * counts.clamp(min=1))`."""
        least = Method(In(0), "clamp", (), (("min", Leaf(1)),))
        return Spelling(Infix("/", Method(In(0), "sum"), Infix("*", Leaf(self.classes), least)))


def fit_inside(graph: Graph, statistics: Sequence[Statistic]) -> Graph:
    """The graph of a data set's columns with nodes in place of its fitted buffers. It takes the
    numbers of the training rows last, and returns the buffers after the columns."""
    parameters = graph.parameter
    needed = [s for s in statistics if s.path in parameters]
    if not needed:
        return graph
    training = Value(TRAINING, TensorType.of("i64", (TRAINING,)))
    values = [i.value for i in graph.inputs]
    nodes = [made for value in values for made in _fit(graph, needed, value, training)]
    for node in graph.nodes:
        nodes.append(node)
        for value in node.outputs:
            nodes += _fit(graph, needed, value, training)
    fitted = tuple(s.path for s in needed)
    outputs = tuple(Output(path, parameters[path].value) for path in fitted)
    return replace(
        graph,
        inputs=(*graph.inputs, Input(training)),
        outputs=(*graph.outputs, *outputs),
        parameters=tuple(p for p in graph.parameters if p.path not in fitted),
        nodes=tuple(nodes),
    )


def give_figures(graph: Graph, paths: Sequence[str]) -> Graph:
    """The graph of columns that takes its fitted buffers of these paths last, in their order."""
    values = [graph.parameter[path].value for path in paths]
    rest = tuple(p for p in graph.parameters if p.path not in paths)
    return replace(
        graph, inputs=(*graph.inputs, *(Input(value) for value in values)), parameters=rest
    )


def _fit(
    graph: Graph, statistics: Sequence[Statistic], value: Value, training: Value
) -> Iterator[Node]:
    """The nodes that compute the figures of a value."""
    wanted = [s for s in statistics if s.of == value.name]
    for statistic in [s for s in wanted if s.method == "balanced"]:
        weight = graph.parameter[statistic.path].value
        counts = replace(weight, name=f"{value.name}.counts")
        count, balance = CountClasses(statistic.classes), BalanceClasses(statistic.classes)
        yield Node(count, (value, training), (counts,), graph.frame, Site())
        yield Node(balance, (counts,), (weight,), graph.frame, Site())
        wanted.remove(statistic)
    if not wanted:
        return
    rows = replace(value, name=f"{value.name}.rows")
    yield Node(Choose(), (value, training), (rows,), graph.frame, Site())
    for statistic in wanted:
        fitted = graph.parameter[statistic.path].value
        if statistic.method != "scale":
            yield Node(
                Fit(statistic.method, statistic.joined), (rows,), (fitted,), graph.frame, Site()
            )
            continue
        number = statistics.index(statistic)
        spread = replace(fitted, name=f"spread.{number}" if number else "spread")
        yield Node(Fit("spread", statistic.joined), (rows,), (spread,), graph.frame, Site())
        yield Node(KeepPositive(), (spread,), (fitted,), graph.frame, Site())
