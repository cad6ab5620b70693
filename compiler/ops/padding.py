"""Tensors made larger at their edges: pad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, Part, result, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import axes_constant, need_float, operand_type, places
from compiler.ops.broadcasting import cast
from compiler.ops.layers import known, need_held, refuse_option
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary import spelling
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling

_ONNX_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@OPS.register
@final
@dataclass(frozen=True)
class Pad(Op):
    """Entries added before and behind the last axes.

    `widths` goes from the last axis to the first, two numbers for each: `[1, 2]` adds one
    entry before and two behind the last axis, `[1, 2, 3, 4]` also three above and four below
    the one before it. Numbers below 0 cut off (mode "constant" only). "constant" adds `value`,
    "reflect" mirrors without the edge, "replicate" repeats the edge, "circular" goes on with
    the other end; the last three leave one or two axes in front unpadded, as in PyTorch.

    Shapes: x `f32[…, n]` -> `f32[…, before + n + behind]`.
    Errors: W0392 for widths that do not suit the tensor, W0380 where it has too few or too
    many axes, W0382 where a mode other than "constant" meets whole numbers.
    Example: `y = image -> pad([1, 1, 1, 1], mode="reflect")`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html
    """

    name = "pad"
    axis_by_axis = True
    operands = (Operand("x"),)

    widths: tuple[int | Dim, ...]
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    value: int | float = 0

    @property
    def _pairs(self) -> list[tuple[Dim, Dim]]:
        """(before, behind) of the padded axes, the last axis first."""
        sizes = [Dim.of(w) for w in self.widths]
        return list(zip(sizes[::2], sizes[1::2], strict=True))

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        if len(self.widths) % 2 or len(self.widths) > 2 * x.rank:
            reason = f"{len(self.widths)} widths for {x}: two for each axis, from the last"
            raise self._refuse(reason)
        if self.mode == "constant":
            need_held(self.name, "value", self.value, x.dtype)
            if x.dtype.is_integer and not float(self.value).is_integer():
                refuse_option(self.name, "value", self.value, f"a whole number in {x.dtype}")
        else:
            self._check_rank(x)
            need_float("pad", x)
        shape = list(x.shape)
        for back, (before, behind) in enumerate(self._pairs, start=1):
            for width in (before, behind):
                self._check_width(width, x, -back, assume)
            shape[-back] = shape[-back] + before + behind
            some = at_most(1, shape[-back])
            if some is None:
                assume(Dim.of(1), "<=", shape[-back])
            elif not some:
                raise self._refuse(f"nothing is left of axis {-back} of {x}")
        return (TensorType(x.dtype, tuple(shape)),)

    def _check_rank(self, x: TensorType) -> None:
        padded = len(self.widths) // 2
        if x.rank - padded not in (1, 2) or not 1 <= padded <= 3:
            needed = f"{padded + 1} or {padded + 2} axes to pad {padded} of them"
            raise Fault(
                lambda where: wrong_rank(
                    where.call, f'pad(mode="{self.mode}")', needed, x, places(where, 1)
                )
            )

    def _check_width(self, width: Dim, x: TensorType, axis: int, assume: Assume) -> None:
        """Raises `Fault` where the mode cannot make that many entries from the axis."""
        if self.mode == "constant":
            return
        if at_most(0, width) is False:
            raise self._refuse(f'only mode "constant" cuts off, and {width} is below 0')
        if self.mode == "replicate":
            return
        needed = width + 1 if self.mode == "reflect" else width
        fits = at_most(needed, x.shape[axis])
        if fits is None:
            assume(needed, "<=", x.shape[axis])
        elif not fits:
            reason = f"axis {axis} of {x} is too short for {width} entries"
            raise self._refuse(reason)

    def _refuse(self, reason: str) -> Fault:
        return Fault(lambda where: bad_option(where.argument("widths"), "pad", "widths", reason))

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        widths = [(a.evaluate({}), b.evaluate({})) for a, b in reversed(self._pairs)]
        full = [(0, 0)] * (x.ndim - len(widths)) + widths
        cut = tuple(
            slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(full, x.shape, strict=True)
        )
        grown = [(max(a, 0), max(b, 0)) for a, b in full]
        if self.mode == "constant":
            return (np.pad(x[cut], grown, constant_values=x.dtype.type(self.value)),)
        return (np.pad(x, grown, mode=_NUMPY_MODES[self.mode]),)  # type: ignore[call-overload]

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        if self.mode == "constant":
            return [slope.pad([-Dim.of(width) for width in self.widths])]
        # Numbers of entries go through it as fractions, of which f64 holds all.
        numbers = x.number_entries(Dim.of(0)).cast(DType.F64)
        (places,) = slope.build.add(self, [numbers])
        return [slope.add_at(places.cast(DType.I64), x.type.size).reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = outputs[0].rank
        padded, parts = [], []
        for back, (before, behind) in enumerate(self._pairs, start=1):
            axis = rank - back
            if before == 0 and behind == 0:
                continue
            padded.append(axis)
            low = before.known
            if self.mode == "constant" and low is not None and low >= 0 and at_most(0, behind):
                parts.append(Part(result(axis), x.axis(axis), low))
        return Coupling(tie_same(x, rank, without=padded), tuple(parts))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        y, widths = outputs[0], list(self.widths)
        for back, (before, behind) in enumerate(self._pairs, start=1):
            axis = y.old.rank - back
            if y.is_cut(axis) and not before == behind == 0:
                end = known(y.old.shape[axis] - behind)
                widths[2 * back - 2] = y.count_before(axis, known(before))
                widths[2 * back - 1] = known(y.type.shape[axis]) - y.count_before(axis, end)
        return replace(self, widths=tuple(widths))

    def torch(self, node: Node) -> Spelling:
        widths = (Leaf(w, f"pad{i}", field=f"widths.{i}") for i, w in enumerate(self.widths))
        mode = self.leaf("mode")
        value = self.leaf("value")
        named = (("mode", mode), ("value", value))
        return Spelling(Call("F.pad", (In(0), spelling.Sequence(tuple(widths))), named))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        dtype = outputs[0].dtype
        if self.mode == "circular":
            return [self._write_circular(build, x.value, x.type)]
        none = [Dim.of(0)] * (x.rank - len(self._pairs))
        before, behind = ([pair[side] for pair in reversed(self._pairs)] for side in (0, 1))
        wide = DType.I32 if dtype is DType.I16 else dtype  # runtime_faults: pad_of_i16
        given = [cast(build, x.value, dtype, wide), build.shape([*none, *before, *none, *behind])]
        if self.value:
            given.append(build.constant(np.array(self.value, wide.numpy), wide))
        mode = {} if self.mode == "constant" else {"mode": _ONNX_MODES[self.mode]}
        return [cast(build, build.op("Pad", given, mode), wide, dtype)]

    def _write_circular(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        """Ends joined to the other side: ONNX's own mode for it came with opset 19 only."""
        for back, (before, behind) in enumerate(self._pairs, start=1):
            axis = type.rank - back
            parts = [x]
            if before != 0:
                end = axes_constant(build, [np.iinfo(np.int64).max])
                tail = [x, build.shape([-before]), end, axes_constant(build, [axis])]
                parts.insert(0, build.op("Slice", tail))
            if behind != 0:
                head = [x, axes_constant(build, [0]), build.shape([behind])]
                parts.append(build.op("Slice", [*head, axes_constant(build, [axis])]))
            x = build.op("Concat", parts, {"axis": axis}) if len(parts) > 1 else x
        return x

    def over_rows(self, operands: Types, rows: Dim) -> Self | None:
        free = operand_type(operands, 0).rank - len(self.widths) // 2
        return self if self.mode == "constant" or free == 1 else None
