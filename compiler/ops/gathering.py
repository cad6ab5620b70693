"""Entries picked and placed by tensors of positions: gather, take_along, put, one_hot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from compiler.ir.coupling import Coupling, result
from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ops.axes import need_index, places, resolve_axis, unsqueeze
from compiler.ops.broadcasting import cast
from compiler.ops.choosing import spell_cast
from compiler.ops.creation import LARGEST
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import (
    bad_option,
    dtypes_differ,
    sizes_disagree,
    wrong_dtype,
)
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, at_most, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import (
    Call,
    Device,
    In,
    Index,
    Infix,
    Leaf,
    Method,
    Name,
    SliceTerm,
    Spelling,
    Term,
)


def gather_together(
    build: OnnxBuilder,
    x: Any,
    rank: int,
    axis: int,
    indices: Sequence[Any],
    types: Sequence[TensorType],
    shape: Sequence[Dim],
) -> Any:
    """`x[:, …, i, j]` in ONNX: tensors of positions along the axes from `axis` on.

    Args:
        build: where nodes go.
        x: a tensor of that rank.
        rank: number of its axes.
        axis: the first axis that a tensor indexes.
        indices: one tensor for it and each axis after it.
        types: their types.
        shape: what their shapes broadcast to.
    """
    if len(indices) == 1:
        return build.op("Gather", [x, indices[0]], {"axis": axis})
    columns = []
    for index, found in zip(indices, types, strict=True):
        column = cast(build, index, found.dtype, DType.I64)
        if found.shape != tuple(shape):
            column = build.op("Expand", [column, build.shape(shape)])
        columns.append(unsqueeze(build, column, [len(shape)]))
    where = build.op("Concat", columns, {"axis": len(shape)})
    front = list(range(axis, axis + len(indices)))
    behind = list(range(axis + len(indices), rank))
    before = list(range(axis))
    turned = build.op("Transpose", [x], {"perm": (*front, *before, *behind)}) if axis else x
    made = build.op("GatherND", [turned, where])
    if not axis:
        return made
    picked = list(range(len(shape)))
    kept = [len(shape) + i for i in range(len(before) + len(behind))]
    order = (*kept[:axis], *picked, *kept[axis:])
    return build.op("Transpose", [made], {"perm": order})


def spell_long(node: Node, index: int) -> Term:
    """An operand as positions: PyTorch's gather takes i64 only."""
    value = node.inputs[index]
    assert value is not None
    return In(index) if value.type.dtype is DType.I64 else Method(In(index), "long")


def need_one_dtype(op: str, left: TensorType, right: TensorType, *, count: int = 2) -> None:
    """Raises `Fault` if two of the `count` operands of a call differ in dtype."""
    if left.dtype is not right.dtype:
        raise Fault(lambda where: dtypes_differ(where.call, op, left, right, places(where, count)))


