"""Running totals along an axis: cumsum and cumprod."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol, shorten
from compiler.ops.axes import axes_constant, resolve_axis, unsqueeze
from compiler.ops.broadcasting import cast
from compiler.ops.creation import LARGEST, write_full
from compiler.ops.magnitudes import measure_terms
from compiler.ops.reduction import write_products
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling


@dataclass(frozen=True)
class Running(Op):
    """Base of running totals; the shape stays, integers and booleans become i64."""

    row_axes = ("axis",)
    keeps_f32 = True
    operands = (Operand("x"),)

    axis: int = -1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        resolve_axis(self.name, self.axis, x)
        return (TensorType(x.dtype if x.dtype.is_float else DType.I64, x.shape),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        wide = {"f": np.promote_types(x.dtype, np.float32)}.get(x.dtype.kind, np.dtype(np.int64))
        with np.errstate(all="ignore"):
            made = self.calculate(x.astype(wide))
        return (made.astype(x.dtype) if x.dtype.kind == "f" else made,)

    @abstractmethod
    def calculate(self, x: Array) -> Array:
        """The meaning for an array."""

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        axis = self.axis % max(outputs[0].rank, 1)
        return Coupling(tie_same(x, outputs[0].rank, without=(axis,)))

    def torch(self, node: Node) -> Spelling:
        return Spelling(Method(In(0), self.name, (Leaf(self.axis, "axis", field="axis"),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [self.write(build, cast(build, x.value, x.dtype, outputs[0].dtype), outputs[0])]

    @abstractmethod
    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        """The ONNX nodes."""


@OPS.register
@final
@dataclass(frozen=True)
class CumSum(Running):
    """The sum of all entries up to each one, along an axis.

        y[i] = Σ_{j <= i} x[j]

    The shape stays; integers and booleans become i64. The axis is the last one unless
    it is given.

    Shapes: x `f32[...]` -> the same.
    Example: `position = cumsum(mask, axis=1) - 1`
    Errors: W0376 where there is no such axis.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.cumsum.html
    """

    name = "cumsum"

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, np.asarray(operands[0]).shape[self.axis])

    def calculate(self, x: Array) -> Array:
        return np.cumsum(x, axis=self.axis)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        turned = slope.apply("flip", axis=self.axis).apply("cumsum", axis=self.axis)
        return [turned.apply("flip", axis=self.axis)]

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        axis = build.constant(np.array(self.axis % type.rank, np.int64))
        return build.op("CumSum", [x, axis])


@OPS.register
@final
@dataclass(frozen=True)
class CumProd(Running):
    """The product of all entries up to each one, along an axis.

        y[i] = ∏_{j <= i} x[j]

    The shape stays; integers and booleans become i64. The axis is the last one unless
    it is given.

    Shapes: x `f32[...]` -> the same.
    Errors: W0376 where there is no such axis.
    Example: `input beta: f32[1000]`, `alpha_bar = cumprod(1 - beta)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.cumprod.html
    """

    name = "cumprod"

    def calculate(self, x: Array) -> Array:
        return np.cumprod(x, axis=self.axis)

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        axis = self.axis % x.rank
        size = shorten([x.shape[axis]])[0]
        (kept,) = x.build.apply("causal", (), size=size)
        rows = x.unsqueeze([axis])
        lined = kept.reshape((x.shape[axis], x.shape[axis], *[Dim.of(1)] * (x.rank - 1 - axis)))
        return [lined.choose(rows, 1).apply("prod", axis=axis + 1)]

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size * outputs[0].shape[self.axis]

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        # ONNX has no running product: a row for each entry, with 1 in place of what follows it.
        axis = self.axis % type.rank
        if not type.dtype.is_float:
            return _write_whole_products(build, x, type, axis)
        size = type.shape[axis]
        if size.known is not None and size.known**2 <= LARGEST:
            mask = build.constant(np.tri(size.known, dtype=bool))
        else:
            square = TensorType(DType.BOOL, (size, size))
            mask = build.op("Trilu", [write_full(build, True, square)], {"upper": 0})
        behind = range(2, type.rank - axis + 1)
        one = build.constant(np.ones((), type.dtype.numpy), type.dtype)
        rows = unsqueeze(build, x, [axis])
        kept = build.op("Where", [unsqueeze(build, mask, behind), rows, one])
        axes = axes_constant(build, [axis + 1])
        return build.op("ReduceProd", [kept, axes], {"keepdims": 0})


def _write_whole_products(build: OnnxBuilder, x: Any, type: TensorType, axis: int) -> Any:
    """Running products of whole numbers (`product_of_integers`)."""
    others = [a for a in range(type.rank) if a != axis]
    last = build.op("Transpose", [x], {"perm": [*others, axis]}) if axis != type.rank - 1 else x
    slice_type = TensorType(type.dtype, tuple(type.shape[a] for a in others))
    _, running = write_products(build, last, slice_type)
    back = [*range(1, axis + 1), 0, *range(axis + 1, type.rank)]
    return build.op("Transpose", [running], {"perm": back}) if type.rank > 1 else running
