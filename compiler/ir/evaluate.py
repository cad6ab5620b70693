"""The meaning of a graph, in NumPy: the judge of every backend and of every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph, Node
from compiler.ir.liveness import find_last_uses
from compiler.ir.modes import take_evaluation
from compiler.types.dims import Dim

Array = NDArray[Any]


class InputError(ValueError):
    """Arrays that do not fit the inputs of a graph."""


@np.errstate(all="ignore")  # infinities and NaN are part of the meaning
def evaluate(
    graph: Graph,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    watch: Callable[[Node, tuple[Array, ...]], None] | None = None,
    draws: np.random.Generator | None = None,
) -> dict[str, Array]:
    """Outputs of a graph by name, in evaluation mode.

    Args:
        graph: what to compute.
        weights: one array per parameter path.
        inputs: one array per input name; their shapes give the symbolic dims their sizes.
        watch: called with every node and its outputs, in order.
        draws: where random numbers come from; the same ones each time where it is left out.

    Raises:
        InputError: an input is missing or its shape contradicts the graph's types.
        CompileError: a derivative in it cannot be written out.
    """
    graph = expand(graph)
    sizes = bind_sizes(graph, inputs)
    values: dict[str, Array] = {}
    for item in graph.inputs:
        values[item.name] = item.value.type.dtype.round(inputs[item.name])
    for parameter in graph.parameters:
        values[parameter.path] = np.asarray(weights[parameter.path])
    drops = _find_drops(graph)
    generator = draws if draws is not None else np.random.default_rng(0)
    for index, node in enumerate(graph.nodes):
        operands = [values[v.name] if v is not None else None for v in node.inputs]
        op = node.op.substitute(sizes)
        results = op.draw(generator, *operands) if op.varies else op.evaluate(*operands)
        if watch is not None:
            watch(node, results)
        for value, array in zip(node.outputs, results, strict=True):
            values[value.name] = value.type.dtype.round(array)
        for name in drops.get(index, ()):
            del values[name]
    return {output.name: values[output.value.name] for output in graph.outputs}


def expand(graph: Graph) -> Graph:
    """The graph in evaluation mode, with nothing in it whose meaning follows from other nodes than
    its own.

    Raises:
        CompileError: a derivative in it cannot be written out.
    """
    graph = take_evaluation(graph)
    while True:
        ops = (node.op for one in _list_graphs(graph) for node in one.nodes)
        found = next((op for op in ops if op.of_graph), None)
        if found is None:
            return graph
        graph = found.expand(graph)


def _list_graphs(graph: Graph) -> Iterator[Graph]:
    """A graph and those in it."""
    yield graph
    for node in graph.nodes:
        for body in node.op.bodies:
            yield from _list_graphs(body)


def decode_weights(graph: Graph, weights: Mapping[str, Array]) -> tuple[Graph, dict[str, Array]]:
    """The graph without the nodes that only say how a weight is stored, and its weights with
    what these stand for: for a graph that is evaluated several times. It has the same outputs."""
    owners = dict(graph.parameter)
    known = {path: np.asarray(weights[path]) for path in owners}
    kept: list[Node] = []
    for node in graph.nodes:
        named = [value.name for value in node.inputs if value is not None]
        if node.op.foldable or not named or not owners.keys() >= set(named):
            kept.append(node)
            continue
        operands = [known[v.name] if v is not None else None for v in node.inputs]
        results = node.op.evaluate(*operands)
        for value, array in zip(node.outputs, results, strict=True):
            known[value.name] = value.type.dtype.round(array)
            owners[value.name] = replace(owners[named[0]], value=value, hints=())
    return replace(graph, nodes=tuple(kept), parameters=tuple(owners.values())), known


def bind_sizes(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, int]:
    """Sizes of the symbolic dims, read off the shapes of the inputs.

    Raises:
        InputError: an input is missing, its rank or a known size differs, one symbol would have
            two sizes, or a condition of the graph does not hold.
    """
    sizes: dict[str, int] = {}
    for item in graph.inputs:
        if item.name not in inputs:
            raise InputError(f"input {item.name} is missing")
        shape = np.shape(inputs[item.name])
        if len(shape) != item.value.type.rank:
            raise InputError(f"input {item.name} has shape {shape}, not {item.value.type}")
        for dim, size in zip(item.value.type.shape, shape, strict=True):
            name = _plain_symbol(dim)
            if name is not None and sizes.setdefault(name, size) != size:
                raise InputError(f"{name} is {sizes[name]} and {size} at once")
    for item in graph.inputs:
        shape = np.shape(inputs[item.name])
        expected = tuple(d.evaluate(sizes) for d in item.value.type.shape)
        if expected != shape:
            raise InputError(f"input {item.name} has shape {shape}, not {expected}")
    for condition in graph.conditions:
        left, right = condition.left.evaluate(sizes), condition.right.evaluate(sizes)
        if not (left == right if condition.relation == "==" else left <= right):
            text = f"{condition.left} {condition.relation} {condition.right}"
            raise InputError(f"{text} does not hold: {left} and {right}")
    return sizes


def _plain_symbol(dim: Dim) -> str | None:
    """The name of a dim that is one symbol and nothing else."""
    names = dim.symbols
    if len(names) != 1:
        return None
    (name,) = names
    return name if dim == Dim.of(name) else None


def _find_drops(graph: Graph) -> dict[int, list[str]]:
    """Names of values that may be dropped after the node of that index."""
    kept = {o.value.name for o in graph.outputs}
    drops: dict[int, list[str]] = {}
    for name, index in find_last_uses(graph.nodes).items():
        if name not in kept:
            drops.setdefault(index, []).append(name)
    return drops
