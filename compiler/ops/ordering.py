"""Entries along an axis in another order: sort, topk and roll."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import shift_axis
from compiler.ops.axes import axes_constant, need_number, resolve_axis
from compiler.ops.layers import need_held
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling


def rank_entries(x: Array, axis: int, *, descending: bool) -> Array:
    """The places of the entries along an axis in order; of equals the first comes first."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    turned = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(turned, axis))


@dataclass(frozen=True)
class Ordered(Op):
    """Base of ops that give entries along an axis in order, and the places that they had."""

    operands = (Operand("x"),)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        axis = self._axis % outputs[0].rank
        return Coupling(tie_same(x, outputs[0].rank, outputs=2, without=(axis,)))

    @property
    @abstractmethod
    def _axis(self) -> int:
        """The axis along which entries are in order, as it is given."""

    def _write(self, build: OnnxBuilder, x: Any, count: Dim, rank: int, *, largest: bool) -> Values:
        attributes = {"axis": self._axis % rank, "largest": int(largest)}
        made = build.op("TopK", [x, build.shape([count])], attributes, outputs=2)
        return tuple(made)

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], x: Symbol
    ) -> Slopes:
        slope, places = slopes[0], results[1]
        assert slope is not None, "places have no slope"
        return [x.zeros().apply("scatter_add", places, slope, axis=self._axis)]


@OPS.register
@final
@dataclass(frozen=True)
class Sort(Ordered):
    """The entries along an axis in order, and the places that they had there, as i64.

    Of equals the first comes first (PyTorch's `stable=True`). The axis is the last one unless it
    is given. `argsort` of `std.tensors` has the places alone.

    Shapes: x `f32[..., n, ...]` -> two tensors of its shape, the second of i64.

    - `axis`: along which entries are put in order.
    - `descending`: the largest first.

    Example: `values, places = x -> sort(descending=true)`
    Errors: W0376 where there is no such axis, W0382 where x is boolean.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.sort.html
    """

    name = "sort"
    row_axes = ("axis",)

    axis: int = -1
    descending: bool = False

    @property
    def _axis(self) -> int:
        return self.axis

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_number(self.name, x)
        resolve_axis(self.name, self.axis, x)
        return x, TensorType(DType.I64, x.shape)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        places = rank_entries(x, self.axis, descending=self.descending)
        return np.take_along_axis(x, places, self.axis), places

    def torch(self, node: Node) -> Spelling:
        options = (
            ("dim", Leaf(self.axis, "axis", default=-1, field="axis")),
            ("descending", Leaf(self.descending, default=False)),
            ("stable", Leaf(True)),
        )
        return Spelling(Method(In(0), "sort", (), options))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        shape = outputs[0].shape
        count = shape[self.axis % len(shape)]
        return self._write(build, x.value, count, len(shape), largest=self.descending)


