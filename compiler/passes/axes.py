"""An analysis: which entries of a node's inputs the entries along an axis of its output need."""

from __future__ import annotations

from compiler.ir.graph import Node
from compiler.ir.tracing import Trace


def trace_axis(node: Node, axis: int) -> Trace | None:
    """Where the entries along an axis of a node's outputs come from, as its op says."""
    types = node.types
    return node.op.trace_axis(axis, types, [v.type for v in node.outputs])
