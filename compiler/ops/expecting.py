"""What a loss written in Weft says of its target: expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

from compiler.ir.graph import Node
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.target_range import TargetRange
from compiler.ops.elementwise import Function
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import In, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Expect(Function):
    """A tensor as it is, `y = x`, which is to hold certain numbers: data from which others follow
    are refused before training, as by the losses that take probabilities. For the targets of a
    loss that is written in Weft.

    Shapes: x of any dtype -> the same.

    - `values`: the numbers that it may hold, such as `[-1, 1]`.
    - `low`, `high`: or the numbers that it lies between.

    Errors: W0392 where neither, or both, are given, and where the bounds hold no number. W0724
    where data holds others.
    Example: `loss = mean(relu(1 - expect(sign(target), values=[-1, 1]) * score))`
    Source: targets of -1 and 1 as in
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html
    """

    name = "expect"
    moves = True
    keeps_channels = True
    onnx_bfloat = True
    target_operand = 0

    values: tuple[float, ...] | None = None
    low: float | None = None
    high: float | None = None

    def check(self, types: Sequence[TensorType]) -> None:
        """Every tensor is one; what it may hold must be something."""
        bounded = self.low is not None or self.high is not None
        if bounded == (self.values is not None) or self.values == ():
            raise self._refuse("values", "either `values` or a bound says what is taken")
        low, high = -math.inf if self.low is None else self.low, self.high
        if bounded and not low <= (math.inf if high is None else high):
            raise self._refuse("low", f"no number lies between {self.low} and {self.high}")

    def _refuse(self, option: str, reason: str) -> Fault:
        return Fault(lambda where: bad_option(where.argument(option), self.name, option, reason))

    def target_range(self, inputs: Types) -> TargetRange | None:
        return TargetRange(self.low, self.high, values=self.values)

    def calculate(self, x: Array) -> Array:
        return x

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [slope]

    def torch(self, node: Node) -> Spelling:
        return Spelling(In(0))

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return x
