"""Triangles of matrices: the mask of causal attention, triu and tril."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_rank
from compiler.ops.broadcasting import cast
from compiler.ops.creation import LARGEST, check_sizes, write_full
from compiler.ops.layers import need_held
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, Device, In, Leaf, Method, Name, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Causal(Op):
    """The mask of causal attention: `bool[size, size]`, true at and below the diagonal.

        y[i, j] = (j <= i)

    Row i says what position i may see: itself and what stands before it.

    Shapes: -> `bool[size, size]`.
    Errors: W0392 where the size is below 1.
    Example: `y = (q, k, v) -> scaled_dot_product_attention(mask=causal(t))`
    Source:
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    """

    name = "causal"

    size: int | Dim

    def infer(self, assume: Assume) -> tuple[TensorType, ...]:
        return (TensorType(DType.BOOL, check_sizes(self.name, [self.size]) * 2),)

    def evaluate(self) -> tuple[Array, ...]:
        size = Dim.of(self.size).evaluate({})
        return (np.tri(size, dtype=bool),)

    def torch(self, node: Node) -> Spelling:
        size = self.leaf("size")
        named = (("dtype", Name("torch.bool")), ("device", Device()))
        return Spelling(Method(Call("torch.ones", (size, size), named), "tril"))

    def onnx(self, build: OnnxBuilder, outputs: Results) -> Values:
        known = outputs[0].size.known
        if known is not None and known <= LARGEST:
            return [build.constant(self.evaluate()[0])]
        return [build.op("Trilu", [write_full(build, True, outputs[0])], {"upper": 0})]


@dataclass(frozen=True)
class Triangle(Op):
    """Base of matrices with one triangle set to 0."""

    row_axes = ()
    operands = (Operand("x"),)
    upper: ClassVar[int]

    diagonal: int = 0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_rank(self.name, x, 2)
        need_held(self.name, "diagonal", self.diagonal, DType.I64)
        return (x,)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, outputs[0].rank - 2))

    def torch(self, node: Node) -> Spelling:
        diagonal = Leaf(self.diagonal, "diagonal", field="diagonal")
        return Spelling(Method(In(0), self.name, (diagonal,) if self.diagonal else ()))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        # runtime_faults: trilu_of_i16, trilu_of_i8, trilu_of_u8
        wide = DType.I32 if dtype in (DType.I16, DType.I8, DType.U8) else dtype
        given = [cast(build, x.value, dtype, wide)]
        if self.diagonal:
            given.append(build.constant(np.array(self.diagonal, np.int64)))
        made = build.op("Trilu", given, {"upper": self.upper})
        return [cast(build, made, wide, dtype)]

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply(self.name, diagonal=self.diagonal)]


@OPS.register
@final
@dataclass(frozen=True)
class Triu(Triangle):
    """The upper triangle of matrices (the last two axes): 0 below the diagonal.

        y[i, j] = x[i, j] where j - i >= diagonal, else 0

    `diagonal` 1 is the one above the main diagonal, -1 the one below it.

    Shapes: x `f32[..., m, n]` -> the same.
    Errors: W0380 for fewer than two axes.
    Example: `later = triu(matrix, diagonal=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.triu.html
    """

    name = "triu"
    upper = 1

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.triu(x, self.diagonal),)


@OPS.register
@final
@dataclass(frozen=True)
class Tril(Triangle):
    """The lower triangle of matrices (the last two axes): 0 above the diagonal.

        y[i, j] = x[i, j] where j - i <= diagonal, else 0

    `diagonal` 1 is the one above the main diagonal, -1 the one below it.

    Shapes: x `f32[..., m, n]` -> the same.
    Errors: W0380 for fewer than two axes.
    Example: `earlier = tril(matrix, diagonal=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.tril.html
    """

    name = "tril"
    upper = 0

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.tril(x, self.diagonal),)
