"""Normalisation over neighbouring channels: AlexNet's local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.symbols import Symbol
from compiler.ops.activation import write_number
from compiler.ops.axes import axes_constant, need_float, need_rank
from compiler.ops.layers import need_least, refuse_option, widen
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand


@OPS.register
@final
@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """Local response normalisation: each entry is divided by what the channels around it have at
    the same place (Krizhevsky et al. 2012).

        y[c] = x[c] / (k + alpha / size * Σ_j x[j]²) ^ beta,   j from c - size // 2 to
                                                               c + (size - 1) // 2

    The paper has no division by `size`: its alpha is PyTorch's divided by `size`. Channels beyond
    the first and last count as 0.

    Shapes: x `f32[n, c, size…]` with one axis of space at least -> the same.

    - `size`: how many channels are summed.
    - `alpha`, `beta`, `k`: factor, exponent and summand of the formula.

    Errors: W0353 where `size` is below 1, or `k` or `alpha` below 0; W0380 for fewer axes.
    Example: `y = image -> conv(96, kernel=11, stride=4) -> relu -> local_response_norm(5, k=2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html
    """

    name = "local_response_norm"
    keeps_f32 = True
    operands = (Operand("x"),)
    torch_function = "F.local_response_norm"
    torch_module = "nn.LocalResponseNorm"
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        need_rank(self.name, x, 3)
        need_least(self.name, "size", self.size, 1)
        for option, value in (("alpha", self.alpha), ("k", self.k)):
            if value < 0:
                refuse_option(self.name, option, value, "at least 0")
        return (x,)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        wide = widen(x)
        kind = wide.dtype.type
        total = np.zeros_like(wide)
        squares = np.pad(np.square(wide), self._pads(x.ndim))
        for place in range(self.size):
            total += squares[:, place : place + x.shape[1]]
        y = wide / (kind(self.k) + kind(self.alpha / self.size) * total) ** kind(self.beta)
        return (y.astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        low, high = self._pads(x.rank)[1]
        zeros = [Dim.of(0)] * (2 * (x.rank - 2))
        padded = (x * x).pad([*zeros, Dim.of(low), Dim.of(high)])
        total = x.zeros()
        for place in range(self.size):
            back = Dim.of(place - self.size + 1)
            total = total + padded.pad([*zeros, Dim.of(-place), back])
        return [x / (self.k + self.alpha / self.size * total) ** self.beta]

    def _pads(self, rank: int) -> list[tuple[int, int]]:
        """The channels of zeros before the first and behind the last."""
        pads = [(0, 0)] * rank
        pads[1] = (self.size // 2, (self.size - 1) // 2)
        return pads

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, outputs[0].rank, without=(1,)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        value = x.value
        if x.rank == 4 and self.size % 2 and x.dtype is DType.F32:  # what ONNX Runtime has
            options = {"alpha": self.alpha, "beta": self.beta, "bias": self.k}
            named = {name: float(number) for name, number in options.items()}
            return [build.op("LRN", [value], {"size": self.size, **named})]
        total = self._sum_squares(build, build.op("Mul", [value, value]), x.type)
        share = build.op("Mul", [total, write_number(build, self.alpha / self.size, x.type)])
        base = build.op("Add", [share, write_number(build, self.k, x.type)])
        divisor = build.op("Pow", [base, write_number(build, self.beta, x.type)])
        return [build.op("Div", [value, divisor])]

    def _sum_squares(self, build: OnnxBuilder, squares: Any, x: TensorType) -> Any:
        """The sums over neighbours, as shifted slices of what is padded."""
        low, high = zip(*self._pads(x.rank), strict=True)
        padded = build.op("Pad", [squares, build.constant(np.array([*low, *high], np.int64))])
        along = axes_constant(build, [1])
        total = None
        for place in range(self.size):
            start = build.constant(np.array([place], np.int64))
            stop = build.shape([x.shape[1] + place])
            piece = build.op("Slice", [padded, start, stop, along])
            total = piece if total is None else build.op("Add", [total, piece])
        return total
