"""Computes when compiling what depends on no input: each op's own meaning does the work."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import final

from compiler.ir.graph import Graph, Node, Value
from compiler.passes.base import Array, Context, Pass
from compiler.passes.rewrite import Rewriter
from compiler.types.dims import Dim


@final
@dataclass(frozen=True)
class ConstantFolding(Pass):
    """A node that reads only known numbers becomes a buffer with its result.

    `limit` is by how many elements a result may be larger than the parameters it makes
    superfluous: an `expand` of a small table would otherwise fill the file.
    """

    name = "constant_folding"
    limit: int = 4096

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph without computations on constants."""
        rewriter = Rewriter(graph)
        folded: dict[str, Array] = {}
        for node in graph.nodes:
            results = self._fold(graph, node, folded, context)
            folded.update((v.name, a) for v, a in zip(node.outputs, results, strict=False))
            if results and node.inputs:
                continue
            _declare_read(graph, node, folded, rewriter)
            rewriter.keep(node)
        for output in graph.outputs:
            _declare(graph, output.value, folded, rewriter)
        return rewriter.graph()

    def _fold(
        self, graph: Graph, node: Node, folded: dict[str, Array], context: Context
    ) -> tuple[Array, ...]:
        """The results of a node that depends on constants alone; nothing for any other."""
        if not all(v is None or v.name in folded or v.name in graph.parameter for v in node.inputs):
            return ()
        operands = [_find_numbers(graph, v, folded, context) for v in node.inputs]
        reason = self._find_obstacle(graph, node, operands)
        if reason:
            if node.inputs:
                self.leave(context, node, reason)
            return ()
        results = node.op.evaluate(*operands)
        return tuple(
            value.type.dtype.round(array)
            for value, array in zip(node.outputs, results, strict=True)
        )

    def _find_obstacle(self, graph: Graph, node: Node, operands: list[Array | None]) -> str:
        if node.op.of_graph:
            return "its result follows from other nodes too"
        if node.op.varies:
            return "it draws random numbers"
        if not node.op.foldable:
            return "it says how a weight is stored"
        shapes = [v.type.known_shape for v in node.outputs]
        if None in shapes or _has_symbols(node.op):
            return "its result depends on a dimension that is not known"
        if any(v is not None and a is None for v, a in zip(node.inputs, operands, strict=True)):
            return "the weights are not known yet"
        size = sum(v.type.size.known or 0 for v in node.outputs)
        freed = sum(
            v.type.size.known or 0
            for v in node.inputs
            if v is not None and graph.users.get(v.name) == (node,)
        )
        if size - freed > self.limit:
            return f"the result would add {size - freed} numbers to the file"
        return ""


def _find_numbers(
    graph: Graph, value: Value | None, folded: dict[str, Array], context: Context
) -> Array | None:
    if value is None:
        return None
    return folded[value.name] if value.name in folded else context.numbers(graph, value.name)


def _declare_read(graph: Graph, node: Node, folded: dict[str, Array], rewriter: Rewriter) -> None:
    for value in node.inputs:
        if value is not None:
            _declare(graph, value, folded, rewriter)


def _declare(graph: Graph, value: Value, folded: dict[str, Array], rewriter: Rewriter) -> None:
    """Makes a folded value that is still read a buffer under its block's path."""
    node = graph.producers.get(value.name)
    if value.name not in folded or node is None or not node.inputs:
        return
    if rewriter.current(value) is not value:
        return
    own = node.origin.name or (node.op.name if value.name.startswith("%") else value.name)
    path = rewriter.free_name(".".join(part for part in (node.scope.path, own) if part))
    rewriter.replace(value, rewriter.buffer(path, value.type, folded[value.name]))


def _has_symbols(part: object) -> bool:
    """Whether a field of an op, or a part of one, is a dimension that is not known."""
    match part:
        case Dim():
            return part.known is None
        case tuple():
            return any(_has_symbols(item) for item in part)
    if is_dataclass(part):
        return any(_has_symbols(getattr(part, field.name)) for field in fields(part))
    return False
