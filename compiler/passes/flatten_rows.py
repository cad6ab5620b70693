"""Keeps tokens in a matrix between the layers that treat every token alike.

ONNX's `Gemm` is fast and takes the checkpoint's weight as it is, but only multiplies matrices.
A dense layer on `f32[batch, t, d]` therefore stands between two reshapes. Here the reshapes move
to the ends of the whole stretch of dense layers, norms, activations and sums: `f32[batch * t, d]`.
Layers that multiply whole numbers take stacks of matrices as well, but then ONNX Runtime would make
a sum and the norm behind it one `SkipLayerNormalization`, four times as slow as the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ops.reshaping import Reshape
from compiler.passes.axes import trace_axis
from compiler.passes.base import Context, Pass
from compiler.passes.rewrite import Rewriter
from compiler.types.dims import Dim, product


@final
@dataclass(frozen=True)
class FlattenRows(Pass):
    """Runs stretches of row-wise nodes that hold a dense layer on matrices."""

    name = "flatten_rows"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which such stretches have one reshape at each end."""
        chosen = _find_stretches(graph)
        return _Flattener(graph, chosen).run() if chosen else graph


def _find_stretches(graph: Graph) -> dict[str, tuple[bool, ...]]:
    """By the name of the first output: the nodes to run on matrices, and which of their inputs
    are rows. A stretch is connected and holds at least one dense layer."""
    members: dict[str, tuple[bool, ...]] = {}
    parents: dict[str, str] = {}
    for node in graph.nodes:
        rows = find_row_inputs(node)
        if rows is None:
            continue
        name = node.outputs[0].name
        members[name], parents[name] = rows, name
        for value, is_row in zip(node.inputs, rows, strict=True):
            producer = graph.producers.get(value.name) if value is not None and is_row else None
            if producer is not None and producer.outputs[0].name in members:
                parents[_root(parents, producer.outputs[0].name)] = _root(parents, name)
    dense = {
        _root(parents, node.outputs[0].name)
        for node in graph.nodes
        if node.op.multiplies_rows and node.outputs[0].name in members
    }
    return {name: rows for name, rows in members.items() if _root(parents, name) in dense}


def _root(parents: dict[str, str], name: str) -> str:
    while parents[name] != name:
        parents[name] = parents[parents[name]]
        name = parents[name]
    return name


def find_row_inputs(node: Node) -> tuple[bool, ...] | None:
    """Which inputs of a node are stacks of rows, if every row (a vector along the last axis) of
    its outputs depends on the same row of these alone, and the others fit any number of rows."""
    rank = node.outputs[0].type.rank
    if rank < 3 or any(v.type.rank != rank for v in node.outputs):
        return None
    if node.op.broadcasts:
        leading = node.output.type.shape[:-1]
        shapes = [v.type.shape if v is not None else () for v in node.inputs]
        rows = tuple(len(shape) == rank and shape[:-1] == leading for shape in shapes)
        fits = all(is_row or len(s) <= 1 for s, is_row in zip(shapes, rows, strict=True))
        return rows if fits and any(rows) else None
    if node.op.reshapes:
        return None
    if node.op.multiplies_rows:
        # Levels of a whole tensor stay what they are, though those of a row would be others.
        return True, *[False] * (len(node.inputs) - 1)
    traces = [trace_axis(node, axis) for axis in range(rank - 1)]
    for axis, trace in enumerate(traces):
        if trace is None or any(found not in (axis, None) for found in trace):
            return None
    columns = [{trace[i] for trace in traces if trace} for i in range(len(node.inputs))]
    if any(None in column and len(column) > 1 for column in columns):
        return None
    row_inputs = tuple(None not in column for column in columns)
    ranks = [v.type.rank if v is not None else 0 for v in node.inputs]
    same = all(r == rank for r, is_row in zip(ranks, row_inputs, strict=True) if is_row)
    return row_inputs if same and any(row_inputs) else None


class _Flattener:
    """Rewrites the chosen nodes; reshapes are made where a stretch is entered or left."""

    def __init__(self, graph: Graph, chosen: dict[str, tuple[bool, ...]]) -> None:
        self.graph = graph
        self.chosen = chosen
        self.rewriter = Rewriter(graph)
        self.flat: dict[str, Value] = {}
        self.left: set[str] = set()

    def run(self) -> Graph:
        """The graph with matrices inside stretches."""
        for node in self.graph.nodes:
            rows = self.chosen.get(node.outputs[0].name)
            if rows is None:
                for value in node.inputs:
                    if value is not None:
                        self._leave(value)
                self.rewriter.keep(node)
            else:
                self._flatten(node, rows)
        for output in self.graph.outputs:
            self._leave(output.value)
        return self.rewriter.graph()

    def _flatten(self, node: Node, rows: tuple[bool, ...]) -> None:
        inputs = [
            self._enter(value, node)
            if value is not None and is_row
            else value and self.rewriter.current(value)
            for value, is_row in zip(node.inputs, rows, strict=True)
        ]
        names = [v.name for v in node.outputs]
        made = self.rewriter.apply(node.op.act_on_matrix(), inputs, node, names)
        self.flat.update(zip(names, made, strict=True))

    def _enter(self, value: Value, user: Node) -> Value:
        """The value as a matrix."""
        if value.name not in self.flat:
            shape = value.type.shape
            matrix = (product(shape[:-1]), shape[-1])
            self.flat[value.name] = self._reshape(self.rewriter.current(value), matrix, user)
        return self.flat[value.name]

    def _leave(self, value: Value) -> None:
        """Gives a value of a stretch its shape back for those outside who read it."""
        flat, maker = self.flat.get(value.name), self.graph.producers.get(value.name)
        made_flat = maker is not None and maker.outputs[0].name in self.chosen
        if flat is None or maker is None or not made_flat or value.name in self.left:
            return
        self.left.add(value.name)
        self.rewriter.replace(value, self._reshape(flat, value.type.shape, maker))

    def _reshape(self, value: Value, shape: tuple[Dim, ...], like: Node) -> Value:
        site = replace(like, origin=Site(like.origin.span))
        (made,) = self.rewriter.apply(Reshape(shape), [value], site)
        return made
