"""An analysis: which channels of which values are zero, whatever the inputs of the net are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compiler.compression.pruning.axes import Place
from compiler.compression.pruning.groups import Channels
from compiler.ir.coupling import counts_groups
from compiler.ir.evaluate import Array
from compiler.ir.graph import Node, Op, Value
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.arithmetic import Div, Mul
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.global_pooling import AdaptiveAvgPool, GlobalAvgPool, GlobalMaxPool
from compiler.ops.group_normalization import GroupNorm, InstanceNorm
from compiler.ops.images import PixelShuffle, PixelUnshuffle
from compiler.ops.joining import Chunk, Concat, Split, Stack, Unbind
from compiler.ops.linear import Dense, Embedding
from compiler.ops.linear_algebra import MatMul
from compiler.ops.normalization import BatchNorm
from compiler.ops.pooling import AvgPool, MaxPool
from compiler.ops.reduction import Mean, Sum
from compiler.ops.regularization import Dropout
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.shaping import Expand, Permute, Squeeze, Transpose, Unsqueeze
from compiler.types.tensor import DType

Numbers = frozenset[int]

MOVES = (
    *(AdaptiveAvgPool, AvgPool, Chunk, Concat, Dropout, Expand, Flatten, GlobalAvgPool),
    *(GlobalMaxPool, MaxPool, Mean, Permute, PixelShuffle, PixelUnshuffle, Reshape, Split),
    *(Squeeze, Stack, Sum, Transpose, Unbind, Unsqueeze),
)
"""Ops of which a channel of the result holds means, maxima or copies of the same channel's
entries in their operands. (A max pooling's padding never wins alone.)"""


def find_zero_entries(
    net: WeightedNet, channels: Channels, tolerance: float
) -> Mapping[Place, Numbers]:
    """For each axis of each value outside of loops, the channels (`Channels.channel_of`) all of
    whose entries are zero. What an op does that is not known here is taken not to be zero."""
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
            numbers = self.numbers(value, axis)
            if len(numbers) == array.shape[axis]:
                found = collect_zeros(numbers, array, axis, self.tolerance)
                self.found["", value.name, axis] = found
                zero |= found
                alive |= frozenset(numbers.tolist()) - found
        self.zero[value.name] = zero - alive

    def add_node(self, node: Node) -> None:
        """Notes the channels of a node's results that are zero."""
        zero = self.find(node)
        for value in node.outputs:
            present: set[int] = set()
            for axis in range(value.type.rank):
                numbers = frozenset(self.numbers(value, axis).tolist())
                self.found["", value.name, axis] = numbers & zero
                present |= numbers & zero
            self.zero[value.name] = frozenset(present)

    def numbers(self, value: Value, axis: int) -> Array:
        """The channels along an axis."""
        return self.channels.channel_of(("", value.name, axis))

    def all_numbers(self, value: Value) -> Numbers:
        """The channels along any axis of a value."""
        axes = range(value.type.rank)
        return frozenset(n for a in axes for n in self.numbers(value, a).tolist())

    def of(self, node: Node, index: int) -> Numbers:
        """The channels of an input that are zero; what is left out is zero everywhere."""
        value = node.inputs[index] if index < len(node.inputs) else None
        return self.zero.get(value.name, frozenset()) if value is not None else frozenset()

    def find(self, node: Node) -> Numbers:
        """The channels that are zero in what a node makes."""
        match node.op:
            case Mul():
                return self.of(node, 0) | self.of(node, 1)
            case Div():
                return self.of(node, 0)
            case op if op.broadcasts:
                return self.join(node) if _keeps_zero(op, node) else frozenset()
            case Conv() | Dense():
                return self.made(node, 0)
            case Embedding():
                return self.made(node, 1)
            case ConvTranspose(groups=groups):
                whole = groups > 1 and counts_groups(_count_inputs(node), groups)
                return self.made(node, 0 if whole else 1)
            case BatchNorm():
                return self.normed(node, node.op)
            case GroupNorm(affine=True) | InstanceNorm(affine=True):
                return self.of(node, 2) & (self.of(node, 0) | self.of(node, 1))
            case GroupNorm() | InstanceNorm():
                return self.of(node, 0)
            case ScaledDotProductAttention():
                return self.of(node, 2)
            case MatMul():
                return self.of(node, 0) | self.of(node, 1)
            case op if isinstance(op, MOVES):
                return self.join(node)
        return frozenset()

    def join(self, node: Node) -> Numbers:
        """The channels that are zero in every operand that has them."""
        zero: Numbers = frozenset()
        alive: Numbers = frozenset()
        for index, value in enumerate(node.inputs):
            if value is not None:
                own = self.of(node, index)
                zero |= own
                alive |= self.all_numbers(value) - own
        return zero - alive

    def made(self, node: Node, axis: int) -> Numbers:
        """The channels that a layer's weights make zero: no weight along an axis of them, and no
        bias."""
        weight, *rest = node.inputs[1:]
        assert weight is not None, "a layer has a weight"
        zero = self.found.get(("", weight.name, axis), frozenset())
        return zero & self.of(node, 2) if rest else zero

    def normed(self, node: Node, op: BatchNorm) -> Numbers:
        """The channels that a batch norm makes zero: scale and shift are, or input and what is
        added to it are."""
        last = len(node.inputs) - 1
        value = node.inputs[last]
        mean, variance = (self.array(node, i) for i in (last - 1, last))
        if value is None or mean is None or variance is None:
            return frozenset()
        scale = np.ones_like(mean) / np.sqrt(variance + op.eps)
        shift = -mean * scale
        made: Numbers = frozenset()
        if op.affine:
            weight, bias = self.array(node, 1), self.array(node, 2)
            if weight is None or bias is None:
                return frozenset()
            made = self.of(node, 1) & self.of(node, 2)
            shift = shift * weight + bias
        numbers = self.numbers(value, 0)
        still = frozenset(numbers[np.abs(shift) <= self.tolerance].tolist())
        return made | (self.of(node, 0) & still)

    def array(self, node: Node, index: int) -> Array | None:
        """The numbers of an input that is a parameter."""
        value = node.inputs[index]
        found = self.net.weights.get(value.name) if value is not None else None
        return None if found is None else np.asarray(found, np.float64)


def _count_inputs(node: Node) -> int:
    """The channels of a convolution's input."""
    value = node.inputs[0]
    assert value is not None, "a convolution has an input"
    return value.type.shape[1].known or 0


def _keeps_zero(op: Op, node: Node) -> bool:
    """Whether an op that acts element by element makes 0 of zeros."""
    values = [v for v in node.inputs if v is not None]
    if any(v.type.dtype is DType.BOOL for v in values):
        return False
    with np.errstate(all="ignore"):
        (made,) = op.evaluate(*(np.zeros((), v.type.dtype.numpy) for v in values))
    return bool(np.asarray(made) == 0)


def collect_zeros(numbers: Array, array: Array, axis: int, tolerance: float) -> frozenset[int]:
    """The channels, by number, all of whose entries along an axis are zero."""
    others = tuple(a for a in range(array.ndim) if a != axis)
    zero = (np.abs(array) <= tolerance).all(axis=others)
    return frozenset(numbers[zero].tolist()) - frozenset(numbers[~zero].tolist())
