"""Weights that a file trains, and that no objective of it reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from compiler.elaborate.items.training_lints import find_needed
from compiler.ir.graph import Graph, Output
from compiler.ir.weights import match_paths
from compiler.program.train import Train, TrainedNet
from compiler.report.diagnostics import Message
from compiler.report.messages.learning_lints import unreached_weights


def find_unreached(trains: Mapping[str, Train]) -> Iterator[Message]:
    """A message for each output whose layers no loss depends on: they are in the optimizer, and
    stay as they start. What is frozen, or comes from a file, is meant to."""
    settled = {key for train in trains.values() for key in _find_settled(train)}
    for train in filter(lambda train: train.learns, trains.values()):
        for net in train.nets:
            for output, paths in _find_heads(net, settled):
                settled |= {(net.net.model, path) for path in paths}
                yield unreached_weights(train.span, output.name, paths, output.origin)


def _find_settled(train: Train) -> Iterator[tuple[str, str]]:
    """The weights, by model and path, that a train has a gradient for, or is to leave alone."""
    needed = find_needed(train)
    frozen = set(match_paths(train.trainable, train.freeze))
    for net in train.nets:
        for parameter in net.net.graph.parameters:
            path = net.prefix + parameter.path
            kept = net.net.loads or parameter.path in net.net.frozen or not parameter.trainable
            if kept or path in needed or path in frozen:
                yield net.net.model, parameter.path


def _find_heads(
    net: TrainedNet, settled: Collection[tuple[str, str]]
) -> Iterator[tuple[Output, tuple[str, ...]]]:
    """Outputs, and the weights left over that they depend on; each weight once."""
    graph, told = net.net.graph, set[str]()
    for output in graph.outputs:
        below = _find_below(graph, output)
        paths = tuple(
            parameter.path
            for parameter in graph.parameters
            if parameter.value.name in below
            and parameter.path not in told
            and (net.net.model, parameter.path) not in settled
        )
        told |= set(paths)
        if paths:
            yield output, paths


def _find_below(graph: Graph, output: Output) -> set[str]:
    """The values that an output depends on."""
    below = {output.value.name}
    for node in reversed(graph.nodes):
        if any(value.name in below for value in node.outputs):
            below |= {value.name for value in node.inputs if value is not None}
    return below
