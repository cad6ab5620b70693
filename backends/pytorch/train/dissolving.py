"""Calls of library blocks that come down to a single operation: these are written where they are
called, as one would, and are no functions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node
from compiler.ir.hint import HintConst


def dissolve_calls(graph: Graph) -> Graph:
    """The graph without calls of library blocks that have one node, which follows no argument of
    theirs and reads no weight."""
    sizes = Counter(frame for node in graph.nodes for frame in node.scope.chain)
    return replace(graph, nodes=tuple(_move(graph, node, sizes) for node in graph.nodes))


def _move(graph: Graph, node: Node, sizes: Counter[Frame]) -> Node:
    """A node in the innermost call around it that has others."""
    span = node.origin.span
    plain = all(isinstance(hint, HintConst) for _, hint in node.origin.hints)
    plain = plain and not node.origin.name
    weights = any(v is not None and v.name in graph.parameter for v in node.inputs)
    if not plain or weights or span is None or not span.source.is_library:
        return node
    scope = node.scope
    while scope.parent is not None and sizes[scope] == 1:
        scope = scope.parent
    return node if scope is node.scope else replace(node, scope=scope, origin=Site(span))
