"""Reductions along axes: sum, mean, max, min, prod, any and all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, Reading, result
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import (
    NOT_NEGATIVE,
    UNLIMITED,
    Array,
    Arrays,
    Assume,
    Limits,
    Results,
    Types,
)
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import shift_axis
from compiler.ops.axes import (
    axes_constant,
    count_axes,
    need_bool,
    need_float,
    operand_type,
    resolve_axes,
    unsqueeze,
)
from compiler.ops.broadcasting import cast
from compiler.ops.magnitudes import measure_mean
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling, Term


@dataclass(frozen=True)
class Reduction(Op):
    """Base of ops that take axes away."""

    operands = (Operand("x"),)
    onnx_type: ClassVar[str]
    torch_method: ClassVar[str]
    adds_zeros: ClassVar[bool] = False
    """Whether an entry that is 0 adds nothing to the result."""

    axis: int | tuple[int, ...] | None = None
    keep: bool = False

    def check(self, type: TensorType) -> None:
        """Raises `Fault` if the elements have no meaning here."""

    def result_dtype(self, dtype: DType) -> DType:
        """The dtype of the result."""
        return dtype

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.check(x)
        if self.axis == ():
            raise Fault(
                lambda where: bad_option(
                    where.argument("axis"), self.name, "axis", "the list names no axis"
                )
            )
        axes = resolve_axes(self.name, self.axis, x)
        if self.keep:
            shape = tuple(Dim.of(1) if i in axes else d for i, d in enumerate(x.shape))
        else:
            shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
        return (TensorType(self.result_dtype(x.dtype), shape),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            made = np.asarray(self.calculate(_widen(x), count_axes(self.axis, x.ndim)))
        return (made.astype(x.dtype) if x.dtype == np.float16 else made,)

    @abstractmethod
    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        """The meaning for an array."""

    def spread(self, value: Symbol, x: Symbol) -> Symbol:
        """What a result, or its slope, is beside each entry of x."""
        if not self.keep:
            value = value.unsqueeze(count_axes(self.axis, x.rank))
        return value.expand(x.shape)

    def count(self, x: Symbol) -> Dim:
        """Over how many entries each result goes."""
        return product(x.shape[axis] for axis in count_axes(self.axis, x.rank))

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = x.rank
        gone = count_axes(self.axis, rank)
        kept = [a for a in range(rank) if a not in gone]
        places = kept if self.keep else range(len(kept))
        ties = [(x.axis(a), result(b)) for a, b in zip(kept, places, strict=True)]
        free = tuple(x.axis(a) for a in gone)
        if self.adds_zeros:
            read = tuple(Reading(port) for port in free)
            return Coupling((*ties, *((port,) for port in free)), read=read)
        return Coupling((*ties, *((port,) for port in free)), mixed=free)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Method(In(0), self.torch_method, self.axis_terms(node), self.keep_terms()))

    def axis_terms(self, node: Node) -> tuple[Term, ...]:
        """The axis as PyTorch's first argument; left out where all axes go."""
        axis = self.axis
        if axis is None and self.keep:
            axis = tuple(range(_rank(node)))
        if isinstance(axis, tuple) and len(axis) == 1:
            axis = axis[0]
        return () if axis is None else (Leaf(axis, "axis", field="axis"),)

    def keep_terms(self) -> tuple[tuple[str, Term], ...]:
        """`keepdim=True` where the axes stay."""
        return (("keepdim", self.leaf("keep")),)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        inner = self.onnx_dtype(build, x.dtype)
        value = cast(build, x.value, x.dtype, inner)
        made = self.write(build, value, count_axes(self.axis, x.rank), x.rank)
        return [cast(build, made, inner, outputs[0].dtype)]

    def onnx_dtype(self, build: OnnxBuilder, dtype: DType) -> DType:
        """The dtype in which ONNX reduces tensors of this dtype."""
        return self.result_dtype(dtype)

    def write(self, build: OnnxBuilder, x: Any, axes: tuple[int, ...], rank: int) -> Any:
        """The ONNX nodes."""
        return reduce_axes(build, self.onnx_type, x, axes, rank, keep=self.keep)

    def over_rows(self, operands: Types, rows: Dim) -> Self | None:
        rank = operand_type(operands, 0).rank
        if rank == 0:
            return None
        match self.axis:
            case None:
                return replace(self, axis=tuple(range(1, rank + 1)))
            case int() as axis:
                return replace(self, axis=shift_axis(axis))
            case axes:
                return replace(self, axis=tuple(map(shift_axis, axes)))


def reduce_axes(
    build: OnnxBuilder, op_type: str, x: Any, axes: tuple[int, ...], rank: int, *, keep: bool
) -> Any:
    """An ONNX reduction; its axes are left out where it reduces all of them."""
    inputs = [x] if len(axes) == rank else [x, axes_constant(build, axes)]
    return build.op(op_type, inputs, {} if keep else {"keepdims": 0})


