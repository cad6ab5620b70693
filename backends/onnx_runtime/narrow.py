"""Narrows a difference between a backend and the meaning down to the first node that diverges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from backends.onnx_runtime.tolerance import Difference, compare
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


def record_values(
    graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The meaning of every value of the graph."""
    values: dict[str, Array] = {}

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            values[value.name] = array.astype(value.type.dtype.numpy, copy=False)

    evaluate(graph, weights, inputs, watch=watch)
    return values


def find_divergence(
    graph: Graph, expected: Mapping[str, Array], observe: Observe, tolerance: float
) -> Divergence | None:
    """The first node, in order, one of whose outputs differs; its inputs agree, since whatever
    made them comes before it."""
    found = observe([v for node in graph.nodes for v in node.outputs])
    for node in graph.nodes:
        for value in node.outputs:
            if value.name in found:
                difference = compare(expected[value.name], found[value.name])
                if difference.error > tolerance:
                    return Divergence(node, difference)
    return None


def bisect_divergence(
    graph: Graph, expected: Mapping[str, Array], observe: Observe, tolerance: float
) -> Divergence | None:
    """As `find_divergence`, for a backend that must be built anew for each set of values: looks
    at one value at a time and halves the nodes in question."""
    low, high = 0, len(graph.nodes) - 1
    last: Divergence | None = None
    while low <= high:
        middle = (low + high) // 2
        step = _look(graph.nodes[middle], expected, observe, tolerance)
        if step is None:
            low = middle + 1
        else:
            last, high = step, middle - 1
    return last and _descend(graph, last, expected, observe, tolerance)


def _descend(
    graph: Graph,
    last: Divergence,
    expected: Mapping[str, Array],
    observe: Observe,
    tolerance: float,
) -> Divergence:
    """Follows inputs that differ: halving looks at the order, which is finer than what depends
    on what."""
    for value in last.node.inputs:
        producer = graph.producers.get(value.name) if value is not None else None
        if producer is not None:
            step = _look(producer, expected, observe, tolerance)
            if step is not None:
                return _descend(graph, step, expected, observe, tolerance)
    return last


def _look(
    node: Node, expected: Mapping[str, Array], observe: Observe, tolerance: float
) -> Divergence | None:
    found = observe(node.outputs)
    for value in node.outputs:
        if value.name in found:
            difference = compare(expected[value.name], found[value.name])
            if difference.error > tolerance:
                return Divergence(node, difference)
    return None


def cut_graph(graph: Graph, values: Sequence[Value]) -> Graph:
    """The part of a graph that computes these values; they are its outputs `probe0`, …"""
    outputs = tuple(Output(f"probe{i}", value) for i, value in enumerate(values))
    return DeadCode().run(replace(graph, outputs=outputs), Context())
