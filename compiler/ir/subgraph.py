"""A part of a graph as a graph of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.ir.graph import Graph, Input, Output, Value


def extract_subgraph(graph: Graph, starts: Sequence[Value], outputs: Sequence[Output]) -> Graph:
    """The part of a graph that computes `outputs` when the values `starts` are given.

    Inputs of the graph that the part still reads stay its inputs, after `starts`.
    """
    given = {value.name for value in starts}
    needed = {output.value.name for output in outputs}
    nodes = []
    for node in reversed(graph.nodes):
        made = {value.name for value in node.outputs}
        if (made & needed) - given:
            nodes.append(node)
            needed |= {value.name for value in node.inputs if value is not None} - given
    kept = [item for item in graph.inputs if item.name in needed and item.name not in given]
    return replace(
        graph,
        inputs=(*(Input(value) for value in starts), *kept),
        outputs=tuple(outputs),
        parameters=tuple(p for p in graph.parameters if p.path in needed),
        nodes=tuple(reversed(nodes)),
    )