def write_whole_sum(build: OnnxBuilder, x: Any, rank: int, axes: Sequence[int]) -> Any:
    """Whole numbers summed over axes: the last of running sums, for ONNX Runtime's ReduceSum
    computes in f64 (`sum_of_integers`)."""
    last = build.constant(np.array(-1))
    for axis in sorted(axes, reverse=True):
        sums = build.op("CumSum", [x, build.constant(np.array(axis))])
        x = build.op("Gather", [sums, last], {"axis": axis})
    return x


def write_products(build: OnnxBuilder, x: Any, type: TensorType) -> tuple[Any, Any]:
    """The product of the last axis of whole numbers, of this type, and the products of all entries
    up to each one, along a first axis: multiplied one after the other, for ONNX Runtime's
    ReduceProd computes in f64 (`product_of_integers`)."""
    rank = type.rank
    entries = build.op("Transpose", [x], {"perm": [rank, *range(rank)]}) if rank else x
    zero, one = (build.constant(np.full((), n, np.int64)) for n in (0, 1))
    first = build.op("Gather", [entries, zero], {"axis": 0})
    start = build.op("Add", [build.op("Mul", [first, zero]), one])
    return build.accumulate("Mul", entries, start, type)


def _rank(node: Node) -> int:
    value = node.inputs[0]
    assert value is not None
    return value.type.rank


def _widen(x: Array) -> Array:
    """f16 is summed in f32, as PyTorch and ONNX Runtime do."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


class Total(Reduction):
    """Base of sums and products, which of whole numbers are i64. ONNX Runtime's reductions compute
    these in f64 (`sum_of_integers`, `product_of_integers`)."""

    keeps_f32 = True

    @abstractmethod
    def is_small(self, x: TensorType) -> bool:
        """Whether totals of such whole numbers stay below 2**53, where f64 is exact."""

    @abstractmethod
    def write_whole(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        """The total of the last axis of whole numbers; `type` is the result's."""

    def result_dtype(self, dtype: DType) -> DType:
        return dtype if dtype.is_float else DType.I64

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        if x.dtype.is_float or self.is_small(x.type):
            return super().onnx(build, outputs, x)
        axes = count_axes(self.axis, x.rank)
        kept = [axis for axis in range(x.rank) if axis not in axes]
        value = cast(build, x.value, x.dtype, DType.I64)
        if [*kept, *axes] != [*range(x.rank)]:
            value = build.op("Transpose", [value], {"perm": [*kept, *axes]})
        shape = [x.shape[axis] for axis in (*kept, *axes)]
        for _ in axes:
            shape.pop()
            value = self.write_whole(build, value, TensorType(DType.I64, tuple(shape)))
        return [unsqueeze(build, value, axes) if self.keep and axes else value]


@OPS.register
@final
@dataclass(frozen=True)
class Sum(Total):
    """The sum along axes; of integers and booleans it is i64.

        y = Σ_i x[i]

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1:
    `f32[n, c, h, w]` and `axis=[2, 3]` give `f32[n, c]`, or `f32[n, c, 1, 1]`.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `y = sum(x ** 2, axis=-1)`
    Errors: W0376 where there is no such axis, W0377 where one is named twice.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sum.html
    """

    name = "sum"
    linear = True
    keeps_channels = True
    torch_method = "sum"
    onnx_type = "ReduceSum"
    adds_zeros = True

    @property
    def adds_up(self) -> bool:
        return True

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return NOT_NEGATIVE if operands[0][0] >= 0 else UNLIMITED

    def is_small(self, x: TensorType) -> bool:
        return x.dtype is DType.BOOL or x.dtype.numpy.itemsize <= 2

    def write_whole(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return write_whole_sum(build, x, type.rank + 1, [type.rank])

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_mean(self, operands, results)

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return np.sum(x, axis=axes, keepdims=self.keep, dtype=dtype)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [self.spread(slope, x)]


@OPS.register
@final
@dataclass(frozen=True)
class Mean(Reduction):
    """The mean along axes, of a floating-point tensor.

        y = Σ_i x[i] / n

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1:
    `f32[n, c, h, w]` and `axis=[2, 3]` give `f32[n, c]`, or `f32[n, c, 1, 1]`.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `y = x - mean(x, axis=-1, keep=true)`
    Errors: W0376, W0377 for the axes, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.mean.html
    """

    name = "mean"
    linear = True
    averages = True
    keeps_channels = True
    keeps_f32 = True
    torch_method = "mean"
    onnx_type = "ReduceMean"

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        return operands[0]

    def check(self, type: TensorType) -> None:
        need_float(self.name, type)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_mean(self, operands, results)

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.mean(x, axis=axes, keepdims=self.keep))

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [self.spread(slope / slope.like(self.count(x)), x)]

    def write(self, build: OnnxBuilder, x: Any, axes: tuple[int, ...], rank: int) -> Any:
        space = self.keep and rank > 2 and axes == tuple(range(2, rank))
        if space and build.dtype_of(x) is not DType.F64:  # of which there is no kernel
            return build.op("GlobalAveragePool", [x])  # the faster of two ways to say it
        return super().write(build, x, axes, rank)