@OPS.register
@final
@dataclass(frozen=True)
class Gather(Op):
    """Entries along an axis, each picked by a position of its own, as `torch.gather`.

    The index has as many axes as x, and the result has its shape:
    `y[i, j] = x[i, index[i, j]]` for axis 1. Positions are at least 0.

    Shapes: x `f32[…, n, …]`, index `i64[…, k, …]` -> `f32[…, k, …]`.
    Errors: W0376 where there is no such axis, W0380 where the ranks differ, W0382 where the
    index holds no positions, W0387 where the index is larger than x beside the axis.
    Example: `chosen = softmax(logits, axis=1) -> gather(label[:, none], axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.gather.html
    """

    name = "gather"
    row_axes = ("axis",)
    moves = True
    operands = (Operand("x"), Operand("index", index=True))

    axis: int

    def infer(self, assume: Assume, x: TensorType, index: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        need_index(self.name, index, operand=1)
        if index.rank != x.rank:
            needed = f"an index with as many axes as {x}"
            raise Fault(lambda where: wrong_rank(where.call, "gather", needed, index))
        for i, (wanted, size) in enumerate(zip(index.shape, x.shape, strict=True)):
            fits = True if i == axis else at_most(wanted, size)
            if fits is None:
                assume(wanted, "<=", size)
            elif not fits:
                reason = f"axis {i} is {wanted} in the index and only {size} in {x}"
                raise Fault(
                    lambda where, reason=reason: sizes_disagree(  # type: ignore[misc]
                        where.call, "gather", reason, places(where, 2)
                    )
                )
        return (TensorType(x.dtype, index.shape),)

    def domains(self, x: NodeInput, index: NodeInput) -> Mapping[NodeInput, Domain]:
        return {index: Domain(x.shape[self.axis])}

    def evaluate(self, x: Array, index: Array) -> tuple[Array, ...]:
        cut = [slice(None if i == self.axis % x.ndim else n) for i, n in enumerate(index.shape)]
        return (np.take_along_axis(x[tuple(cut)], index, axis=self.axis),)

    def torch(self, node: Node) -> Spelling:
        axis = self.leaf("axis")
        return Spelling(Method(In(0), "gather", (axis, spell_long(node, 1))))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, index: OnnxInput) -> Values:
        attributes = {"axis": self.axis % outputs[0].rank}
        return [build.op("GatherElements", [x.value, index.value], attributes)]


