"""Pooling to a fixed size: over all of space, or over as many equal parts as are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ops.axes import axes_constant, need_float, operand_type
from compiler.ops.layers import find_place, input_type, known, need_least, widen
from compiler.ops.magnitudes import measure_terms
from compiler.ops.registry import OPS
from compiler.ops.windows import Sizes, need_layout, spell_sizes, spread
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.windows import pool_size_unknown
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling


class GlobalPool(Op):
    """Base of poolings over all of space."""

    keeps_channels = True
    operands = (Operand("x"),)
    torch_method: ClassVar[str]
    onnx_type: ClassVar[str]
    reduction: ClassVar[str]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        need_layout(self.name, x)
        return (TensorType(x.dtype, x.shape[:2]),)

    def couple(self, inputs: Types, outputs: Sequence[TensorType]) -> Coupling:
        return Coupling(tie_same(2))

    def torch(self, node: Node) -> Spelling:
        axes = Leaf(tuple(range(2, input_type(node).rank)), "axes")
        return Spelling(Method(In(0), self.torch_method, (axes,)))

    def onnx(self, build: OnnxBuilder, inputs: Values, types: Types, outputs: Results) -> Values:
        x = operand_type(types, 0)
        if x.dtype is DType.F64:  # of which ONNX Runtime has no kernel
            axes = axes_constant(build, range(2, x.rank))
            return [build.op(self.reduction, [inputs[0], axes], {"keepdims": 0})]
        return [build.op("Flatten", [build.op(self.onnx_type, [inputs[0]])])]


@OPS.register
@final
@dataclass(frozen=True)
class GlobalAvgPool(GlobalPool):
    """The mean over all of space: `y[n, c] = mean_p x[n, c, p]`. The axes of space go.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c]`.

    Example: `logits = x -> global_avg_pool -> dense(10)`
    Errors: W0350 for another number of axes.
    Source: Lin et al. 2013, https://arxiv.org/abs/1312.4400
    """

    name = "global_avg_pool"
    in_integers = "computes"
    torch_method = "mean"
    onnx_type = "GlobalAveragePool"
    reduction = "ReduceMean"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        count = np.asarray(operands[0]).size // max(results[0].size, 1)
        return measure_terms(self, operands, results, count)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        y = widen(x).mean(axis=tuple(range(2, x.ndim)))
        return (y.astype(x.dtype, copy=False),)


@OPS.register
@final
@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    """The maximum over all of space: `y[n, c] = max_p x[n, c, p]`. The axes of space go.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c]`.

    Example: `y = x -> global_max_pool -> dense(10)`
    Errors: W0350 for another number of axes.
    Source: https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html
    """

    name = "global_max_pool"
    torch_method = "amax"
    onnx_type = "GlobalMaxPool"
    reduction = "ReduceMax"

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (x.max(axis=tuple(range(2, x.ndim))),)


@OPS.register
@final
@dataclass(frozen=True)
class AdaptiveAvgPool(Op):
    """The mean over as many parts of each axis as are asked for.

    Part i of an axis of size s, cut into k parts, goes from floor(i * s / k) to
    ceil((i + 1) * s / k); neighbours overlap where k does not divide s.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, k…]`. The sizes
    must be known where k is not 1.

    - `size`: the parts: one number, or a list with one for each axis of space.

    Example: `y = x -> adaptive_avg_pool(7) -> flatten`
    Errors: W0350 for another number of axes, W0366 where a size is not known.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    name = "adaptive_avg_pool"
    keeps_channels = True
    operands = (Operand("x"),)
    size: Sizes

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        parts = spread("size", self.size, need_layout(self.name, x))
        need_least(self.name, "size", parts, 1)
        for axis, (part, size) in enumerate(zip(parts, x.shape[2:], strict=True), start=2):
            if part != 1 and size.known is None:
                self._refuse(axis, size, x)
        return (TensorType(x.dtype, (*x.shape[:2], *map(Dim.of, parts))),)

    def _refuse(self, axis: int, size: Dim, x: TensorType) -> None:
        raise Fault(
            lambda where: pool_size_unknown(
                where.call, self.name, axis, str(size), find_place(where, 0, x)
            )
        )

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        count = np.asarray(operands[0]).size // max(results[0].size, 1)
        return measure_terms(self, operands, results, count)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        y = widen(x)
        for axis, parts in enumerate(spread("size", self.size, x.ndim - 2), start=2):
            shares = divide_axis(x.shape[axis], parts).astype(y.dtype)
            y = np.moveaxis(np.tensordot(y, shares, (axis, 1)), -1, axis)
        return (y.astype(x.dtype, copy=False),)

    def couple(self, inputs: Types, outputs: Sequence[TensorType]) -> Coupling:
        return Coupling(tie_same(2))

    def torch(self, node: Node) -> Spelling:
        axes = input_type(node).rank - 2
        size = spell_sizes(self.leaf("size"))
        called = Call(f"F.adaptive_avg_pool{axes}d", (In(0), size))
        return Spelling(called, module=Call(f"nn.AdaptiveAvgPool{axes}d", (size,)))

    def onnx(self, build: OnnxBuilder, inputs: Values, types: Types, outputs: Results) -> Values:
        x = operand_type(types, 0)
        parts = spread("size", self.size, x.rank - 2)
        if x.dtype is DType.F64:  # of which ONNX Runtime has no kernels
            return [self._write_products(build, inputs[0], x, parts)]
        if all(part == 1 for part in parts):
            return [build.op("GlobalAveragePool", [inputs[0]])]
        sizes = [s.known for s in x.shape[2:]]
        if all(s is not None and s % part == 0 for s, part in zip(sizes, parts, strict=True)):
            window = [known(s) // part for s, part in zip(x.shape[2:], parts, strict=True)]
            if math.prod(window) == 1:
                return [build.op("Identity", [inputs[0]])]
            attributes = {"kernel_shape": window, "strides": window}
            return [build.op("AveragePool", [inputs[0]], attributes)]
        return [self._write_products(build, inputs[0], x, parts)]

    def _write_products(
        self, build: OnnxBuilder, value: Any, x: TensorType, parts: Sequence[int]
    ) -> Any:
        """Overlapping parts as a product with the shares, axis by axis, the last one first."""
        shape = list(x.shape)
        for axis in range(x.rank - 1, 1, -1):
            if parts[axis - 2] == 1:  # its mean
                axes = build.constant(np.array([axis], np.int64))
                value = build.op("ReduceMean", [value, axes])
                shape[axis] = Dim.of(1)
                continue
            shares = divide_axis(known(shape[axis]), parts[axis - 2]).astype(x.dtype.numpy)
            after = shape[axis + 1 :]
            rest = math.prod(known(d) for d in after)
            rows = [*shape[: axis + 1], Dim.of(rest)]
            value = build.reshape(value, shape, rows)
            value = build.op("MatMul", [build.constant(shares, x.dtype), value])
            shape[axis] = Dim.of(parts[axis - 2])
            value = build.reshape(value, [*shape[: axis + 1], Dim.of(rest)], shape)
        return value


def divide_axis(size: int, parts: int) -> Array:
    """`[parts, size]`: the share of each entry in the mean of each part."""
    shares = np.zeros((parts, size))
    for part in range(parts):
        start, stop = part * size // parts, -(-(part + 1) * size // parts)
        shares[part, start:stop] = 1 / (stop - start)
    return shares
