"""Axes as specs write them (-1 is the last) and as graphs need them, with the faults of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from compiler.ir.graph import Op
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Types
from compiler.ir.tracing import Trace, trace_around
from compiler.report.diagnostics import Fault, Label, Where
from compiler.report.messages.tensor_operands import size_unknown, too_many_results, wrong_dtype
from compiler.report.messages.tensor_shapes import no_such_axis, repeated_axis, wrong_rank
from compiler.types.tensor import DType, TensorType


def operand_type(types: Types, index: int) -> TensorType:
    """The type of an operand that is never left out."""
    found = types[index]
    assert found is not None, f"operand {index} is required"
    return found


def resolve_axis(
    op: str,
    axis: int,
    type: TensorType,
    *,
    added: int = 0,
    operand: int = 0,
    option: str = "axis",
) -> int:
    """The axis counted from 0.

    Args:
        op: the function's name, for the message.
        axis: counted from 0, or below 0 from the end.
        type: whose axis it is.
        added: how many axes the result has beyond the operand's, if it is an axis of the result.
        operand: which operand has that type.
        option: the option that names it.

    Raises:
        Fault: there is no such axis.
    """
    rank = type.rank + added
    if -rank <= axis < rank:
        return axis % rank
    raise Fault(
        lambda where: no_such_axis(
            where.argument(option), op, axis, type, added, (where.operand(operand),)
        )
    )


def resolve_axes(op: str, axes: int | tuple[int, ...] | None, type: TensorType) -> tuple[int, ...]:
    """The axes counted from 0, in order; all of them for None.

    Raises:
        Fault: an axis does not exist or is named twice.
    """
    if axes is None:
        return tuple(range(type.rank))
    found = [resolve_axis(op, a, type) for a in ((axes,) if isinstance(axes, int) else axes)]
    twice = next((a for i, a in enumerate(found) if a in found[:i]), None)
    if twice is not None:
        raise Fault(lambda where: repeated_axis(where.argument("axis"), op, twice, type))
    return tuple(sorted(found))


def count_axes(axes: int | tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    """The axes of a shape that was checked before, counted from 0, in order."""
    if axes is None:
        return tuple(range(rank))
    return tuple(sorted(a % rank for a in ((axes,) if isinstance(axes, int) else axes)))


class AlongAxis(Op):
    """Base of ops that mix entries along one axis only, which all of their operands have."""

    row_axes: ClassVar[tuple[str, ...] | None] = ("axis",)
    axis: int

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return trace_around(axis, inputs, outputs, self.axis)

    def act_on_matrix(self) -> Op:
        return replace(self, axis=-1)  # type: ignore[type-var]


def places(where: Where, count: int) -> tuple[Label, ...]:
    """Where the first operands were made."""
    return tuple(where.operand(index) for index in range(count))


def need_rank(op: str, type: TensorType, least: int, *, operand: int = 0) -> None:
    """Raises `Fault` if the tensor has fewer axes."""
    if type.rank < least:
        count = "one axis" if least == 1 else f"{least} axes"
        raise Fault(
            lambda where: wrong_rank(
                where.call, op, f"a tensor of at least {count}", type, (where.operand(operand),)
            )
        )


def need_float(op: str, type: TensorType, *, operand: int = 0) -> None:
    """Raises `Fault` if the elements are not floating-point."""
    if not type.dtype.is_float:
        raise Fault(
            lambda where: wrong_dtype(
                where.call,
                op,
                "a floating-point tensor",
                type,
                (where.operand(operand),),
                "convert it: `cast(…, f32)`",
            )
        )


def need_single_or_double(op: str, type: TensorType) -> None:
    """Raises `Fault` if the elements are not f32 or f64, of which alone PyTorch has kernels."""
    if type.dtype not in (DType.F32, DType.F64):
        hint = "convert it: `cast(…, f32)`"
        raise Fault(
            lambda where: wrong_dtype(
                where.call, op, "a tensor of f32 or f64", type, places(where, 1), hint
            )
        )


def need_prediction(op: str, type: TensorType, target: TensorType) -> None:
    """Raises `Fault` if a prediction's elements are not floating-point: where the target's are, the
    two were most likely given in the wrong order."""
    if not type.dtype.is_float and target.dtype.is_float:
        raise Fault(
            lambda where: wrong_dtype(
                where.call,
                op,
                "a floating-point prediction first",
                type,
                (where.operand(0), where.operand(1)),
                "the prediction comes first, then the target: exchange the two",
            )
        )
    need_float(op, type)


def need_bool(op: str, type: TensorType, *, operand: int = 0) -> None:
    """Raises `Fault` if the elements are not booleans."""
    if type.dtype is not DType.BOOL:
        raise Fault(
            lambda where: wrong_dtype(
                where.call,
                op,
                "a boolean tensor",
                type,
                (where.operand(operand),),
                "compare it with something: `… != 0`",
            )
        )


def need_number(op: str, type: TensorType, *, operand: int = 0) -> None:
    """Raises `Fault` if the elements are booleans."""
    if type.dtype is DType.BOOL:
        raise Fault(
            lambda where: wrong_dtype(
                where.call,
                op,
                "a tensor of numbers",
                type,
                (where.operand(operand),),
                "convert it: `cast(…, i64)`",
            )
        )


def need_index(op: str, type: TensorType, *, operand: int) -> None:
    """Raises `Fault` if the elements are no positions (i64 or i32)."""
    if type.dtype in (DType.I64, DType.I32):
        return
    hint = "positions are whole numbers: `cast(…, i64)`"
    if type.dtype is DType.BOOL:
        hint = "how many entries a mask takes is not known: `where` keeps the shape"
    raise Fault(
        lambda where: wrong_dtype(
            where.call,
            op,
            "a tensor of positions (i64 or i32)",
            type,
            (where.operand(operand),),
            hint,
        )
    )


def known_size(op: str, type: TensorType, axis: int) -> int:
    """The size of an axis as a number.

    Raises:
        Fault: it is symbolic.
    """
    size = type.shape[axis].known
    if size is not None:
        return size
    raise Fault(
        lambda where: size_unknown(
            where.call, op, f"the size of axis {axis}", str(type.shape[axis]), places(where, 1)
        )
    )


MOST_RESULTS = 10_000
"""Tensors that one call of an op makes at most."""


def check_count(op: str, count: int) -> int:
    """How many tensors an operand is cut into.

    Raises:
        Fault: they are more than a graph could hold.
    """
    if count <= MOST_RESULTS:
        return count
    raise Fault(
        lambda where: too_many_results(where.call, op, count, MOST_RESULTS, places(where, 1))
    )


def axes_constant(build: OnnxBuilder, axes: Iterable[int]) -> Any:
    """The 1-D i64 constant that ONNX wants for axes."""
    return build.constant(np.array(tuple(axes), dtype=np.int64))


def squeeze(build: OnnxBuilder, value: Any, axes: Sequence[int]) -> Any:
    """`value` without these axes of size 1."""
    return build.op("Squeeze", [value, axes_constant(build, axes)])


def unsqueeze(build: OnnxBuilder, value: Any, axes: Sequence[int]) -> Any:
    """`value` with new axes of size 1 at these places of the result."""
    return build.op("Unsqueeze", [value, axes_constant(build, axes)]) if axes else value
