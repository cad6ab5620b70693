"""Axes moved, added, dropped and repeated: transpose, permute, squeeze, unsqueeze, expand, flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, cut_shape, tie_last, tie_moved, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import Trace, shift_axis
from compiler.ops.axes import (
    axes_constant,
    count_axes,
    places,
    resolve_axes,
    resolve_axis,
    squeeze,
    unsqueeze,
)
from compiler.ops.registry import OPS
from compiler.ops.reshaping import shape_text
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.report.messages.tensor_shapes import cannot_expand, not_size_one
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Transpose(Op):
    """Two axes exchanged: `f32[n, t, d]` with axes 1 and 2 is `f32[n, d, t]`.

    Shapes: x `f32[…, m, …, n, …]` -> `f32[…, n, …, m, …]`.
    Errors: W0376 where there is no such axis.
    Example: `y = sequence -> transpose(1, 2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.transpose.html
    """

    name = "transpose"
    row_axes = ("a", "b")
    torch_method = "transpose"
    keeps_channels = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    a: int
    b: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        resolve_axis(self.name, self.a, x, option="a")
        resolve_axis(self.name, self.b, x, option="b")
        return (TensorType(x.dtype, tuple(x.shape[i] for i in self._order(x.rank))),)

    def _order(self, rank: int) -> tuple[int, ...]:
        a, b = self.a % rank, self.b % rank
        return tuple(b if i == a else a if i == b else i for i in range(rank))

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.swapaxes(x, self.a, self.b),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("transpose", a=self.a, b=self.b)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_moved(x, ((a, i) for i, a in enumerate(self._order(outputs[0].rank)))))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        order = self._order(outputs[0].rank)
        return [build.op("Transpose", [x.value], {"perm": order})]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        a, b = self.a % outputs[0].rank, self.b % outputs[0].rank
        return ({a: b, b: a}.get(axis, axis),)


@OPS.register
@final
@dataclass(frozen=True)
class Permute(Op):
    """All axes in another order: axis i of the result is axis `axes[i]` of x.

    `f32[n, h, w, c]` with `[0, 3, 1, 2]` is `f32[n, c, h, w]`.

    Shapes: x `f32[d0, d1, …]` -> `f32[d(axes[0]), d(axes[1]), …]`.
    Errors: W0376, W0377 for the axes, W0392 where some are left out.
    Example: `y = image -> permute([0, 2, 3, 1])`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.permute.html
    """

    name = "permute"
    keeps_channels = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    axes: tuple[int, ...]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        if len(self.axes) != x.rank:
            reason = f"{len(self.axes)} axes are named, {x} has {x.rank}"
            raise Fault(lambda where: bad_option(where.argument("axes"), "permute", "axes", reason))
        resolve_axes(self.name, self.axes, x)
        return (TensorType(x.dtype, tuple(x.shape[i] for i in self.axes)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.transpose(x, self.axes),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        order = [axis % x.rank for axis in self.axes]
        return [slope.permute([order.index(axis) for axis in range(x.rank)])]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = len(self.axes)
        return Coupling(tie_moved(x, ((a % rank, i) for i, a in enumerate(self.axes))))

    def torch(self, node: Node) -> Spelling:
        axes = tuple(Leaf(a, field=f"axes.{i}") for i, a in enumerate(self.axes))
        return Spelling(Method(In(0), "permute", axes))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        rank = len(self.axes)
        return [build.op("Transpose", [x.value], {"perm": tuple(a % rank for a in self.axes)})]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, axes=(0, *map(shift_axis, self.axes)))

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return (self.axes[axis] % outputs[0].rank,)


@OPS.register
@final
@dataclass(frozen=True)
class Squeeze(Op):
    """Axes of size 1 dropped.

    `axis` is one axis or a list of them: a size that happens to be 1 when the network runs
    drops no axis.

    Shapes: x `f32[…, 1, …]` -> `f32[…, …]`.
    Example: `score = x -> dense(1) -> squeeze(1)`
    Errors: W0376, W0377 for the axes, W0389 where one is not of size 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html
    """

    name = "squeeze"
    keeps_channels = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    axis: int | tuple[int, ...]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axes = resolve_axes(self.name, self.axis, x)
        for axis in axes:
            same = equal(x.shape[axis], 1)
            if same is None:
                assume(x.shape[axis], "==", Dim.of(1))
            elif not same:
                raise Fault(
                    lambda where, axis=axis: not_size_one(  # type: ignore[misc]
                        where.argument("axis"), axis, x, places(where, 1)
                    )
                )
        return (TensorType(x.dtype, tuple(d for i, d in enumerate(x.shape) if i not in axes)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.squeeze(x, self.axis),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = x.rank
        gone = count_axes(self.axis, rank)
        kept = [a for a in range(rank) if a not in gone]
        return Coupling(tie_moved(x, ((a, i) for i, a in enumerate(kept))))

    def torch(self, node: Node) -> Spelling:
        axes = self.axis
        if isinstance(axes, tuple) and len(axes) == 1:
            axes = axes[0]
        return Spelling(Method(In(0), "squeeze", (Leaf(axes, "axis", field="axis"),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [squeeze(build, x.value, count_axes(self.axis, x.rank))]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return replace(self, axis=tuple(map(shift_axis, axes)))


@OPS.register
@final
@dataclass(frozen=True)
class Unsqueeze(Op):
    """A new axis of size 1, at place `axis` of the result.

    `f32[n, t]` with axis 1 is `f32[n, 1, t]`, with axis -1 `f32[n, t, 1]`. `x[:, none]` says
    the same.

    Shapes: x `f32[…, …]` -> `f32[…, 1, …]`.
    Example: `y = x -> unsqueeze(1)`
    Errors: W0376 where the result has no such axis.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.unsqueeze.html
    """

    name = "unsqueeze"
    row_axes = ("axis",)
    torch_method = "unsqueeze"
    keeps_channels = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    axis: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x, added=1)
        return (TensorType(x.dtype, (*x.shape[:axis], Dim.of(1), *x.shape[axis:])),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.expand_dims(x, self.axis),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = outputs[0].rank
        kept = [a for a in range(rank) if a != self.axis % rank]
        return Coupling(tie_moved(x, enumerate(kept)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [unsqueeze(build, x.value, [self.axis % outputs[0].rank])]


@OPS.register
@final
@dataclass(frozen=True)
class Expand(Op):
    """Axes of size 1 repeated, without copying: `f32[1, d]` with `[n, d]` is `f32[n, d]`.

    Sizes are lined up from the last axis; new axes come in front. -1 keeps what is there.

    Shapes: x `f32[…, 1, …]` -> `f32[new…, …, n, …]`.
    Errors: W0390 where an axis is neither of size 1 nor of the new size.
    Example:

        param token: f32[1, 1, 64] = normal(0.02)
        y = concat([expand(token, [n, 1, 64]), sequence], axis=1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html
    """

    name = "expand"
    keeps_channels = True
    onnx_bfloat = True
    moves = True
    operands = (Operand("x"),)

    shape: tuple[int | Dim, ...]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        target = self._target(x)
        shape = list(target)
        for axis in range(-x.rank, 0):
            shape[axis] = self._fit(x, axis, target[axis], assume)
        return (TensorType(x.dtype, tuple(shape)),)

    def _target(self, x: TensorType) -> tuple[Dim, ...]:
        """The new sizes, -1 where one is kept."""
        sizes = tuple(Dim.of(item) for item in self.shape)
        fresh = len(sizes) - x.rank
        if fresh < 0:
            self._refuse(x, f"{x} has more axes")
        if Dim.of(-1) in sizes[:fresh]:
            self._refuse(x, "-1 stands for an axis that is not there")
        return sizes

    def _fit(self, x: TensorType, axis: int, wanted: Dim, assume: Assume) -> Dim:
        found = x.shape[axis]
        if wanted in (-1, found):
            return found
        if found == 1:
            return wanted
        same = equal(found, wanted)
        if same is None:
            assume(found, "==", wanted)
        elif not same:
            self._refuse(x, f"axis {axis} is {found}, which cannot become {wanted}")
        return wanted

    def _refuse(self, x: TensorType, reason: str) -> None:
        text = shape_text(self.shape)
        raise Fault(
            lambda where: cannot_expand(where.argument("shape"), x, text, reason, places(where, 1))
        )

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        (made,) = self.infer(lambda *_: None, TensorType.of(DType.F32, x.shape))
        return (np.broadcast_to(x, [d.evaluate({}) for d in made.shape]),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.fit(x.type)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_last(x, outputs[0]))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        return replace(self, shape=cut_shape(self.shape, outputs[0]))

    def torch(self, node: Node) -> Spelling:
        value = node.inputs[0]
        assert value is not None
        source, target = value.type.shape, node.output.type.shape
        fresh = len(target) - len(source)
        if source == target:
            return Spelling(In(0))
        sizes = []
        for axis, dim in enumerate(target):
            kept = axis >= fresh and source[axis - fresh] == dim
            leaf = Leaf(dim, f"dim{axis}", field=f"shape.{axis}", dim=("out", 0, axis))
            sizes.append(Leaf(-1) if kept else leaf)
        return Spelling(Method(In(0), "expand", tuple(sizes)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        source, target = x.shape, outputs[0].shape
        if source == target:
            return [x.value]
        fresh = len(target) - len(source)
        # Expand broadcasts both ways: 1 says that an axis stays, and costs no computed size.
        sizes = [
            Dim.of(1) if i >= fresh and source[i - fresh] == d else d for i, d in enumerate(target)
        ]
        return [build.op("Expand", [x.value, build.shape(sizes)])]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, shape=(rows, *self.shape))

    def row_ranks(self, operands: Types) -> tuple[int, ...]:
        return (len(self.shape),)


@OPS.register
@final
@dataclass(frozen=True)
class Flip(Op):
    """The order of entries turned round along axes.

    Shapes: x `f32[...]` -> the same.
    Example: `mirrored = image -> flip(-1)`
    Errors: W0376, W0377 for the axes.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.flip.html
    """

    name = "flip"
    torch_method = "flip"
    moves = True
    operands = (Operand("x"),)

    axis: int | tuple[int, ...]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        resolve_axes(self.name, self.axis, x)
        return (x,)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (np.flip(x, self.axis),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("flip", axis=self.axis)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        turned = count_axes(self.axis, outputs[0].rank)
        return Coupling(tie_same(x, outputs[0].rank, without=turned))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        axes = count_axes(self.axis, outputs[0].rank)
        starts = axes_constant(build, [-1] * len(axes))
        ends = axes_constant(build, [np.iinfo(np.int64).min] * len(axes))
        return [build.op("Slice", [x.value, starts, ends, axes_constant(build, axes), starts])]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return replace(self, axis=tuple(map(shift_axis, axes)))
