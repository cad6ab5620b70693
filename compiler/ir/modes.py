"""The two versions of a graph that has `if training` in it: one for each mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.ir.graph import Graph, Node, Output, Value


def has_modes(graph: Graph) -> bool:
    """Whether a graph computes something else in training than in evaluation because its spec
    says `if training`."""
    return any(
        node.op.of_mode or any(has_modes(body) for body in node.op.bodies) for node in graph.nodes
    )


def take_evaluation(graph: Graph) -> Graph:
    """The graph as it is evaluated and deployed, without what only training computes. Its
    parameters stay: both versions own the same."""
    if not has_modes(graph):
        return graph
    chosen: dict[str, Value] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(v if v is None else chosen.get(v.name, v) for v in node.inputs)
        if node.op.of_mode:
            evaluation = inputs[1]
            assert evaluation is not None, "it has both versions"
            chosen[node.output.name] = evaluation
            continue
        nodes.append(_take_bodies(replace(node, inputs=inputs)))
    return _keep_needed(replace(graph, outputs=_read(graph.outputs, chosen)), nodes)


def _take_bodies(node: Node) -> Node:
    """A loop whose body is that of evaluation."""
    if not any(map(has_modes, node.op.bodies)):
        return node
    return replace(node, op=node.op.change_bodies(take_evaluation))


def _read(outputs: Sequence[Output], chosen: Mapping[str, Value]) -> tuple[Output, ...]:
    return tuple(replace(o, value=chosen.get(o.value.name, o.value)) for o in outputs)


def _keep_needed(graph: Graph, nodes: Sequence[Node]) -> Graph:
    needed = {output.value.name for output in graph.outputs}
    kept = []
    for node in reversed(nodes):
        if any(value.name in needed for value in node.outputs):
            kept.append(node)
            needed.update(v.name for v in node.inputs if v is not None)
    return replace(graph, nodes=tuple(reversed(kept)))