class Extremum(Reduction):
    """Base of the largest and the smallest element."""

    def onnx_dtype(self, build: OnnxBuilder, dtype: DType) -> DType:
        if dtype is DType.BOOL:
            return DType.BOOL if build.opset >= 20 else DType.U8
        return DType.I32 if dtype is DType.I16 else dtype

    def torch(self, node: Node) -> Spelling:
        axes = self.axis_terms(node)
        method = f"a{self.torch_method}" if axes else self.torch_method
        return Spelling(Method(In(0), method, axes, self.keep_terms()))

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        chosen = x.equals(self.spread(result, x))
        # As in PyTorch, equal numbers share it.
        count = chosen.cast(slope.dtype).apply("sum", axis=self.axis, keep=self.keep)
        return [self.spread(slope / count, x).only(chosen)]


@OPS.register
@final
@dataclass(frozen=True)
class Max(Extremum):
    """The largest element along axes (`maximum(a, b)` compares two tensors).

        y = max_i x[i]

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `y = x - max(x, axis=-1, keep=true)`
    Errors: W0376 where there is no such axis, W0377 where one is named twice.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.max.html
    """

    name = "max"
    torch_method = "max"
    onnx_type = "ReduceMax"

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.max(x, axis=axes, keepdims=self.keep))


@OPS.register
@final
@dataclass(frozen=True)
class Min(Extremum):
    """The smallest element along axes (`minimum(a, b)` compares two tensors).

        y = min_i x[i]

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `y = x - min(x, axis=-1, keep=true)`
    Errors: W0376 where there is no such axis, W0377 where one is named twice.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.min.html
    """

    name = "min"
    torch_method = "min"
    onnx_type = "ReduceMin"

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.min(x, axis=axes, keepdims=self.keep))


@OPS.register
@final
@dataclass(frozen=True)
class Prod(Total):
    """The product along axes; of integers and booleans it is i64.

        y = ∏_i x[i]

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `y = prod(x, axis=-1)`
    Errors: W0376 where there is no such axis, W0377 where one is named twice.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.prod.html
    """

    name = "prod"
    torch_method = "prod"
    onnx_type = "ReduceProd"

    def is_small(self, x: TensorType) -> bool:
        return x.dtype is DType.BOOL

    def write_whole(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return write_products(build, x, type)[0]

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return np.asarray(np.prod(x, axis=axes, keepdims=self.keep, dtype=dtype))

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        axes = count_axes(self.axis, x.rank)
        kept = [axis for axis in range(x.rank) if axis not in axes]
        order = (*kept, *axes)
        turned = x.permute(order)
        row = turned.reshape((*(x.shape[axis] for axis in kept), self.count(x)))
        before = _multiply_before(row)
        behind = _multiply_before(row.apply("flip", axis=-1)).apply("flip", axis=-1)
        others = (before * behind).reshape(turned.shape)
        return [
            self.spread(slope, x) * others.permute([order.index(axis) for axis in range(x.rank)])
        ]

    def torch(self, node: Node) -> Spelling:
        rank = _rank(node)
        if not rank:
            return Spelling(Method(In(0), self.torch_method))
        if not isinstance(self.axis, tuple) and not (self.axis is None and self.keep):
            return super().torch(node)
        made: Term = In(0)  # PyTorch multiplies along one axis at a time
        for axis in reversed(count_axes(self.axis, rank)):
            made = Method(made, self.torch_method, (Leaf(axis),), self.keep_terms())
        return Spelling(made)


def _multiply_before(row: Symbol) -> Symbol:
    """The products of the entries in front of each, along the last axis."""
    return row.apply("pad", widths=(1, -1), value=1).apply("cumprod", axis=-1)


class Quantifier(Reduction):
    """Base of `any` and `all`."""

    def check(self, type: TensorType) -> None:
        need_bool(self.name, type)

    def onnx_dtype(self, build: OnnxBuilder, dtype: DType) -> DType:
        return DType.BOOL if build.opset >= 20 else DType.U8


@OPS.register
@final
@dataclass(frozen=True)
class AnyTrue(Quantifier):
    """Whether any element along axes is true.

    x is bool; `axis` is one axis, a list of them, or none for all; with `keep` they stay with
    size 1.

    Shapes: x `bool[...]` -> `bool[...]` without the axes, or with size 1 there.
    Errors: W0376, W0377 for the axes, W0382 where x is not bool.
    Example: `found = any(tokens == 2, axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.any.html
    """

    name = "any"
    torch_method = "any"
    onnx_type = "ReduceMax"

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.any(x, axis=axes, keepdims=self.keep))


@OPS.register
@final
@dataclass(frozen=True)
class AllTrue(Quantifier):
    """Whether every element along axes is true.

    x is bool; `axis` is one axis, a list of them, or none for all; with `keep` they stay with
    size 1.

    Shapes: x `bool[...]` -> `bool[...]` without the axes, or with size 1 there.
    Errors: W0376, W0377 for the axes, W0382 where x is not bool.
    Example: `finished = all(mask)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.all.html
    """

    name = "all"
    torch_method = "all"
    onnx_type = "ReduceMin"

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.all(x, axis=axes, keepdims=self.keep))
