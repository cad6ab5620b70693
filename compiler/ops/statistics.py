"""Statistics along axes: variance, deviation, norms, log-sum-exp, and the place of an extremum."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, Reading, tie_moved, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import shift_axis
from compiler.ops.axes import (
    axes_constant,
    count_axes,
    need_float,
    need_number,
    operand_type,
    resolve_axis,
)
from compiler.ops.broadcasting import cast
from compiler.ops.normalization import center, subtract_mean
from compiler.ops.reduction import Reduction, reduce_axes
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Name, Spelling, Term


@dataclass(frozen=True)
class Spread(Reduction):
    """Base of variance and standard deviation."""

    keeps_f32 = True
    centers = True
    unbiased: bool = True

    def check(self, type: TensorType) -> None:
        need_float(self.name, type)

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        count = math.prod(x.shape[a] for a in axes) - int(self.unbiased)
        away = center(x, axes)
        total = np.sum(away * away, axis=axes, keepdims=self.keep)
        return self.finish_array(np.asarray(np.divide(total, count, dtype=x.dtype)))

    def center(self, x: Symbol) -> Symbol:
        """How far entries lie from their mean."""
        return x - x.apply("mean", axis=self.axis, keep=True)

    def degrees(self, x: Symbol) -> Dim:
        """What the sum of squares is divided by."""
        return self.count(x) - int(self.unbiased)

    def finish_array(self, variance: Array) -> Array:
        """The result from the variance."""
        return variance

    def torch(self, node: Node) -> Spelling:
        terms = (self.named("unbiased"),)
        axes = self.axis_terms(node)
        return Spelling(Method(In(0), self.torch_method, axes, (*terms, *self.keep_terms())))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        axes = count_axes(self.axis, x.rank)
        away = subtract_mean(build, subtract_mean(build, x.value, axes), axes)
        if not self.unbiased:
            square = build.op("Mul", [away, away])
            return [self.finish(build, self.write_mean(build, square, axes, x.rank))]
        total = reduce_axes(build, "ReduceSumSquare", away, axes, x.rank, keep=self.keep)
        count = _count(build, product(x.shape[a] for a in axes) - 1, x.dtype)
        return [self.finish(build, build.op("Div", [total, count]))]

    def write_mean(self, build: OnnxBuilder, x: Any, axes: tuple[int, ...], rank: int) -> Any:
        """The mean of squares."""
        return reduce_axes(build, "ReduceMean", x, axes, rank, keep=self.keep)

    def finish(self, build: OnnxBuilder, variance: Any) -> Any:
        """The same in ONNX."""
        return variance


def _count(build: OnnxBuilder, count: Dim, dtype: DType) -> Any:
    """A number of elements as a constant, or computed as a tensor of one element."""
    if count.known is not None:
        return build.constant(np.array(count.known, dtype.numpy), dtype)
    whole = build.op("Squeeze", [build.shape([count])])
    return cast(build, whole, DType.I64, dtype)


@OPS.register
@final
@dataclass(frozen=True)
class Var(Spread):
    """The variance along axes: the mean squared distance from the mean.

        y = Σ_i (x[i] - mean)² / (n - 1)

    With `unbiased` (as in PyTorch) the sum of squares is divided by n - 1, else by n. `axis`
    is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `v = var(x, axis=-1, unbiased=false)`
    Errors: W0376, W0377 for the axes, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.var.html
    """

    name = "var"
    torch_method = "var"

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [self.spread(2 * slope, x) * self.center(x) / slope.like(self.degrees(x))]


@OPS.register
@final
@dataclass(frozen=True)
class Std(Spread):
    """The standard deviation along axes: the root of the variance.

        y = √(Σ_i (x[i] - mean)² / (n - 1))

    With `unbiased` (as in PyTorch) the sum of squares is divided by n - 1, else by n. `axis`
    is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Errors: W0376, W0377 for the axes, W0382 where x is not floating-point.
    Example: `spread = std(x, axis=0)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.std.html
    """

    name = "std"
    torch_method = "std"

    def finish_array(self, variance: Array) -> Array:
        return np.sqrt(variance)

    def finish(self, build: OnnxBuilder, variance: Any) -> Any:
        return build.op("Sqrt", [variance])

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        still = result.equals(0)  # PyTorch has no slope there
        share = still.choose(0, slope / still.choose(1, result))
        return [self.spread(share, x) * self.center(x) / slope.like(self.degrees(x))]


@OPS.register
@final
@dataclass(frozen=True)
class LogSumExp(Reduction):
    """The logarithm of the sum of exponentials along axes, without overflow.

        y = log(Σ_i exp(x[i]))

    `axis` is one axis, a list of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Example: `energy = -logsumexp(logits, axis=-1)`
    Errors: W0376, W0377 for the axes, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html
    """

    name = "logsumexp"
    keeps_f32 = True
    torch_method = "logsumexp"
    onnx_type = "ReduceLogSumExp"

    def check(self, type: TensorType) -> None:
        need_float(self.name, type)

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        if not axes:
            return x
        top = np.max(x, axis=axes, keepdims=True)
        top = np.where(np.isfinite(top), top, np.zeros_like(top))
        total = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
        return np.asarray(total if self.keep else np.squeeze(total, axis=axes))

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [self.spread(slope, x) * (x - self.spread(result, x)).apply("exp")]

    def axis_terms(self, node: Node) -> tuple[Term, ...]:
        value = node.inputs[0]
        assert value is not None
        given = super().axis_terms(node)
        return given or (Leaf(tuple(range(value.type.rank))),)


@OPS.register
@final
@dataclass(frozen=True)
class Norm(Reduction):
    """The length of vectors along axes: `sum(abs(x) ** order) ** (1 / order)`.

    `order` 2 is Euclid's, 1 the sum of sizes, inf the largest size. `axis` is one axis, a list
    of them, or none for all; with `keep` they stay with size 1.

    Shapes: x `f32[...]` -> `f32[...]` without the axes, or with size 1 there.
    Errors: W0376, W0377 for the axes, W0382 where x is not floating-point, W0392 for an order
    that is not above 0.
    Example: `size = norm(x, axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html
    """

    name = "norm"
    keeps_f32 = True
    torch_method = "norm"

    order: int | float = 2

    def check(self, type: TensorType) -> None:
        need_float(self.name, type)
        if not self.order > 0:
            raise Fault(
                lambda where: bad_option(
                    where.argument("order"), "norm", "order", f"{self.order} is not above 0"
                )
            )

    def calculate(self, x: Array, axes: tuple[int, ...]) -> Array:
        size = np.abs(x)
        if math.isinf(self.order):
            return np.asarray(np.max(size, axis=axes, keepdims=self.keep))
        total = np.sum(size**self.order, axis=axes, keepdims=self.keep)
        return np.asarray(total ** (1 / self.order), dtype=x.dtype)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        sign, length = x.apply("sign"), self.spread(result, x)
        if self.order == 1:
            return [self.spread(slope, x) * sign]
        if math.isinf(self.order):
            chosen = x.apply("abs").equals(length)
            count = chosen.cast(slope.dtype).apply("sum", axis=self.axis, keep=self.keep)
            return [(self.spread(slope / count, x) * sign).only(chosen)]
        # As in PyTorch, it is 0 where the vector is.
        still = x.equals(0) if self.order < 2 else length.equals(0)
        share = still.choose(0, x) / still.choose(1, length)
        if self.order != 2:
            share = sign * share.apply("abs") ** (self.order - 1)
        return [still.choose(0, self.spread(slope, x) * share)]

    def torch(self, node: Node) -> Spelling:
        order: Term = self.leaf("order")
        if math.isinf(self.order):
            order = Name("torch.inf")
        axes = tuple(("dim", term) for term in self.axis_terms(node))
        named = (("ord", order), *axes, *self.keep_terms())
        return Spelling(Call("torch.linalg.vector_norm", (In(0),), named))

    def write(self, build: OnnxBuilder, x: Any, axes: tuple[int, ...], rank: int) -> Any:
        simple = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(float(self.order))
        if simple is not None:
            return reduce_axes(build, simple, x, axes, rank, keep=self.keep)
        size = build.op("Abs", [x])
        if math.isinf(self.order):
            return reduce_axes(build, "ReduceMax", size, axes, rank, keep=self.keep)
        # In double precision, whatever x is: a rounded 1/3 would be seen in an f64 result.
        order = build.constant(np.array(self.order, np.float64))
        inverse = build.constant(np.array(1 / self.order, np.float64))
        powers = build.op("Pow", [size, order])
        total = reduce_axes(build, "ReduceSum", powers, axes, rank, keep=self.keep)
        return build.op("Pow", [total, inverse])


@dataclass(frozen=True)
class Position(Op):
    """Base of the place of the largest or smallest element."""

    operands = (Operand("x"),)
    onnx_type: ClassVar[str]

    axis: int | None = None
    keep: bool = False

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_number(self.name, x)
        if self.axis is None:
            return (TensorType(DType.I64, (Dim.of(1),) * (x.rank if self.keep else 0)),)
        axis = resolve_axis(self.name, self.axis, x)
        kept = (Dim.of(1),) if self.keep else ()
        return (TensorType(DType.I64, (*x.shape[:axis], *kept, *x.shape[axis + 1 :])),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.asarray(self.calculate(x), dtype=np.int64),)

    @abstractmethod
    def calculate(self, x: Array) -> Array:
        """The meaning for an array."""

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank, axis = x.rank, self.axis
        if axis is None:
            return Coupling()
        gone = axis % rank
        places = [a if self.keep or a < gone else a - 1 for a in range(rank)]
        pairs = ((a, places[a]) for a in range(rank) if a != gone)
        return Coupling(tie_moved(x, pairs))

    def torch(self, node: Node) -> Spelling:
        axis = () if self.axis is None else (Leaf(self.axis, "axis", field="axis"),)
        keep = (("keepdim", self.leaf("keep")),)
        return Spelling(Method(In(0), self.name, axis, keep))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        wide = DType.I32 if x.dtype is DType.I16 else x.dtype  # runtime_faults: argmax_of_i16
        value = cast(build, x.value, x.dtype, wide)
        if self.axis is not None:
            axis = self.axis % x.rank
            return [build.op(self.onnx_type, [value], {"axis": axis, "keepdims": int(self.keep)})]
        flat = build.reshape(value, x.shape, [x.type.size])
        made = build.op(self.onnx_type, [flat], {"axis": 0, "keepdims": int(self.keep)})
        return [build.reshape(made, [Dim.of(1)], outputs[0].shape) if self.keep else made]

    def over_rows(self, operands: Types, rows: Dim) -> Self | None:
        if self.axis is None and operand_type(operands, 0).rank != 1:
            return None  # the place in a flattened row is no place along one axis
        return replace(self, axis=1 if self.axis is None else shift_axis(self.axis))


@OPS.register
@final
@dataclass(frozen=True)
class ArgMax(Position):
    """The index of the largest element along an axis, as i64; of equals the first.

        y = argmax_i x[i]

    Without an axis it is the index in the flattened tensor; with `keep` the axis stays with
    size 1.

    Shapes: x `f32[...]` -> `i64[...]` without the axis, or with size 1 there.
    Example: `class_index = argmax(logits, axis=-1)`
    Errors: W0376 where there is no such axis, W0382 where x is bool.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.argmax.html
    """

    name = "argmax"
    onnx_type = "ArgMax"

    def calculate(self, x: Array) -> Array:
        return np.asarray(np.argmax(x, axis=self.axis, keepdims=self.keep))


@OPS.register
@final
@dataclass(frozen=True)
class ArgMin(Position):
    """The index of the smallest element along an axis, as i64; of equals the first.

        y = argmin_i x[i]

    Without an axis it is the index in the flattened tensor; with `keep` the axis stays with
    size 1.

    Shapes: x `f32[...]` -> `i64[...]` without the axis, or with size 1 there.
    Errors: W0376 where there is no such axis, W0382 where x is bool.
    Example: `nearest = argmin(cdist(a, b), axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.argmin.html
    """

    name = "argmin"
    onnx_type = "ArgMin"

    def calculate(self, x: Array) -> Array:
        return np.asarray(np.argmin(x, axis=self.axis, keepdims=self.keep))


@OPS.register
@final
@dataclass(frozen=True)
class L2Normalize(Op):
    """Vectors along an axis, scaled to length 1: `x / max(norm(x), eps)`.

    The shape stays; `eps` keeps a vector of zeros from becoming nan.

    Shapes: x `f32[...]` -> the same.
    Example: `direction = x -> l2_normalize(axis=-1)`
    Errors: W0376 where there is no such axis, W0382 where x is not floating-point.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html
    """

    name = "l2_normalize"
    row_axes = ("axis",)
    keeps_f32 = True
    operands = (Operand("x"),)

    axis: int = -1
    eps: float = 1e-12

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        resolve_axis(self.name, self.axis, x)
        return (x,)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        wide = x.astype(np.float64)
        length = np.sqrt(np.sum(wide * wide, axis=self.axis, keepdims=True))
        least = float(x.dtype.type(self.eps))  # half precision makes nothing of 1e-12
        with np.errstate(invalid="ignore"):
            return ((wide / np.maximum(length, least)).astype(x.dtype),)

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        length = x.apply("norm", axis=self.axis, keep=True)
        return [x / length.apply("clip", minimum=self.eps)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        axes = count_axes(self.axis, outputs[0].rank)
        return Coupling(tie_same(x, outputs[0].rank), read=tuple(Reading(x.axis(a)) for a in axes))

    def torch(self, node: Node) -> Spelling:
        named = (
            ("dim", Leaf(self.axis, "axis", 1, "axis")),
            self.named("eps"),
        )
        return Spelling(Call("F.normalize", (In(0),), named))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        axes = axes_constant(build, [self.axis % x.rank])
        length = build.op("ReduceL2", [x.value, axes])
        least = build.constant(np.array(self.eps, x.dtype.numpy), x.dtype)
        return [build.op("Div", [x.value, build.op("Max", [length, least])])]
