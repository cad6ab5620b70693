"""Checks that a graph is well formed; runs after every pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set

from compiler.ir.graph import Graph, Node, Value
from compiler.report.diagnostics import Fault
from compiler.types.dims import Dim, equal
from compiler.types.tensor import TensorType


class InvalidGraph(Exception):
    """A graph that breaks a rule of the form: a fault of the compiler, not of the spec."""


def verify_graph(graph: Graph, before: Graph | None = None) -> None:
    """Raises `InvalidGraph` with every broken rule: names are unique, values are made before
    they are read, types are what each op infers, outputs exist, every parameter's numbers have
    its shape, every node stands under the root frame.

    `before` is a valid graph that this one was made from: the types of nodes that it has too,
    the same objects, are not inferred again.
    """
    known = {id(node) for node in before.nodes} if before is not None else set()
    faults = list(_find_faults(graph, known))
    if faults:
        raise InvalidGraph(f"graph {graph.name}: " + "; ".join(faults))


def _find_faults(graph: Graph, known: Set[int]) -> Iterator[str]:
    made: dict[str, Value] = {}
    declared = [i.value for i in graph.inputs] + [p.value for p in graph.parameters]
    everything = declared + [v for node in graph.nodes for v in node.outputs]
    for name, count in Counter(v.name for v in everything).items():
        if count > 1:
            yield f"{name} is made {count} times"
    made.update((v.name, v) for v in declared)
    for node in graph.nodes:
        yield from _find_node_faults(graph, node, made, inferred=id(node) in known)
        made.update((v.name, v) for v in node.outputs)
    for output in graph.outputs:
        if made.get(output.value.name) != output.value:
            yield f"output {output.name} reads {output.value.name}, which nothing makes"
    for name, count in Counter(o.name for o in graph.outputs).items():
        if count > 1:
            yield f"{count} outputs are called {name}"
    for path, array in graph.constants.items():
        parameter = graph.parameter.get(path)
        if parameter is None:
            yield f"there are numbers for {path}, which is not a parameter"
        elif parameter.value.type.known_shape != getattr(array, "shape", None):
            yield f"the numbers of {path} do not have the shape {parameter.value.type}"


def _find_node_faults(
    graph: Graph, node: Node, made: dict[str, Value], *, inferred: bool
) -> Iterator[str]:
    label = f"{node.op.name} -> {', '.join(v.name for v in node.outputs)}"
    for value in node.inputs:
        if value is not None and made.get(value.name) != value:
            yield f"{label} reads {value.name}, which is not made before it with this type"
            return
    if node.scope.chain[0] is not graph.frame:
        yield f"{label} stands under the frame of another graph"
    if inferred:
        return
    try:
        inputs = node.types
        types = node.op.infer(_ignore_promise, *inputs)
    except Fault:
        yield f"{label} refuses its inputs"
        return
    found = [v.type for v in node.outputs]
    if len(types) != len(found) or not all(map(_agree, types, found)):
        yield f"{label} has types {[*map(str, found)]}, inferred {[*map(str, types)]}"


def _agree(inferred: TensorType, found: TensorType) -> bool:
    """Whether two types are equal as far as can be known: a promise may have named a dim anew."""
    if inferred.dtype is not found.dtype or inferred.rank != found.rank:
        return False
    return all(equal(a, b) is not False for a, b in zip(inferred.shape, found.shape, strict=True))


def _ignore_promise(left: Dim, relation: str, right: Dim) -> None:
    """Promises were recorded when the node was made."""
