"""Splits a dense layer whose result is split anyway, where only a slice of some part is needed.

One projection often makes query, key and value together. When only one token's query is needed,
the projection stands in the way of `slice_pull_up`: it must make all tokens' keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from compiler.ir.graph import Graph, Node, Value
from compiler.ops.linear import Dense
from compiler.passes.base import Array, Context, Pass
from compiler.passes.demands import find_demands
from compiler.passes.rewrite import Rewriter


@final
@dataclass(frozen=True)
class SplitProjections(Pass):
    """A dense layer `p` with a `chunk` or `split` of its last axis behind it becomes `p.0`,
    `p.1` …, with views of its weight: no number is copied."""

    name = "split_projections"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which such projections are apart."""
        splits = self._choose(graph, context)
        if not splits:
            return graph
        rewriter = Rewriter(graph)
        dense = {_source(graph, node).output.name for node in splits.values()}
        for node in graph.nodes:
            name = node.outputs[0].name
            if name in splits:
                _split(graph, _source(graph, node), node, context, rewriter)
            elif name not in dense:
                rewriter.keep(node)
        return rewriter.graph()

    def _choose(self, graph: Graph, context: Context) -> dict[str, Node]:
        """The nodes that split a projection, by their first output."""
        demands = find_demands(graph)
        chosen = {}
        for node in graph.nodes:
            if _find_axis(node) is None:
                continue
            wanted = {demands[v.name] for v in node.outputs}
            reason = _find_obstacle(graph, node, context)
            if len(wanted) == 1:
                reason = reason or "every part is needed to the same extent"
            if reason:
                self.leave(context, node, reason)
            else:
                chosen[node.outputs[0].name] = node
        return chosen


def _find_axis(node: Node) -> int | None:
    """The axis that a node splits; None where it splits none."""
    value = node.inputs[0] if node.inputs else None
    return node.op.split_axis(value.type.rank) if value is not None else None


def _source(graph: Graph, node: Node) -> Node:
    value = node.inputs[0]
    assert value is not None, "a split has an input"
    return graph.producers[value.name]


def _find_obstacle(graph: Graph, node: Node, context: Context) -> str:
    """Why a projection cannot be split; empty if it can."""
    value = node.inputs[0]
    layer = graph.producers.get(value.name) if value is not None else None
    if value is None or layer is None or not isinstance(layer.op, Dense):
        return "it does not split the result of a dense layer"
    if _find_axis(node) != value.type.rank - 1:
        return "it does not split the last axis"
    if any(v.type.shape[-1].known is None for v in node.outputs):
        return "the sizes of its parts are not known"
    if len(graph.users[value.name]) > 1 or any(o.value == value for o in graph.outputs):
        return "the projection is also used whole"
    for used in layer.inputs[1:]:
        if used is None or context.numbers(graph, used.name) is None:
            return "the weights are not known yet"
        if used.name not in graph.parameter or len(graph.users[used.name]) > 1:
            return f"`{used.name}` is shared with another layer"
    return ""


def _split(graph: Graph, layer: Node, node: Node, context: Context, rewriter: Rewriter) -> None:
    """Replaces a projection and the split behind it by one projection for each part."""
    op, source = layer.op, layer.inputs[0]
    assert isinstance(op, Dense), "obstacles were looked for"
    assert source is not None, "a dense layer has an input"
    start = 0
    for number, value in enumerate(node.outputs):
        size = value.type.shape[-1].known
        assert size is not None, "obstacles were looked for"
        weights = [
            _cut(graph, used, slice(start, start + size), number, context, rewriter)
            for used in layer.inputs[1:]
            if used is not None
        ]
        start += size
        name = f"{layer.origin.name}.{number}" if layer.origin.name else ""
        hints = tuple(hint for hint in layer.origin.hints if hint[0] != "out")
        like = replace(layer, origin=replace(layer.origin, name=name, hints=hints))
        inputs = [rewriter.current(source), *weights]
        rewriter.apply(replace(op, out=size), inputs, like, [value.name])


def _cut(
    graph: Graph, used: Value, rows: slice, number: int, context: Context, rewriter: Rewriter
) -> Value:
    """Some rows of a weight, as a parameter of its own."""
    parameter = graph.parameter[used.name]
    head, _, last = parameter.path.rpartition(".")
    path = rewriter.free_name(".".join(p for p in (head, str(number), last) if p))
    array: Array | None = context.numbers(graph, used.name)
    assert array is not None, "obstacles were looked for"
    return rewriter.constant(path, array[rows], like=replace(parameter, hints=()))
