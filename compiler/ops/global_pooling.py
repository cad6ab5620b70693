"""Pooling over all of space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Symbol
from compiler.ops.axes import axes_constant, need_float
from compiler.ops.layers import widen
from compiler.ops.magnitudes import measure_mean
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.ops.windows import need_layout
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling


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

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 2))

    def torch(self, node: Node) -> Spelling:
        axes = Leaf(tuple(range(2, input_type(node).rank)), "axes")
        return Spelling(Method(In(0), self.torch_method, (axes,)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        if x.dtype is DType.F64:  # of which ONNX Runtime has no kernel
            axes = axes_constant(build, range(2, x.rank))
            return [build.op(self.reduction, [x.value, axes], {"keepdims": 0})]
        return [build.op("Flatten", [build.op(self.onnx_type, [x.value])])]

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        return [x.apply(self.torch_method.removeprefix("a"), axis=tuple(range(2, x.rank)))]


@OPS.register
@final
@dataclass(frozen=True)
class GlobalAvgPool(GlobalPool):
    """The mean over all of space: `y[n, c] = mean_p x[n, c, p]`. The axes of space go.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c]`.

    Errors: W0350 for another number of axes.
    Example: `logits = features -> global_avg_pool -> dense(10)`
    Source: Lin et al. 2013, https://arxiv.org/abs/1312.4400
    """

    name = "global_avg_pool"
    in_integers = "computes"
    torch_method = "mean"
    onnx_type = "GlobalAveragePool"
    reduction = "ReduceMean"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_mean(self, operands, results)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        y = widen(x).mean(axis=tuple(range(2, x.ndim)))
        return (y.astype(x.dtype, copy=False),)


@OPS.register
@final
@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    """The maximum over all of space: `y[n, c] = max_p x[n, c, p]`. The axes of space go.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c]`.

    Errors: W0350 for another number of axes.
    Example: `logits = features -> global_max_pool -> dense(10)`
    Source: https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html
    """

    name = "global_max_pool"
    torch_method = "amax"
    onnx_type = "GlobalMaxPool"
    reduction = "ReduceMax"

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (x.max(axis=tuple(range(2, x.ndim))),)
