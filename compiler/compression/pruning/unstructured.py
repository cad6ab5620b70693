"""Zeros in weights: the least important ones anywhere, or n of every m (2:4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from compiler.compression.low_rank.layers import walk_nodes
from compiler.compression.pruning.groups import Channels
from compiler.ir.evaluate import Array
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.layers import LinearLayer


def find_weights(graph: Graph, channels: Channels) -> dict[str, int]:
    """The weights that layers sum products with, by path, and the axis that is summed over."""
    trained = {p.path for p in graph.parameters if p.trainable and p.value.type.rank >= 2}
    reads = (weight for _, weight in channels.readings if weight is not None)
    found = {path: axis for _, path, axis in reads if path in trained}
    # What channels in groups are read by is no reading of any one of them.
    for weight, axis, inputs in _list_grouped(graph):
        if inputs > 1 and weight in trained:
            found.setdefault(weight, axis)
    return found


def find_depthwise(graph: Graph) -> list[str]:
    """The weights of depthwise convolutions, by path: they sum over no channels."""
    return [weight for weight, _, inputs in _list_grouped(graph) if inputs == 1]


def _list_grouped(graph: Graph) -> Iterator[tuple[str, int, int]]:
    """The weights of convolutions in groups, by path; the axis of their inputs, and how many inputs
    a group has."""
    for node, _ in walk_nodes(graph):
        op = node.op
        if not isinstance(op, LinearLayer) or op.groups == 1:
            continue
        weight = node.inputs[1]
        sizes = weight.type.known_shape if weight is not None else None
        if weight is None or sizes is None or weight.name not in graph.parameter:
            continue
        if op.made_axis == 0:
            yield weight.name, 1, sizes[1]
        else:
            yield weight.name, 0, sizes[0] // op.groups


def drop_least(figures: Mapping[str, Array], share: float, *, globally: bool) -> dict[str, Array]:
    """Truth values for each weight: which of its numbers stay if that share of all goes.

    Globally, the figures of each weight are taken relative to their mean, and the least of all
    go; a weight keeps one number at least. Otherwise every weight loses the same share.
    """
    if not globally or not figures:
        return {path: _keep_most(array, share) for path, array in figures.items()}
    relative = {
        path: array / mean if (mean := float(array.mean())) > 0 else array
        for path, array in figures.items()
    }
    pooled = np.concatenate([array.ravel() for array in relative.values()])
    kept = np.ones(len(pooled), bool)
    kept[np.argsort(pooled, kind="stable")[: round(share * len(pooled))]] = False
    masks, start = {}, 0
    for path, array in relative.items():
        mask = kept[start : start + array.size].reshape(array.shape)
        start += array.size
        mask.flat[np.argmax(array)] = True
        masks[path] = mask
    return masks


def count_dropped(sizes: Mapping[str, int], share: float, *, globally: bool) -> dict[str, int]:
    """How many numbers of each weight `drop_least` takes, by path; globally, how many it may."""
    if not globally:
        return {path: _count_least(size, share) for path, size in sizes.items()}
    most = round(share * sum(sizes.values()))
    return {path: min(most, size - 1) for path, size in sizes.items()}


def _count_least(size: int, share: float) -> int:
    return min(round(share * size), size - 1)


def _keep_most(figures: Array, share: float) -> Array:
    """All but the share of the least; of equal ones the later stay."""
    count = _count_least(figures.size, share)
    kept = np.ones(figures.size, bool)
    kept[np.argsort(figures, axis=None, kind="stable")[:count]] = False
    return kept.reshape(figures.shape)


def keep_pattern(figures: Array, axis: int, kept: int, of: int) -> Array | None:
    """Truth values: the `kept` largest of every `of` neighbours along an axis; None where the
    axis is no multiple of `of`."""
    if figures.shape[axis] % of:
        return None
    lines = np.moveaxis(figures, axis, -1)
    blocks = lines.reshape(-1, of)
    mask = np.zeros(blocks.shape, bool)
    best = np.argsort(-blocks, axis=1, kind="stable")[:, :kept]
    np.put_along_axis(mask, best, values=True, axis=1)
    return np.moveaxis(mask.reshape(lines.shape), -1, axis)


def put_zeros(net: WeightedNet, masks: Mapping[str, Array]) -> WeightedNet:
    """The net with zeros where a mask is false."""
    zeroed = {
        path: np.where(mask, net.weights[path], 0).astype(net.weights[path].dtype)
        for path, mask in masks.items()
    }
    return WeightedNet(net.graph, {**net.weights, **zeroed})


def read_pattern(text: str) -> tuple[int, int] | None:
    """`"2:4"` as (2, 4): how many of how many stay. None for anything else."""
    kept, colon, of = text.partition(":")
    if not (colon and kept.isdecimal() and of.isdecimal()):
        return None
    numbers = int(kept), int(of)
    return numbers if 1 <= numbers[0] < numbers[1] else None
