"""Scales of rounding that are learned with the weights (LSQ), and fixed again afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import FakeQuantize

SMALLEST = 1e-12
"""No step of rounding is smaller after training, or none at all."""


def has_scales(graph: Graph) -> bool:
    """Whether a net rounds to steps that can be learned."""
    return any(isinstance(node.op, FakeQuantize) for node in graph.nodes)


def let_scales_learn(net: WeightedNet) -> WeightedNet:
    """The net with the scales of its rounding as parameters that have gradients; the net itself
    where it rounds nothing."""
    nodes = []
    scales: set[str] = set()
    for node in net.graph.nodes:
        if isinstance(node.op, FakeQuantize):
            node = replace(node, op=replace(node.op, learned=True))
            scales |= {value.name for value in node.inputs[1:2] if value is not None}
        nodes.append(node)
    if not scales:
        return net
    parameters = tuple(
        replace(p, trainable=True) if p.path in scales else p for p in net.graph.parameters
    )
    return replace(net, graph=replace(net.graph, nodes=tuple(nodes), parameters=parameters))


def stop_scales(net: WeightedNet, graph: Graph) -> WeightedNet:
    """The numbers of a net whose scales learned, with the graph in which they are fixed."""
    weights = dict(net.weights)
    for parameter in net.graph.parameters:
        if parameter.trainable and not graph.parameter[parameter.path].trainable:
            weights[parameter.path] = np.maximum(weights[parameter.path], SMALLEST)
    return WeightedNet(graph, weights)
