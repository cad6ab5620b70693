"""Which values are alive while the nodes of a graph run in order, and how much that is at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compiler.ir.graph import Graph, Node, Value

Measure = Callable[[Value], int]
"""Bytes of a value."""


def find_last_uses(nodes: Sequence[Node]) -> dict[str, int]:
    """The index of the last node that makes or reads each value, by the value's name."""
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                last[value.name] = index
    return last


def find_peak(
    graph: Graph,
    measure: Measure,
    nodes: Sequence[Node] | None = None,
    besides: Callable[[Node], int] = lambda node: 0,
) -> int:
    """The most bytes of inputs and results that are alive at once when nodes run in order: all of
    them, or those given. `besides` is what a node takes only while it runs."""
    running = graph.nodes if nodes is None else nodes
    last = find_last_uses(running) | {o.value.name: len(running) for o in graph.outputs}
    alive = {item.name: measure(item.value) for item in graph.inputs}
    total = peak = sum(alive.values())
    for index, node in enumerate(running):
        made = {value.name: measure(value) for value in node.outputs}
        alive |= made
        total += sum(made.values())
        peak = max(peak, total + besides(node))
        for name in {value.name for value in (*node.inputs, *node.outputs) if value is not None}:
            if last[name] == index:
                total -= alive.pop(name, 0)
    return peak
