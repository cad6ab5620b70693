"""Computes once what is computed twice: nodes with equal ops and equal inputs become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node, Op, Value
from compiler.passes.base import Context, Pass
from compiler.passes.rewrite import Rewriter


@final
@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Merges equal nodes. The one that stays rises to the nearest frame around both, so that
    each of the two blocks reads it from outside."""

    name = "common_subexpressions"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which no two nodes do the same to the same values."""
        repeats, scopes = self._find_repeats(graph, context)
        if not repeats:
            return graph
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            first = repeats.get(node.outputs[0].name)
            if first is None:
                scope = scopes.get(node.outputs[0].name, node.scope)
                rewriter.keep(node if scope is node.scope else replace(node, scope=scope))
                continue
            for old, new in zip(node.outputs, first.outputs, strict=True):
                rewriter.replace(old, new)
        return rewriter.graph()

    def _find_repeats(
        self, graph: Graph, context: Context
    ) -> tuple[dict[str, Node], dict[str, Frame]]:
        """The node that each superfluous one repeats, and the new scopes of those that are
        repeated; both by the name of the first output."""
        seen: dict[object, Node] = {}
        stands_for: dict[str, Value] = {}
        repeats: dict[str, Node] = {}
        scopes: dict[str, Frame] = {}
        for node in graph.nodes:
            read = [stands_for.get(v.name, v) if v is not None else None for v in node.inputs]
            names = tuple(v.name if v is not None else None for v in read)
            first = seen.setdefault((_identify(node.op), names), node)
            if first is node:
                continue
            if node.op.varies:
                self.leave(context, node, "each application draws anew")
                continue
            name = first.outputs[0].name
            repeats[node.outputs[0].name] = first
            scopes[name] = nearest_common_frame(scopes.get(name, first.scope), node.scope)
            for old, new in zip(node.outputs, first.outputs, strict=True):
                stands_for[old.name] = new
        return repeats, scopes


def nearest_common_frame(left: Frame, right: Frame) -> Frame:
    """The innermost frame that is around both."""
    common = left.chain[0]
    for a, b in zip(left.chain, right.chain, strict=False):
        if a is not b:
            break
        common = a
    return common


def _identify(op: Op) -> object:
    """The op itself, or its identity where a field cannot be hashed (the body of a loop)."""
    try:
        hash(op)
    except TypeError:
        return id(op)
    return op
