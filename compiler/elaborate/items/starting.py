"""An analysis: which weights start at zero and stay there, because their gradient is zero as long
as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from compiler.ir.channels import ZeroChannels
from compiler.ir.graph import Graph, Node, Value
from compiler.ops.layers import LinearLayer
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType

ALL = frozenset({0})
"""A tensor as a single channel: it is zero or it is not."""


def find_stuck(step: Graph, losses: Collection[str], zero: Mapping[str, Value]) -> Collection[str]:
    """Those of the weights, which start at zero, that no step of an optimizer moves."""
    still = dict(zero)
    while still:
        values = _find_zeros(step, still)
        moved = still.keys() & _find_moved(step, losses, values)
        if not moved:
            break
        still = {name: value for name, value in still.items() if name not in moved}
    return tuple(still)


def _find_zeros(step: Graph, weights: Collection[str]) -> set[str]:
    """The values that are zero, whatever the data hold, where these weights are."""
    zero = set(weights)
    for node in step.nodes:
        if _makes_zeros(node, zero):
            zero |= {v.name for v in node.outputs}
    return zero


def _makes_zeros(node: Node, zero: set[str]) -> bool:
    names = [v.name for v in node.inputs if v is not None]
    if zero.isdisjoint(names):
        return False
    if isinstance(node.op, LinearLayer):
        x, weight, *bias = names
        return (x in zero or weight in zero) and zero.issuperset(bias)
    if node.op.moves or node.op.converts:
        return zero.issuperset(names)
    return bool(node.op.find_zeros(_describe(node, zero)))


def _describe(node: Node, zero: set[str]) -> ZeroChannels:
    return ZeroChannels(
        names=[v.name if v is not None else None for v in node.inputs],
        types=[_widen(v.type) if v is not None else None for v in node.inputs],
        zero=dict.fromkeys(zero, ALL),
        zero_along=lambda name, axis: ALL if name in zero else frozenset(),
        channels_along=lambda name, axis: np.zeros(1, np.int64),
        weights={},
        tolerance=0.0,
    )


def _widen(type: TensorType) -> TensorType:
    """The type; a number is a channel too."""
    return type if type.rank else TensorType(type.dtype, (Dim.of(1),))


def _find_moved(step: Graph, losses: Collection[str], zero: set[str]) -> set[str]:
    """The values whose gradient is not zero."""
    moved = {o.value.name for o in step.outputs if o.name in losses}
    for node in reversed(step.nodes):
        if node.op.is_flat or not any(v.name in moved for v in node.outputs):
            continue
        for index, value in enumerate(node.inputs):
            if value is not None and not _kills(node, index, zero):
                moved.add(value.name)
    return moved


def _kills(node: Node, index: int, zero: set[str]) -> bool:
    """Whether the gradient of an input is zero, whatever that of the results is."""
    factors = (0, 1) if isinstance(node.op, LinearLayer) else node.op.zeroed_by
    others = (i for i in factors if i != index)
    if isinstance(node.op, LinearLayer) and index > 1:
        return False
    if any((v := node.inputs[i]) is not None and v.name in zero for i in others):
        return True
    value = node.inputs[index]
    return node.op.flat_at_zero and value is not None and value.name in zero
