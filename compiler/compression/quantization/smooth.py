"""SmoothQuant: moves outliers of activations into the weights that read them, without any change
of what a net computes (Xiao et al. 2022, https://arxiv.org/abs/2211.10438)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.linear import Dense

Array = NDArray[Any]

SMALLEST = 1e-5
"""The least magnitude that a scale is computed from: channels may be zero."""


@dataclass(frozen=True)
class Smoothing:
    """A norm and the dense layers that alone read it, with the scale of each of its channels."""

    norm: Node
    readers: tuple[Node, ...]
    scale: Array


def smooth_net(
    net: WeightedNet, batches: Sequence[Mapping[str, Array]], strength: float
) -> tuple[WeightedNet, list[Smoothing]]:
    """The same function with activations behind norms that are easier to round.

    Channel j of a norm is divided by s_j = max|x_j|^strength / max|w_j|^(1 - strength), in the
    norm's own weight and bias, and column j of the weights that read it is multiplied by it.

    Args:
        net: the net.
        batches: calibration inputs, for the largest magnitude of each channel.
        strength: from 0, all scale to the weights' advantage, to 1, to the activations'.
    """
    sites = find_sites(net.graph)
    peaks = _measure_peaks(net, batches, [norm.output.name for norm, _ in sites])
    weights = dict(net.weights)
    done = []
    for norm, readers in sites:
        matrices = [weights[_weight(node)] for node in readers]
        largest = np.max([np.abs(m).max(axis=0) for m in matrices], axis=0)
        scale = find_scale(peaks[norm.output.name], largest, strength)
        for value in norm.inputs[1:]:
            assert value is not None, "weights are never left out"
            weights[value.name] = (weights[value.name] / scale).astype(weights[value.name].dtype)
        for path in dict.fromkeys(map(_weight, readers)):
            weights[path] = (weights[path] * scale).astype(weights[path].dtype)
        done.append(Smoothing(norm, readers, scale))
    return WeightedNet(net.graph, weights), done


def find_scale(peaks: Array, largest: Array, strength: float) -> Array:
    """What each channel is divided by, from the largest magnitudes of activations and weights."""
    up = np.maximum(peaks, SMALLEST) ** strength
    down = np.maximum(largest, SMALLEST) ** (1 - strength)
    scale: Array = np.maximum(up / down, SMALLEST).astype(np.float32)
    return scale


def find_sites(graph: Graph) -> list[tuple[Node, tuple[Node, ...]]]:
    """Norms over the last axis with a weight of their own, all of whose readers are dense layers
    with weights that nothing else reads."""
    outputs = {o.value.name for o in graph.outputs}
    found = []
    for node in graph.nodes:
        readers = graph.users.get(node.outputs[0].name, ())
        if not _is_movable(graph, node) or node.outputs[0].name in outputs or not readers:
            continue
        if all(_reads_alone(graph, node, reader, readers) for reader in readers):
            found.append((node, readers))
    return found


def _is_movable(graph: Graph, node: Node) -> bool:
    values = [v for v in node.inputs[1:] if v is not None] if node.op.scales_last else []
    alone = (v.name in graph.parameter and len(graph.users[v.name]) == 1 for v in values)
    return node.op.scales_last and all(alone)


def _reads_alone(graph: Graph, norm: Node, reader: Node, readers: Sequence[Node]) -> bool:
    """Whether a layer reads a norm's result as its input, with a weight that only readers of
    this norm have."""
    weight = reader.inputs[1] if len(reader.inputs) > 1 else None
    if not isinstance(reader.op, Dense) or weight is None or weight.name not in graph.parameter:
        return False
    if norm.output in reader.inputs[1:]:
        return False
    return all(user in readers for user in graph.users[weight.name])


def _weight(node: Node) -> str:
    value = node.inputs[1]
    assert value is not None, "a dense layer has a weight"
    return value.name


def _measure_peaks(
    net: WeightedNet, batches: Sequence[Mapping[str, Array]], names: Sequence[str]
) -> dict[str, Array]:
    """The largest magnitude of each entry of the last axis of values."""
    peaks: dict[str, Array] = {}
    wanted = set(names)

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            if value.name in wanted:
                peak = np.abs(array.reshape(-1, array.shape[-1])).max(axis=0)
                peaks[value.name] = np.maximum(peaks.get(value.name, 0), peak)

    if wanted:
        for batch in batches:
            evaluate(net.graph, net.weights, batch, watch=watch)
    return peaks
