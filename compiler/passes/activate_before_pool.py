"""Moves a ReLU from behind a maximum pool to the convolution before it.

The largest of clipped numbers is the clipped largest, and what pads a window never wins, so both
orders compute the same. ONNX Runtime makes a ReLU behind a convolution part of it, at no cost;
behind a pool it is an operator of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from compiler.ir.graph import Graph, Node, Value
from compiler.ops.convolution import Conv
from compiler.ops.pooling import MaxPool
from compiler.passes.base import Context, Pass
from compiler.passes.rewrite import Rewriter


@final
@dataclass(frozen=True)
class ActivateBeforePool(Pass):
    """Convolution, maximum pool, ReLU become convolution, ReLU, maximum pool."""

    name = "activate_before_pool"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which such ReLUs stand before the pool."""
        pools = {node.output.name: pool for node in graph.nodes if (pool := _find(graph, node))}
        moved = {pool.output.name for pool in pools.values()}
        if not pools:
            return graph
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            name = node.outputs[0].name
            if name in pools:
                pool = pools[name]
                source = pool.inputs[0]
                assert source is not None, "a pool has an input"
                (active,) = rewriter.apply(node.op, [rewriter.current(source)], node)
                (pooled,) = rewriter.apply(pool.op, [active], pool, [name])
                rewriter.replace(node.output, pooled)
            elif name not in moved:
                rewriter.keep(node)
        return rewriter.graph()


def _find(graph: Graph, node: Node) -> Node | None:
    """The pool before a ReLU, where the two can change places."""
    pool = _find_maker(graph, node.inputs[0]) if node.op.clips else None
    if pool is None or not isinstance(pool.op, MaxPool):
        return None
    conv = _find_maker(graph, pool.inputs[0])
    return pool if conv is not None and isinstance(conv.op, Conv) else None


def _find_maker(graph: Graph, value: Value | None) -> Node | None:
    """The node that makes a value which is read once, and is no output."""
    if value is None or len(graph.users.get(value.name, ())) != 1:
        return None
    if any(output.value.name == value.name for output in graph.outputs):
        return None
    return graph.producers.get(value.name)
