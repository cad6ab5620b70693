"""Loops over steps as they are printed: known cells are one call, and what does not depend on the
state is computed before the loop."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node
from compiler.ops.scan import Scan
from compiler.passes.base import Context
from compiler.passes.hoist_products import HoistProducts
from compiler.passes.recognize_cells import RecognizeCells


def fuse_loops(graph: Graph) -> tuple[Graph, list[Frame]]:
    """The graph with its loops as they are printed, and the calls in their bodies whose code then
    stands in the code around the loop."""
    loops = [node for node in graph.nodes if isinstance(node.op, Scan)]
    if not loops:
        return graph, []
    made = RecognizeCells(for_torch=True).run(graph, Context())
    made = HoistProducts(for_torch=True).run(made, Context())
    kept = set(map(id, made.nodes))
    changed = [node for node in loops if id(node) not in kept]
    return made, [frame for node in changed for frame in _find_calls(node)]


def _find_calls(node: Node) -> Iterator[Frame]:
    """The calls inside the body of a loop."""
    for body in node.op.bodies:
        for inner in body.nodes:
            yield from (f for f in inner.scope.chain if f not in node.scope.chain)
            yield from _find_calls(inner)