@OPS.register
@final
@dataclass(frozen=True)
class TakeAlong(Op):
    """Along an axis, the entry that stands at a position given for each place before it.

    The index repeats the axes of x before `axis`: `f32[n, t, d]`, `i64[n]` and axis 1 give
    `f32[n, d]`, `y[i] = x[i, index[i]]`. With one axis more, several are taken: `i64[n, k]`
    gives `f32[n, k, d]`. Positions are at least 0.

    Shapes: x `f32[b…, n, d…]`, index `i64[b…]` or `i64[b…, k]` -> `f32[b…, d…]` or `f32[b…, k,
    d…]`.
    Errors: W0376 where there is no such axis, W0380 where the index has too few or too many
    axes, W0382 where it holds no positions, W0387 where its first axes are not those of x.
    Example: `last = take_along(sequence, length - 1, axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.take_along_dim.html
    """

    name = "take_along"
    row_axes = ("axis",)
    moves = True
    operands = (Operand("x"), Operand("index", index=True))

    axis: int

    def infer(self, assume: Assume, x: TensorType, index: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        need_index(self.name, index, operand=1)
        if index.rank not in (axis, axis + 1):
            needed = f"an index of {axis} or {axis + 1} axes here"
            raise Fault(lambda where: wrong_rank(where.call, "take_along", needed, index))
        for i, (found, size) in enumerate(zip(index.shape[:axis], x.shape, strict=False)):
            same = equal(found, size)
            if same is None:
                assume(found, "==", size)
            elif not same:
                reason = f"axis {i} is {found} in the index and {size} in {x}"
                raise Fault(
                    lambda where, reason=reason: sizes_disagree(  # type: ignore[misc]
                        where.call, "take_along", reason, places(where, 2)
                    )
                )
        return (TensorType(x.dtype, (*x.shape[:axis], *index.shape[axis:], *x.shape[axis + 1 :])),)

    def domains(self, x: NodeInput, index: NodeInput) -> Mapping[NodeInput, Domain]:
        return {index: Domain(x.shape[self.axis])}

    def evaluate(self, x: Array, index: Array) -> tuple[Array, ...]:
        axis = self.axis % x.ndim
        single = index.ndim == axis
        wide = index.reshape(*index.shape, *[1] * (x.ndim - index.ndim))
        made = np.take_along_axis(x, wide, axis=axis)
        return (np.squeeze(made, axis) if single else made,)

    def couple(self, outputs: Results, x: NodeInput, index: NodeInput) -> Coupling:
        y = outputs[0]
        behind = range(1, x.rank - self.axis % x.rank)
        return Coupling(tuple((x.axis(x.rank - a), result(y.rank - a)) for a in behind))

    def torch(self, node: Node) -> Spelling:
        x, index = (v.type for v in node.inputs if v is not None)
        axis = self.axis % x.rank
        if index.rank == axis == 1:
            rows = Leaf(x.shape[0], "rows", dim=("in", 0, 0))
            every = Call("torch.arange", (rows,), (("device", Device()),))
            return Spelling(Index(In(0), (every, In(1))))
        wide = spell_long(node, 1)
        if index.rank < x.rank:
            items: list[Term | SliceTerm] = [SliceTerm()] * index.rank
            items += [Name("None")] * (x.rank - index.rank)
            wide = Index(wide, tuple(items))
        dim = (("dim", self.leaf("axis")),)
        made = Method(In(0), "take_along_dim", (wide,), dim)
        return Spelling(made if index.rank > axis else Method(made, "squeeze", (Leaf(axis),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, index: OnnxInput) -> Values:
        places = unsqueeze(build, cast(build, index.value, index.dtype, DType.I64), [index.rank])
        return [build.op("GatherND", [x.value, places], {"batch_dims": self.axis % x.rank})]


@OPS.register
@final
@dataclass(frozen=True)
class Put(Op):
    """x with a piece replaced by `update`, from position `at` along an axis on.

    `at` is a whole number or a tensor without axes; the update has the shape of x but for the
    axis, along which it is not longer, and it lies inside.

    Shapes: x `f32[…, n, …]`, update `f32[…, m, …]` with m <= n, at `i64[]` -> `f32[…, n, …]`.
    Errors: W0376 where there is no such axis, W0380, W0382 for `at`, W0387 where the update
    does not fit, W0397 where the dtypes differ.
    Example:

        input past: f32[n, 4, 100, 16]
        input new: f32[n, 4, 1, 16]
        input position: i64[]
        cache = past -> put(new, at=position, axis=2)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.slice_scatter.html
    """

    name = "put"
    moves = True
    operands = (Operand("x"), Operand("update"), Operand("at", index=True))

    axis: int

    def infer(
        self, assume: Assume, x: TensorType, update: TensorType, at: TensorType
    ) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        need_one_dtype(self.name, x, update)
        need_index(self.name, at, operand=2)
        if at.rank:
            needed = "one position as `at`, a tensor without axes"
            raise Fault(lambda where: wrong_rank(where.argument("at"), "put", needed, at))
        if update.rank != x.rank:
            needed = f"an update with as many axes as {x}"
            raise Fault(lambda where: wrong_rank(where.argument("update"), "put", needed, update))
        for i, (found, size) in enumerate(zip(update.shape, x.shape, strict=True)):
            self._check_size(x, i, found, size, assume, inside=i == axis)
        return (x,)

    def _check_size(
        self, x: TensorType, axis: int, found: Dim, size: Dim, assume: Assume, *, inside: bool
    ) -> None:
        fits = at_most(found, size) if inside else equal(found, size)
        if fits is None:
            assume(found, "<=" if inside else "==", size)
        elif not fits:
            reason = f"axis {axis} is {found} in the update and {size} in {x}"
            raise Fault(
                lambda where: sizes_disagree(
                    where.argument("update"), "put", reason, places(where, 2)
                )
            )

    def domains(self, x: NodeInput, update: NodeInput, at: NodeInput) -> Mapping[NodeInput, Domain]:
        return {at: Domain(x.shape[self.axis] - update.shape[self.axis] + 1)}

    def evaluate(self, x: Array, update: Array, at: Array) -> tuple[Array, ...]:
        axis = self.axis % x.ndim
        made = x.copy()
        place = slice(int(at), int(at) + update.shape[axis])
        made[(*[slice(None)] * axis, place)] = update
        return (made,)

    def couple(self, outputs: Results, x: NodeInput, update: NodeInput, at: NodeInput) -> Coupling:
        axis = self.axis % outputs[0].rank
        others = [a for a in range(outputs[0].rank) if a != axis]
        return Coupling(tuple((x.axis(a), update.axis(a), result(a)) for a in others))

    def torch(self, node: Node) -> Spelling:
        update = node.inputs[1]
        assert update is not None
        axis = self.axis % update.type.rank
        count = Leaf(update.type.shape[axis], "count", dim=("in", 1, axis))
        steps = Call("torch.arange", (count,), (("device", Device()),))
        rows = Infix("+", In(2, number=True), steps)
        return Spelling(Method(In(0), "index_copy", (self.leaf("axis"), rows, In(1))))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, update: OnnxInput, at: OnnxInput
    ) -> Values:
        axis = self.axis % update.rank
        rows = build.op(
            "Add",
            [cast(build, at.value, at.dtype, DType.I64), write_steps(build, update.shape[axis])],
        )
        column = [i for i in range(update.rank) if i != axis]
        indices = build.op("Expand", [unsqueeze(build, rows, column), build.shape(update.shape)])
        return [build.op("ScatterElements", [x.value, indices, update.value], {"axis": axis})]


def write_steps(build: OnnxBuilder, count: Dim) -> Any:
    """0, 1, 2 … as a tensor of that length."""
    if count.known is not None and count.known <= LARGEST:
        return build.constant(np.arange(count.known, dtype=np.int64))
    zero, one = (build.constant(np.array(n, np.int64)) for n in (0, 1))
    return build.op("Range", [zero, build.op("Squeeze", [build.shape([count])]), one])


@OPS.register
@final
@dataclass(frozen=True)
class OneHot(Op):
    """Whole numbers as vectors with a single 1: `i64[n]` becomes `i64[n, classes]`.

        y[…, k] = 1 where x[…] = k, else 0

    Every number is at least 0 and below `classes`; `dtype` is that of the result.

    Shapes: x `i64[...]` -> `i64[..., classes]`.
    Errors: W0382 where x is not an integer tensor, W0392 where there is no class.
    Example: `y = one_hot(label, 10, dtype=f32)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html
    """

    name = "one_hot"
    row_axes = ()
    encodes = True
    operands = (Operand("x"),)

    classes: int
    dtype: DType = DType.I64

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        if not x.dtype.is_integer:
            hint = "convert it: `cast(…, i64)`"
            raise Fault(
                lambda where: wrong_dtype(
                    where.call, "one_hot", "a tensor of whole numbers", x, places(where, 1), hint
                )
            )
        if self.classes < 1:
            reason = f"{self.classes} is not a number of classes"
            raise Fault(
                lambda where: bad_option(where.argument("classes"), "one_hot", "classes", reason)
            )
        return (TensorType(self.dtype, (*x.shape, Dim.of(self.classes))),)

    def domains(self, x: NodeInput) -> Mapping[NodeInput, Domain]:
        return {x: Domain(Dim.of(self.classes))}

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        x = x[..., None]
        return ((x == np.arange(self.classes)).astype(self.dtype.numpy),)

    def torch(self, node: Node) -> Spelling:
        classes = self.leaf("classes")
        made = Call("F.one_hot", (spell_long(node, 0), classes))
        return Spelling(made if self.dtype is DType.I64 else spell_cast(made, self.dtype))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        index = cast(build, x.value, x.dtype, DType.I64)
        if not x.rank:  # OneHot wants an axis
            classes = write_steps(build, Dim.of(self.classes))
            return [cast(build, build.op("Equal", [classes, index]), DType.BOOL, self.dtype)]
        made = self.dtype if self.dtype in (DType.F32, DType.I64) else DType.I64
        depth = build.constant(np.array(self.classes, np.int64))
        values = build.constant(np.array([0, 1], made.numpy))
        return [cast(build, build.op("OneHot", [index, depth, values]), made, self.dtype)]
