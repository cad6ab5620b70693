"""Broadcasting and promotion: what element by element means when shapes and dtypes differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Assume, Types
from compiler.ir.symbols import Slope, Slopes, Symbol
from compiler.ops.axes import operand_type
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_shapes import shapes_do_not_broadcast
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType, promote
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Infix, Spelling


class Elementwise(Op):
    """Base of ops that act on each element: operands are broadcast and promoted as in PyTorch."""

    broadcasts = True

    def result_dtype(self, types: Sequence[TensorType]) -> DType:
        """The dtype of the result."""
        return promote_types(types)

    def inner_dtype(self, types: Sequence[TensorType]) -> DType:
        """The dtype in which it is computed."""
        return self.result_dtype(types)

    def check(self, types: Sequence[TensorType]) -> None:
        """Raises `Fault` if the dtypes have no meaning here."""

    def infer(self, assume: Assume, *types: TensorType) -> tuple[TensorType, ...]:
        self.check(types)
        return (TensorType(self.result_dtype(types), broadcast_shapes(types, assume)),)

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], *inputs: Symbol
    ) -> Slopes:
        made = super().derive(slopes, results, *inputs)
        return [_fit(part, found.type) for part, found in zip(made, inputs, strict=True)]

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        """The op itself, unless stacking would change the dtype: a row's tensor without axes
        does not widen the others, and the stack of them has an axis."""
        types = [operand_type(operands, i) for i in range(len(operands))]
        stacked = [TensorType(t.dtype, (rows, *t.shape)) for t in types]
        return self if self.inner_dtype(types) is self.inner_dtype(stacked) else None


def _fit(part: Slope, type: TensorType) -> Slope:
    """A slope for an operand of this type, which was broadcast."""
    if part is None:
        return None
    return lambda: (part if isinstance(part, Symbol) else part()).fit(type)


class Paired(Elementwise):
    """Base of operations on two operands that Python writes with a sign between them."""

    operands = (Operand("a"), Operand("b"))
    sign: ClassVar[str]
    onnx_type: ClassVar[str]

    def torch(self, node: Node) -> Spelling:
        left, right = pair_terms(node)
        return Spelling(Infix(self.sign, left, right))


def broadcast_shapes(types: Sequence[TensorType], assume: Assume) -> tuple[Dim, ...]:
    """The common shape. Sizes of which it is not known whether they are equal are assumed to be.

    Raises:
        Fault: two sizes differ and neither is 1.
    """
    shape = types[0].shape
    for position, other in enumerate(types[1:], start=1):
        if other.shape == shape:
            continue
        if len(shape) < other.rank:
            shape = (*other.shape[: other.rank - len(shape)], *shape)
        merged = list(shape)
        for axis in range(-other.rank, 0):
            joined = _join(shape[axis], other.shape[axis], assume)
            if joined is None:
                _refuse(types, position, axis)
            else:
                merged[axis] = joined
        shape = tuple(merged)
    return shape


def _join(left: Dim, right: Dim, assume: Assume) -> Dim | None:
    if left == right or right == 1:
        return left
    if left == 1:
        return right
    same = equal(left, right)
    if same is None:
        assume(left, "==", right)
        return left if left.known is not None else right if right.known is not None else left
    return left if same else None


def _refuse(types: Sequence[TensorType], position: int, axis: int) -> None:
    """Raises the fault, naming the operand that brought the size which does not fit."""
    right = types[position]
    index = next(
        i
        for i, left in enumerate(types[:position])
        if left.rank >= -axis
        and left.shape[axis] != 1
        and equal(left.shape[axis], right.shape[axis]) is False
    )
    raise Fault(
        lambda where: shapes_do_not_broadcast(
            where.call,
            types[index],
            right,
            axis,
            (where.operand(index), where.operand(position)),
        )
    )


def promote_types(types: Iterable[TensorType]) -> DType:
    """The dtype of arithmetic between tensors. A tensor without axes only lifts the others to
    another kind (integers to floating-point), not to a wider dtype of the same kind.

    Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html, `c10::promoteTypes` and
    `at::native::result_type`.
    """
    tall: DType | None = None
    flat: DType | None = None
    for item in types:
        if item.rank:
            tall = item.dtype if tall is None else promote(tall, item.dtype)
        else:
            flat = item.dtype if flat is None else promote(flat, item.dtype)
    if tall is None or flat is None:
        found = flat if tall is None else tall
        assert found is not None, "promotion needs a tensor"
        return found
    return promote(tall, flat) if _kind(flat) > _kind(tall) else tall


def _kind(dtype: DType) -> int:
    return 2 if dtype.is_float else 1 if dtype.is_integer else 0


def literal_dtype(value: float, met: Iterable[TensorType]) -> DType:
    """The dtype of a plain number beside tensors: theirs, unless it is of a higher kind.

    `i64 * 0.5` is f32 (the build's float), `u8 + 1` is u8, `bool + 1` is i64.
    """
    own = (
        DType.BOOL
        if isinstance(value, bool)
        else DType.I64
        if isinstance(value, int)
        else DType.F32
    )
    others = list(met)
    if not others:
        return own
    beside = promote_types(others)
    return own if _kind(own) > _kind(beside) else beside


def promoted(*arrays: Any) -> tuple[Array, ...]:
    """The arrays in their common dtype, as PyTorch promotes (NumPy would widen i64 and f32 to
    f64)."""
    found = [np.asarray(a) for a in arrays]
    if all(a.dtype == found[0].dtype for a in found):
        return tuple(found)
    target = promote_types([array_type(a) for a in found]).numpy
    return tuple(a.astype(target) for a in found)


def array_type(array: Array) -> TensorType:
    """The type of an array."""
    dtype = DType.of_numpy(array.dtype)
    assert dtype is not None, f"no Weft dtype for {array.dtype}"
    return TensorType.of(dtype, array.shape)


def cast(build: OnnxBuilder, value: Any, source: DType, target: DType) -> Any:
    """`value` in another dtype; nothing is added where it has it."""
    return value if source is target else build.op("Cast", [value], {"to": target})


def cast_operands(build: OnnxBuilder, operands: Sequence[OnnxInput], target: DType) -> list[Any]:
    """Every operand in one dtype: ONNX does not promote."""
    return [cast(build, operand.value, operand.dtype, target) for operand in operands]


def pair_terms(node: Node, *, first: int = 0) -> tuple[In, In]:
    """Two operands of an expression, the inputs from `first`; a constant may print as a number
    where PyTorch would give the number the dtype that the constant has."""
    left, right = (v.type for v in node.inputs[first : first + 2] if v is not None)
    return (
        In(first, number=_is_plain(left, right)),
        In(first + 1, number=_is_plain(right, left)),
    )


def _is_plain(constant: TensorType, beside: TensorType) -> bool:
    if constant.rank:
        return False
    dtype = constant.dtype
    if dtype is beside.dtype:
        return True
    if dtype is DType.F32:
        return not beside.dtype.is_float
    return dtype is DType.I64 and beside.dtype is DType.BOOL
