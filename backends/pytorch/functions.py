"""Graphs as plain functions: the objective of a train, and the columns of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from backends.pytorch.bodies import NetCall
from backends.pytorch.fold import fold_graphs
from backends.pytorch.naming import safe_name, user_name
from backends.pytorch.writer import write_class
from compiler.ir.graph import Frame, Graph, Node


def emit_function(
    graph: Graph,
    *,
    name: str,
    nets: Mapping[str, str],
    graphs: Mapping[str, Graph] | None = None,
    taken: Iterable[str] = (),
) -> str:
    """The text of a graph as a function, after functions for the blocks it calls.

    It takes the nets, then the inputs of the graph, then its parameters that no net holds, and
    returns the outputs in order.

    Args:
        graph: what it computes, e.g. the step of a train.
        name: what it is called.
        nets: where each net's parameters live (`"m."`, `""`), and the argument that holds it.
        graphs: each net's own graph, by the same key; needed for nets with several outputs.
        taken: names that functions of blocks may not have.
    """
    calls = dict(_find_calls(graph, nets, graphs or {}))
    names = {name, *nets.values(), *taken}
    folded = fold_graphs([graph], nets=calls, as_function=True, taken=names)
    root = folded.root(graph).target
    root.name = name
    root.modules_given = tuple(dict.fromkeys(safe_name(v) for v in nets.values()))
    root.doc = ""
    return "\n\n\n".join("\n".join(write_class(target)) for target in folded.classes) + "\n"


def function_arguments(graph: Graph, nets: Mapping[str, str]) -> tuple[str, ...]:
    """Names of what the function of a graph takes: nets, inputs, then free parameters by path."""
    calls = dict(_find_calls(graph, nets, {}))
    folded = fold_graphs([graph], nets=calls, as_function=True)
    index = folded.indexes[0]
    return (*nets.values(), *index.formals(index.root))


def _find_calls(
    graph: Graph, nets: Mapping[str, str], graphs: Mapping[str, Graph]
) -> Iterator[tuple[Frame, NetCall]]:
    """Frames right under the root that are calls of nets."""
    paths = {prefix.removesuffix("."): prefix for prefix in nets}
    nodes: dict[Frame, list[Node]] = {}
    for node in graph.nodes:
        if len(node.scope.chain) > 1:
            nodes.setdefault(node.scope.chain[1], []).append(node)
    for frame, inside in nodes.items():
        prefix = paths.get(frame.path)
        if prefix is None:
            continue
        formals = tuple(value for _, value in frame.tensors)
        results = _find_results(graph, frame, inside, graphs.get(prefix))
        yield frame, NetCall(safe_name(nets[prefix]), formals, results)


def _find_results(
    graph: Graph, frame: Frame, inside: list[Node], net: Graph | None
) -> tuple[str | None, ...]:
    """Names, in this graph, of what a net returns; None for an output that nothing reads."""
    made = {v.name for node in inside for v in node.outputs}
    outer = (n for n in graph.nodes if frame not in n.scope.chain)
    read = chain(
        (v.name for n in outer for v in n.inputs if v is not None),
        (o.value.name for o in graph.outputs),
    )
    leaving = dict.fromkeys(name for name in read if name in made)
    if net is None or len(net.outputs) == 1:
        assert len(leaving) <= 1, f"{frame.block} returns several tensors: its graph is needed"
        return tuple(leaving) or (None,)
    return tuple(_find_result(output.value.name, inside, net, leaving) for output in net.outputs)


def _find_result(
    value: str, inside: list[Node], net: Graph, leaving: Mapping[str, None]
) -> str | None:
    """The counterpart of a value of a net's own graph: the same output of the same node, or,
    where training changes the nodes, the value of that name."""
    if len(inside) == len(net.nodes):
        for own, node in zip(net.nodes, inside, strict=True):
            for place, output in enumerate(own.outputs):
                if output.name == value:
                    found = node.outputs[place].name
                    return found if found in leaving else None
    alike = [name for name in leaving if user_name(name) == user_name(value)]
    return alike[0] if len(alike) == 1 else None
