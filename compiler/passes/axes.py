"""An analysis: which entries of a node's inputs the entries along an axis of its output need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.ir.graph import Node, Op, Value
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.group_normalization import RmsNorm
from compiler.ops.joining import Chunk, Concat, Split
from compiler.ops.linear import Dense, Embedding
from compiler.ops.linear_algebra import MatMul
from compiler.ops.normalization import LayerNorm
from compiler.ops.quantization import FakeQuantize
from compiler.ops.regularization import Dropout
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.shaping import Permute, Transpose
from compiler.ops.softmax import LogSoftmax, Softmax
from compiler.types.dims import Dim

Trace = tuple[int | None, ...]
"""For each input the axis whose entry i alone the output's entry i needs; None for an input
that every entry needs whole."""


def trace_axis(node: Node, axis: int) -> Trace | None:
    """Where the entries along an axis of the outputs come from, or None where an entry needs
    more than one entry of an input that has them."""
    shape = node.outputs[0].type.shape
    rank = len(shape)
    whole: Trace = (None,) * (len(node.inputs) - 1)
    match node.op:
        case op if op.broadcasts:
            return tuple(_align(value, axis, rank) for value in node.inputs)
        case Dense() | Embedding() | LayerNorm() | RmsNorm():
            return (axis, *whole) if axis < rank - _count_mixed(node.op) else None
        case Dropout():
            return (axis,)
        case FakeQuantize(_, own):
            return (axis, *whole) if own is None or own % rank != axis else (axis, 0, 0)
        case Softmax(over) | LogSoftmax(over) | Chunk(_, over) | Split(_, over):
            return (axis,) if axis != over % rank else None
        case Concat(over):
            return (axis,) * len(node.inputs) if axis != over % rank else None
        case Transpose(a, b):
            order = {a % rank: b % rank, b % rank: a % rank}
            return (order.get(axis, axis),)
        case Permute(axes):
            return (axes[axis] % rank,)
        case ScaledDotProductAttention():
            return _trace_attention(node, axis)
        case MatMul():
            return _trace_product(node, axis)
        case Reshape() | Flatten():
            source = _trace_reshape(node, axis)
            return None if source is None else (source,)
    return None


def cut_op(op: Op, shape: Sequence[Dim]) -> Op:
    """The op for inputs cut along what `trace_axis` found; `shape` is what becomes of the
    output's shape. Only ops that name their output's shape change."""
    return replace(op, shape=tuple(shape)) if isinstance(op, Reshape) else op


def _align(value: Value | None, axis: int, rank: int) -> int | None:
    """The axis of a broadcast operand, None where it has none or only one entry along it."""
    if value is None:
        return None
    own = axis - (rank - value.type.rank)
    return own if own >= 0 and value.type.shape[own] != 1 else None


def _count_mixed(op: Op) -> int:
    """How many of the last axes a layer mixes."""
    return op.axes if isinstance(op, LayerNorm) else 1


def _trace_attention(node: Node, axis: int) -> Trace | None:
    """Each query has its own row of the result, unless its place among the others matters;
    columns are those of the values; batch and heads are apart."""
    op, rank = node.op, node.output.type.rank
    assert isinstance(op, ScaledDotProductAttention), "the rule of this op alone"
    mask = node.inputs[3]
    if axis == rank - 1:
        return None, None, axis, None
    if axis == rank - 2:
        return None if op.causal else (axis, None, None, _align(mask, axis, rank))
    if axis == rank - 3 and op.grouped:
        return None
    return axis, axis, axis, _align(mask, axis, rank)


def _trace_product(node: Node, axis: int) -> Trace | None:
    """Rows come from the left factor, columns from the right one, and both are stacked alike."""
    left, right = node.inputs
    assert left is not None, "a product has a left factor"
    assert right is not None, "a product has a right factor"
    rank = node.output.type.rank
    if left.type.rank < 2 or right.type.rank < 2:
        return None
    if axis == rank - 2:
        return left.type.rank - 2, None
    if axis == rank - 1:
        return None, right.type.rank - 1
    return _align(left, axis, rank), _align(right, axis, rank)


def _trace_reshape(node: Node, axis: int) -> int | None:
    """The same axis, where all sizes before it, or all behind it, stay."""
    value = node.inputs[0]
    assert value is not None, "a reshape has an input"
    source, target = value.type.shape, node.outputs[0].type.shape
    if source[: axis + 1] == target[: axis + 1]:
        return axis
    behind = len(target) - axis
    if source[-behind:] == target[-behind:] and behind <= len(source):
        return len(source) - behind
    return None
