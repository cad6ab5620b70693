"""Blocks and layers whose results a training does not keep for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.ir.graph import Graph, Node
from compiler.ir.weights import path_matches
from compiler.program.train import TrainedNet


def list_blocks(nets: Sequence[TrainedNet]) -> Mapping[str, list[Node]]:
    """The blocks and layers with weights that are called, by their paths in a train, each with the
    nodes inside: those have a module each, with a `forward` of its own."""
    found: dict[str, list[Node]] = {}
    for net in nets:
        if net.average is None:
            for path, nodes in _list_inside(net.net.graph).items():
                found[net.prefix + path] = nodes
    return found


def _list_inside(graph: Graph) -> Mapping[str, list[Node]]:
    owners = {path for parameter in graph.parameter for path in _list_owners(parameter)}
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        names = [v.name for v in node.inputs if v is not None and v.name in graph.parameter]
        layers = [name.rpartition(".")[0] for name in names]
        inside = [frame.path for frame in node.scope.chain]
        for path in dict.fromkeys((*inside, *layers)):
            if path in owners:
                found.setdefault(path, []).append(node)
    return found


def _list_owners(parameter: str) -> Iterator[str]:
    """`a.b` and `a` of `a.b.weight`."""
    while parameter := parameter.rpartition(".")[0]:
        yield parameter


def find_recomputed(nets: Sequence[TrainedNet], patterns: Sequence[str]) -> Iterator[str]:
    """The blocks that patterns name; those inside of others that they name are left out."""
    named = [p for p in list_blocks(nets) if any(path_matches(p, q) for q in patterns)]
    for path in named:
        if not any(path.startswith(f"{other}.") for other in named):
            yield path