@OPS.register
@final
@dataclass(frozen=True)
class TopK(Ordered):
    """The k largest entries along an axis, the largest first, and the places that they had, as
    i64.

    The axis is the last one unless it is given. Of equals the first come first, in every backend:
    `torch.topk` leaves that open, so that generated code sorts.

    Shapes: x `f32[..., n, ...]` with k <= n -> `f32[..., k, ...]` and `i64[..., k, ...]`.

    - `k`: how many.
    - `axis`: along which entries are compared.
    - `largest`: false takes the smallest, the smallest first.

    Errors: W0376 where there is no such axis, W0382 where x is boolean, W0392 where k is below 1
    or above the size of the axis.
    Example: `best, place = softmax(logits, axis=-1) -> topk(5)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.topk.html
    """

    name = "topk"
    row_axes = ("axis",)

    k: int | Dim
    axis: int = -1
    largest: bool = True

    @property
    def _axis(self) -> int:
        return self.axis

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_number(self.name, x)
        axis, k = resolve_axis(self.name, self.axis, x), Dim.of(self.k)
        fits = at_most(k, x.shape[axis])
        if (k.known is not None and k.known < 1) or fits is False:
            reason = f"{k} is not from 1 to the {x.shape[axis]} entries of axis {axis} of {x}"
            raise Fault(lambda where: bad_option(where.argument("k"), "topk", "k", reason))
        if fits is None:
            assume(k, "<=", x.shape[axis])
        shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
        return TensorType(x.dtype, shape), TensorType(DType.I64, shape)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        places = rank_entries(x, self.axis, descending=self.largest)
        places = np.take(places, np.arange(Dim.of(self.k).evaluate({})), self.axis)
        return np.take_along_axis(x, places, self.axis), places

    def torch(self, node: Node) -> Spelling:
        options = (
            ("dim", Leaf(self.axis, "axis", default=-1, field="axis")),
            ("largest", Leaf(self.largest, default=True)),
        )
        return Spelling(Call("top_k", (In(0), self.leaf("k")), options))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        rank = outputs[0].rank
        return self._write(build, x.value, Dim.of(self.k), rank, largest=self.largest)


@OPS.register
@final
@dataclass(frozen=True)
class Roll(Op):
    """Entries moved along axes; what leaves at one end comes back at the other.

    `y[i] = x[(i - shift) mod n]`: 1 moves every entry by one place to the end.

    Shapes: x `f32[...]` -> the same.

    - `shift`: by how many places, below 0 to the front; a number for each axis.
    - `axis`: along which axis, or axes.

    Errors: W0376 where there is no such axis, W0392 where there is not one shift for each axis.
    Example: `y = features -> roll([-3, -3], axis=[2, 3])`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.roll.html
    """

    name = "roll"
    moves = True
    operands = (Operand("x"),)

    shift: int | tuple[int, ...]
    axis: int | tuple[int, ...]

    def _pairs(self) -> list[tuple[int, int]]:
        """Each axis as it is written, and by how much entries move along it."""
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        shifts = (self.shift,) if isinstance(self.shift, int) else self.shift
        return list(zip(axes, shifts, strict=True))

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        shifts = (self.shift,) if isinstance(self.shift, int) else self.shift
        if len(axes) != len(shifts) or not axes:
            reason = f"{len(shifts)} for {len(axes)} axes"
            raise Fault(lambda where: bad_option(where.argument("shift"), "roll", "shift", reason))
        for axis, shift in self._pairs():
            resolve_axis(self.name, axis, x)
            need_held(self.name, "shift", shift, DType.I32)
        return (x,)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.roll(x, self.shift, self.axis),)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = outputs[0].rank
        return Coupling(tie_same(x, rank, without=[axis % rank for axis, _ in self._pairs()]))

    def torch(self, node: Node) -> Spelling:
        options = (self.leaf("shift"), self.leaf("axis"))
        return Spelling(Method(In(0), "roll", options))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        value = x.value
        for axis, shift in self._pairs():
            value = _write_roll(build, value, x.shape[axis], axis % x.rank, shift)
        return [value]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        axes = self.axis
        moved = shift_axis(axes) if isinstance(axes, int) else tuple(map(shift_axis, axes))
        return replace(self, axis=moved)


def _write_roll(build: OnnxBuilder, x: Any, size: Dim, axis: int, shift: int) -> Any:
    """The entries from the new first one on, and behind them those before it."""
    first: Any
    if size.known is not None:
        start = -shift % size.known
        if not start:
            return x
        first = axes_constant(build, [start])
    else:
        first = build.op("Mod", [axes_constant(build, [-shift]), build.shape([size])])
    zero, end, along = (axes_constant(build, [n]) for n in (0, np.iinfo(np.int64).max, axis))
    parts = [build.op("Slice", [x, first, end, along]), build.op("Slice", [x, zero, first, along])]
    return build.op("Concat", parts, {"axis": axis})
