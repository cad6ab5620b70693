"""Products as passes write them: of a part of a weight, and added to what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ops.axes import operand_type
from compiler.ops.magnitudes import measure_terms
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Attribute,
    Call,
    In,
    Index,
    Leaf,
    Method,
    Prefix,
    Spelling,
    Term,
)
from compiler.vocabulary.spelling import Sequence as Items


@final
@dataclass(frozen=True)
class SplitColumns(Op):
    """The columns of a weight that multiply each of several tensors, which are joined where it is
    applied: made by a pass, never by a call.

    Shapes: weight `f32[out, d + e + …]`, then tensors `f32[..., d]`, `f32[..., e]` … ->
    `f32[out, d]`, `f32[out, e]` …

    - `rest`: whether what is left of the columns lies `"before"` them or `"after"` them, and is the
      first or last result; `"none"` is left.
    """

    name = "split_columns"
    multiple = True
    moves = True
    operands = (Operand("weight"), Operand("tensors", variadic=True))
    rest: Literal["none", "before", "after"] = "none"

    def infer(self, assume: Assume, weight: TensorType, *xs: TensorType) -> tuple[TensorType, ...]:
        sizes = [x.shape[-1] for x in xs]
        left = [weight.shape[1] - sum(sizes, start=Dim.of(0))]
        sizes = {"none": sizes, "before": [*left, *sizes], "after": [*sizes, *left]}[self.rest]
        return tuple(TensorType(weight.dtype, (weight.shape[0], size)) for size in sizes)

    def evaluate(self, weight: Array, *xs: Array) -> tuple[Array, ...]:
        sizes = [x.shape[-1] for x in xs]
        left = weight.shape[1] - sum(sizes)
        bounds = np.cumsum([left, *sizes] if self.rest == "before" else sizes)
        return tuple(np.split(weight, bounds if self.rest == "after" else bounds[:-1], axis=1))

    def torch(self, node: Node) -> Spelling:
        shapes = (Attribute(In(place), "shape") for place in range(1, len(node.inputs)))
        sizes: list[Term] = [Index(shape, (Leaf(-1),)) for shape in shapes]
        if len(node.outputs) > 2:
            assert self.rest == "none", "all sizes are known"
            return Spelling(Method(In(0), "split", (Items(tuple(sizes), "[]"), Leaf(1))))
        bound = Prefix("-", sizes[0]) if self.rest == "before" else sizes[0]
        return Spelling(Method(In(0), "tensor_split", (Items((bound,), "[]"), Leaf(1))))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, weight: OnnxInput, *xs: OnnxInput
    ) -> Values:
        sizes = build.shape([output.shape[1] for output in outputs])
        made = build.op("Split", [weight.value, sizes], {"axis": 1}, outputs=len(outputs))
        return tuple(made)


@final
@dataclass(frozen=True)
class Addmm(Op):
    """A product added to what is there: `y = base + x @ weight`. Made by a pass, never by a call.

    Shapes: base `f32[n, out]`, x `f32[n, d]`, weight `f32[d, out]` -> `f32[n, out]`.

    Cost: d multiply-adds for each entry of the result.
    """

    name = "addmm"
    operands = (Operand("base"), Operand("x"), Operand("weight"))

    def infer(
        self, assume: Assume, base: TensorType, x: TensorType, weight: TensorType
    ) -> tuple[TensorType, ...]:
        return (base,)

    def evaluate(self, base: Array, x: Array, weight: Array) -> tuple[Array, ...]:
        return (base + x @ weight,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        weight = operands[2]
        assert weight is not None, "it has a weight"
        return measure_terms(self, operands, results, weight.shape[0])

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size * operand_type(inputs, 1).shape[-1]

    def torch(self, node: Node) -> Spelling:
        return Spelling(Call("torch.addmm", (In(0), In(1), In(2))))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, base: OnnxInput, x: OnnxInput, weight: OnnxInput
    ) -> Values:
        return [build.op("Gemm", [x.value, weight.value, base.value])]
