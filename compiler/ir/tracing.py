"""Which entries of an op's inputs the entries along an axis of its results need: rules that slices
and stretches of rows are moved by."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.operands import Types
from compiler.types.tensor import TensorType

Trace = tuple[int | None, ...]
"""For each input the axis whose entry i alone the result's entry i needs; None for an input
that every entry needs whole."""


def shift_axis(axis: int) -> int:
    """The axis once rows stand before it: counted from the front it is one further."""
    return axis + 1 if axis >= 0 else axis


def align_axis(operand: TensorType | None, axis: int, rank: int) -> int | None:
    """The axis of a broadcast operand, None where it has none or only one entry along it."""
    if operand is None:
        return None
    own = axis - (rank - operand.rank)
    return own if own >= 0 and operand.shape[own] != 1 else None


def trace_leading(
    axis: int, inputs: Types, outputs: Sequence[TensorType], mixed: int = 1
) -> Trace | None:
    """The trace of an op that mixes the last axes of its first input, so many of them, with
    weights."""
    return (axis, *[None] * (len(inputs) - 1)) if axis < outputs[0].rank - mixed else None


def trace_around(
    axis: int, inputs: Types, outputs: Sequence[TensorType], mixed: int
) -> Trace | None:
    """The trace of an op that mixes the entries along one axis, which all of its inputs have."""
    return (axis,) * len(inputs) if axis != mixed % outputs[0].rank else None
