"""Tensors repeated along their axes: whole copies, or every entry several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, Factors, inner, result, tie_last, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import operand_type, resolve_axis, unsqueeze
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling


def _need_times(op: str, times: Sequence[int | Dim]) -> None:
    """Raises `Fault` for a number of copies below 1."""
    bad = next((t for t in times if (Dim.of(t).known or 1) < 1 or t == 0), None)
    if bad is not None:
        raise Fault(
            lambda where: bad_option(
                where.argument("times"), op, "times", f"{bad} is not a number of copies"
            )
        )


@OPS.register
@final
@dataclass(frozen=True)
class Repeat(Op):
    """Whole copies of a tensor side by side, `times[i]` of them along axis i.

    `f32[2, 3]` with `[1, 4]` is `f32[2, 12]`. More numbers than axes make new axes in front;
    fewer leave the first axes as they are. `expand` repeats axes of size 1 without copying.

    Shapes: x `f32[d0, …]` -> `f32[times[0] * d0, …]`.
    Example: `y = x -> repeat([1, 4])`
    Errors: W0392 for a number of copies below 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.repeat.html
    """

    name = "repeat"
    aliases = ("tile",)
    operands = (Operand("x"),)

    times: tuple[int | Dim, ...]

    def _padded(self, rank: int) -> tuple[Dim, ...]:
        ones = (1,) * max(rank - len(self.times), 0)
        return tuple(Dim.of(t) for t in (*ones, *self.times))

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        _need_times(self.name, self.times)
        times = self._padded(x.rank)
        shape = (*(Dim.of(1),) * (len(times) - x.rank), *x.shape)
        return (TensorType(x.dtype, tuple(t * d for t, d in zip(times, shape, strict=True))),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.tile(x, [Dim.of(t).evaluate({}) for t in self.times]),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        (places,) = slope.build.add(self, [x.number_entries(Dim.of(0))])
        return [slope.add_at(places, x.type.size).reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_last(x, outputs[0]))

    def torch(self, node: Node) -> Spelling:
        rank = node.output.type.rank
        ones = rank - len(self.times)
        leaves = [Leaf(1)] * max(ones, 0)
        leaves += [Leaf(t, f"times{i}", field=f"times.{i}") for i, t in enumerate(self.times)]
        return Spelling(Method(In(0), "repeat", tuple(leaves)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        times = self._padded(x.rank)
        if not times:
            return [x.value]
        value = unsqueeze(build, x.value, range(len(times) - x.rank))
        return [build.op("Tile", [value, build.shape(times)])]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, times=(1, *self._padded(operand_type(operands, 0).rank)))

    def row_ranks(self, operands: Types) -> tuple[int, ...]:
        return (max(operand_type(operands, 0).rank, len(self.times)),)


@OPS.register
@final
@dataclass(frozen=True)
class RepeatInterleave(Op):
    """Every entry along an axis several times in a row: `[a, b]` twice is `[a, a, b, b]`.

    `f32[n, groups, t, d]` with 4 times along axis 1 is `f32[n, 4 * groups, t, d]`.

    Shapes: x `f32[…, n, …]` -> `f32[…, times * n, …]`.
    Errors: W0376 where there is no such axis, W0392 for a number of copies below 1.
    Example: `y = k -> repeat_interleave(2, axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.repeat_interleave.html
    """

    name = "repeat_interleave"
    row_axes = ("axis",)
    torch_method = "repeat_interleave"
    torch_keywords: ClassVar[Mapping[str, str]] = {"axis": "dim"}
    operands = (Operand("x"),)

    times: int
    axis: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        _need_times(self.name, [self.times])
        axis = resolve_axis(self.name, self.axis, x)
        size = x.shape[axis] * self.times
        return (TensorType(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.repeat(x, self.times, axis=self.axis),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        (places,) = slope.build.add(self, [x.number_entries(Dim.of(0))])
        return [slope.add_at(places, x.type.size).reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        axis = self.axis % outputs[0].rank
        copies = inner(0, self.times)
        factors = Factors(result(axis), (x.axis(axis), copies), kept=0)
        return Coupling(tie_same(x, outputs[0].rank, without=(axis,)), factors=(factors,))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        if self.times == 1:
            return [x.value]
        behind = self.axis % x.rank + 1
        ones = [Dim.of(1)] * x.rank
        copies = build.shape((*ones[:behind], Dim.of(self.times), *ones[behind:]))
        spread = build.op("Expand", [unsqueeze(build, x.value, [behind]), copies])
        full = (*x.shape[:behind], Dim.of(self.times), *x.shape[behind:])
        return [build.reshape(spread, full, outputs[0].shape)]
