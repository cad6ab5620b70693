"""Narrows a difference between a backend and the meaning down to the first node that diverges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from backends.verification.margins import Margin
from backends.verification.rounding import Reference
from backends.verification.tolerance import Difference
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode

Array = NDArray[Any]
Observe = Callable[[Sequence[Value]], Mapping[str, Array]]
"""A backend's numbers for values of the graph, by name; those it does not have are left out."""


@dataclass(frozen=True)
class Divergence:
    """The first node whose output differs, and by how much."""

    node: Node
    difference: Difference


def make_probe(margin: Margin) -> Margin:
    """The margin of every value that nodes of a graph make, under the values' own names."""
    values = tuple(value for node in margin.graph.nodes for value in node.outputs)
    graph = replace(margin.graph, outputs=tuple(Output(v.name, v) for v in values))
    reference = Reference(graph, margin.reference.weights)
    meaning = evaluate(graph, reference.weights, margin.case.inputs)
    return replace(margin, reference=reference, meaning=meaning, spreads={}, done=0)


def find_divergence(probe: Margin, observe: Observe) -> Divergence | None:
    """The first node, in order, one of whose outputs differs; its inputs agree, since whatever
    made them comes before it."""
    found = observe([v for node in probe.graph.nodes for v in node.outputs])
    for node in probe.graph.nodes:
        divergence = _judge(probe, node, found)
        if divergence is not None:
            return divergence
    return None


def bisect_divergence(probe: Margin, observe: Observe) -> Divergence | None:
    """As `find_divergence`, for a backend that must be built anew for each set of values: looks
    at one value at a time and halves the nodes in question."""
    nodes = probe.graph.nodes
    low, high = 0, len(nodes) - 1
    last: Divergence | None = None
    while low <= high:
        middle = (low + high) // 2
        step = _judge(probe, nodes[middle], observe(nodes[middle].outputs))
        if step is None:
            low = middle + 1
        else:
            last, high = step, middle - 1
    return last and _descend(probe, last, observe)


def _descend(probe: Margin, last: Divergence, observe: Observe) -> Divergence:
    """Follows inputs that differ: halving looks at the order, which is finer than what depends
    on what."""
    for value in last.node.inputs:
        producer = probe.graph.producers.get(value.name) if value is not None else None
        if producer is not None:
            step = _judge(probe, producer, observe(producer.outputs))
            if step is not None:
                return _descend(probe, step, observe)
    return last


def _judge(probe: Margin, node: Node, found: Mapping[str, Array]) -> Divergence | None:
    """The node's divergence, if one of its outputs is off by more than is allowed."""
    made = {value.name: found[value.name] for value in node.outputs if value.name in found}
    if not made:
        return None
    _, difference = probe.judge(made)
    return Divergence(node, difference) if difference.share > 1 else None


def cut_graph(graph: Graph, values: Sequence[Value]) -> Graph:
    """The part of a graph that computes these values; they are its outputs `probe0`, …"""
    outputs = tuple(Output(f"probe{i}", value) for i, value in enumerate(values))
    return DeadCode().run(replace(graph, outputs=outputs), Context())
