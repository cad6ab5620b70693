"""Removes nodes that no output depends on, and parameters that nothing reads."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from compiler.ir.graph import Graph, Node
from compiler.passes.base import Context, Pass
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class DeadCode(Pass):
    """Keeps what an output depends on. A node with several outputs stays whole if one is read.
    Inputs stay: they are the interface."""

    name = "dead_code"

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph without what nothing needs."""
        needed = {output.value.name for output in graph.outputs}
        live: list[Node] = []
        for node in reversed(graph.nodes):
            if any(value.name in needed for value in node.outputs):
                live.append(node)
                needed.update(v.name for v in node.inputs if v is not None)
        parameters = tuple(p for p in graph.parameters if p.path in needed)
        if len(live) == len(graph.nodes) and len(parameters) == len(graph.parameters):
            return graph
        constants = {path: array for path, array in graph.constants.items() if path in needed}
        return replace(
            graph, nodes=tuple(reversed(live)), parameters=parameters, constants=constants
        )
