"""Cross-layer equalization: moves scale from the channels of one layer to those of the next.

    W2 · relu(W1 x + b1)  =  (W2 S) · relu(S⁻¹ W1 x + S⁻¹ b1),  S = diag(√(r1 / r2))

where r1 and r2 are the largest magnitudes of a channel in the two weights (Nagel et al. 2019,
Data-Free Quantization Through Weight Equalization and Bias Correction). The net computes the same;
a weight whose channels have one scale loses less by rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.quantization.placement import Layer
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet

Array = NDArray[Any]
Pair = tuple[Layer, Layer]

ROUNDS = 20
CONVERGED = 1e-3
"""Equalizing one pair disturbs its neighbours, so all are gone through until none moves."""


def equalize_layers(
    net: WeightedNet, layers: Collection[Layer], *, everywhere: bool
) -> tuple[WeightedNet, tuple[Pair, ...]]:
    """The net with equal channels, and the pairs of layers that were changed.

    Args:
        net: as it computes in fractions, with batch norms folded.
        layers: those that will compute in integers.
        everywhere: also pairs without a depthwise convolution, which only helps where a weight
            has one scale for all its channels.
    """
    pairs = tuple(
        (first, second)
        for first, second in _find_pairs(net.graph, layers)
        if everywhere or first.is_depthwise or second.is_depthwise
    )
    weights = dict(net.weights)
    for _ in range(ROUNDS):
        moved = [_equalize(weights, first, second) for first, second in pairs]
        if max(moved, default=0.0) < CONVERGED:
            break
    return WeightedNet(net.graph, weights), pairs


def _find_pairs(graph: Graph, layers: Collection[Layer]) -> Iterator[Pair]:
    """Layers that follow each other with nothing between them that minds a positive factor."""
    readers = {v.name: layer for layer in layers if (v := layer.node.inputs[0]) is not None}
    outputs = {o.value.name for o in graph.outputs}
    for first in layers:
        value = first.node.output
        while len(users := graph.users.get(value.name, ())) == 1 and value.name not in outputs:
            second = readers.get(value.name)
            if second is not None and users[0] is second.node:
                if _fits(graph, first, second):
                    yield first, second
                break
            # Not ReLU6: relu6(x / s) s is a clip at 6 s, another one for each channel. Nagel et al.
            # put ReLU there, which is another function and wants training afterwards.
            if not users[0].op.scales_with_operand:
                break
            value = users[0].output


def _fits(graph: Graph, first: Layer, second: Layer) -> bool:
    """Whether output channels of one are input channels of the other, one by one, and no other
    layer shares the weights."""
    if first.op.channel_axis != second.op.channel_axis:
        return False
    plain = second.op.groups == 1 or second.is_depthwise
    paths = [p for p in (first.weight, first.bias, second.weight) if p is not None]
    return plain and all(len(graph.users[path]) == 1 for path in paths)


def _equalize(weights: dict[str, Array], first: Layer, second: Layer) -> float:
    """Equalizes one pair in place; by how much it moved."""
    left, right = weights[first.weight], weights[second.weight]
    axis = 0 if second.is_depthwise else 1
    one = _largest(left, 0)
    two = _largest(right, axis)
    if len(two) != len(one):  # a depthwise layer with several filters for each channel
        two = two.reshape(len(one), -1).max(axis=1)
    alive = (one > 0) & (two > 0)
    scale = np.where(alive, np.sqrt(one / np.where(two > 0, two, 1.0)), 1.0).astype(left.dtype)
    scale = np.where(scale > 0, scale, 1.0).astype(left.dtype)
    weights[first.weight] = left / _spread(scale, 0, left.ndim)
    if first.bias is not None:
        weights[first.bias] = weights[first.bias] / scale
    count = right.shape[axis] // len(scale)
    weights[second.weight] = right * _spread(np.repeat(scale, count), axis, right.ndim)
    return float(np.abs(scale - 1.0).max())


def _largest(weight: Array, axis: int) -> Array:
    others = tuple(a for a in range(weight.ndim) if a != axis)
    found: Array = np.abs(weight).max(axis=others)
    return found


def _spread(scale: Array, axis: int, rank: int) -> Array:
    return scale.reshape([-1 if a == axis else 1 for a in range(rank)])
