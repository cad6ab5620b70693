"""An analysis: which channels of which values are zero, whatever the inputs of the net are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compiler.compression.pruning.axes import Place
from compiler.compression.pruning.groups import Channels
from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.graph import Node, Value
from compiler.ir.operands import Array
from compiler.ir.weighted_net import WeightedNet


def find_zero_entries(
    net: WeightedNet, channels: Channels, tolerance: float
) -> Mapping[Place, Numbers]:
    """For each axis of each value outside of loops, the channels (`Channels.channel_of`) all of
    whose entries are zero. What an op does not say of its results is taken not to be zero."""
    finder = _Finder(net, channels, tolerance)
    for parameter in net.graph.parameters:
        finder.add_parameter(parameter.value)
    for node in net.graph.nodes:
        finder.add_node(node)
    return finder.found


class _Finder:
    def __init__(self, net: WeightedNet, channels: Channels, tolerance: float) -> None:
        self.net = net
        self.channels = channels
        self.tolerance = tolerance
        self.found: dict[Place, Numbers] = {}
        self.zero: dict[str, Numbers] = {}

    def add_parameter(self, value: Value) -> None:
        """Notes the channels along each axis of a parameter that are zero in it. One that stands
        on two axes (the weight of a layer around which there is a shortcut) is zero in the whole
        if it is on both."""
        array = np.asarray(self.net.weights[value.name])
        zero: Numbers = frozenset()
        alive: Numbers = frozenset()
        for axis in range(array.ndim):
            numbers = self.numbers(value.name, axis)
            if len(numbers) == array.shape[axis]:
                found = collect_zeros(numbers, array, axis, self.tolerance)
                self.found["", value.name, axis] = found
                zero |= found
                alive |= frozenset(numbers.tolist()) - found
        self.zero[value.name] = zero - alive

    def add_node(self, node: Node) -> None:
        """Notes the channels of a node's results that are zero."""
        zero = node.op.find_zeros(self.describe(node))
        for value in node.outputs:
            present: set[int] = set()
            for axis in range(value.type.rank):
                numbers = frozenset(self.numbers(value.name, axis).tolist())
                self.found["", value.name, axis] = numbers & zero
                present |= numbers & zero
            self.zero[value.name] = frozenset(present)

    def numbers(self, name: str, axis: int) -> Array:
        """The channels along an axis of a value."""
        return self.channels.channel_of(("", name, axis))

    def zero_along(self, name: str, axis: int) -> Numbers:
        """Those of them all of whose entries are zero."""
        return self.found.get(("", name, axis), frozenset())

    def describe(self, node: Node) -> ZeroChannels:
        """What the op of a node is told of its inputs."""
        return ZeroChannels(
            names=[v.name if v is not None else None for v in node.inputs],
            types=node.types,
            zero=self.zero,
            zero_along=self.zero_along,
            channels_along=self.numbers,
            weights=self.net.weights,
            tolerance=self.tolerance,
        )


def collect_zeros(numbers: Array, array: Array, axis: int, tolerance: float) -> frozenset[int]:
    """The channels, by number, all of whose entries along an axis are zero."""
    others = tuple(a for a in range(array.ndim) if a != axis)
    zero = (np.abs(array) <= tolerance).all(axis=others)
    return frozenset(numbers[zero].tolist()) - frozenset(numbers[~zero].tolist())
