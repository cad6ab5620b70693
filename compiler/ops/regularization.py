"""Dropout: noise that acts in training only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ops.axes import need_float
from compiler.ops.layers import need_rate
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Name, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Dropout(Op):
    """Dropout: in training, each entry becomes 0 with probability p and the rest is divided by
    1 - p; in evaluation nothing happens.

    Shapes: x `f32[...]` -> the same.

    - `p`: the probability, from 0 to 1: `dropout(25%)`.

    Example: `y = x -> dropout(50%) -> dense(4096)`
    Errors: W0353 where `p` is no probability.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    name = "dropout"
    keeps_channels = True
    scales_with_operand = True
    onnx_bfloat = True
    noisy = True
    operands = (Operand("x"),)
    p: float = 0.5

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        need_rate(self.name, "p", self.p)
        return (x,)

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        return self

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (x,)

    def couple(self, inputs: Types, outputs: Sequence[TensorType]) -> Coupling:
        return Coupling(tie_same(outputs[0].rank))

    def torch(self, node: Node) -> Spelling:
        p = self.leaf("p", "drop")
        called = Call("F.dropout", (In(0),), (("p", p), ("training", Name("self.training"))))
        return Spelling(called, module=Call("nn.Dropout", (p,)))

    def onnx(self, build: OnnxBuilder, inputs: Values, types: Types, outputs: Results) -> Values:
        return [inputs[0]]
