"""Entries put, or added, where tensors of positions say: scatter, scatter_add, index_add."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np

from compiler.ir.coupling import Coupling, result
from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_index, need_number, places, resolve_axis, unsqueeze
from compiler.ops.broadcasting import cast
from compiler.ops.gathering import need_one_dtype, spell_long
from compiler.ops.indexing import Index
from compiler.ops.items import IndexItem, SliceItem, TensorIndex
from compiler.ops.magnitudes import measure_terms
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import sizes_disagree
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, at_most, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Method, Spelling

Reduce = Literal["sum", "prod", "amax", "amin"]
JOIN: Mapping[str, tuple[np.ufunc, str]] = {
    "sum": (np.add, "add"),
    "prod": (np.multiply, "mul"),
    "amax": (np.maximum, "max"),
    "amin": (np.minimum, "min"),
}
"""How entries at one place become one: in NumPy, and ONNX's word for it."""


@dataclass(frozen=True)
class Scattering(Op):
    """Base of x with entries of `update` put, or joined with what is there, at the positions of
    `index` along an axis."""

    row_axes: ClassVar[tuple[str, ...] | None] = ("axis",)
    operands = (Operand("x"), Operand("index", index=True), Operand("update"))

    axis: int

    @property
    @abstractmethod
    def joined(self) -> Reduce | None:
        """How an entry of the update and those at its place become one; None where it replaces
        them."""

    def infer(
        self, assume: Assume, x: TensorType, index: TensorType, update: TensorType
    ) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        need_one_dtype(self.name, x, update, count=3)
        need_index(self.name, index, operand=1)
        if self.joined is not None:
            need_number(self.name, x)
        self.check_shapes(assume, axis, x, index, update)
        return (x,)

    @abstractmethod
    def check_shapes(
        self, assume: Assume, axis: int, x: TensorType, index: TensorType, update: TensorType
    ) -> None:
        """Raises `Fault` where the operands do not fit; the axis is counted from 0."""

    def need_shape(
        self,
        operand: int,
        found: TensorType,
        wanted: Sequence[Dim],
        other: TensorType,
        assume: Assume,
        *,
        inside: bool = False,
    ) -> None:
        """Raises `Fault` where an operand has not these sizes, of `other`, or smaller ones where
        it may lie `inside`."""
        word = self.operands[operand].name
        if found.rank != len(wanted):
            needed = f"as many axes for `{word}` as {other} has"
            raise Fault(lambda where: wrong_rank(where.argument(word), self.name, needed, found))
        for axis, (size, most) in enumerate(zip(found.shape, wanted, strict=True)):
            fits = at_most(size, most) if inside else equal(size, most)
            if fits is None:
                assume(size, "<=" if inside else "==", most)
            elif not fits:
                only = "only " if inside else ""
                reason = f"axis {axis} is {size} in `{word}` {found} and {only}{most} in {other}"
                raise Fault(
                    lambda where, reason=reason: sizes_disagree(  # type: ignore[misc]
                        where.argument(word), self.name, reason, places(where, 3)
                    )
                )

    def domains(
        self, x: NodeInput, index: NodeInput, update: NodeInput
    ) -> Mapping[NodeInput, Domain]:
        return {index: Domain(x.shape[self.axis])}

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        if self.joined != "sum":
            return [np.abs(array) for array in results]
        return measure_terms(self, operands, results, np.asarray(operands[1]).size + 1)

    def evaluate(self, x: Array, index: Array, update: Array) -> tuple[Array, ...]:
        made, axis = x.copy(), self.axis % x.ndim
        where: list[Array] = list(np.indices(update.shape, sparse=True))
        where[axis] = self.spread_index(index, update.shape, axis)
        if self.joined is None:
            made[tuple(where)] = update
        else:
            JOIN[self.joined][0].at(made, tuple(where), update)
        return (made,)

    def spread_index(self, index: Array, shape: Sequence[int], axis: int) -> Array:
        """The positions as an array that broadcasts to the update."""
        return index

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        index: OnnxInput,
        update: OnnxInput,
    ) -> Values:
        dtype, attributes = outputs[0].dtype, {"axis": self.axis % outputs[0].rank}
        words = {} if self.joined is None else {"reduction": JOIN[self.joined][1]}
        # runtime_faults: scatter_of_f16
        wide = DType.F32 if words and dtype is DType.F16 else dtype
        start, added = (cast(build, taken.value, dtype, wide) for taken in (x, update))
        places = self.write_index(build, index, update)
        made = build.op("ScatterElements", [start, places, added], {**attributes, **words})
        return [cast(build, made, wide, dtype)]

    def write_index(self, build: OnnxBuilder, index: OnnxInput, update: OnnxInput) -> Any:
        """The positions in the shape of the update."""
        return index.value


@dataclass(frozen=True)
class Elementwise(Scattering):
    """Base of those in which every entry of the update has a position of its own."""

    def check_shapes(
        self, assume: Assume, axis: int, x: TensorType, index: TensorType, update: TensorType
    ) -> None:
        open_axis = (*x.shape[:axis], *index.shape[axis : axis + 1], *x.shape[axis + 1 :])
        self.need_shape(1, index, open_axis, x, assume, inside=True)
        self.need_shape(2, update, index.shape, index, assume)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Method(In(0), self.name, (self.leaf("axis"), spell_long(node, 1), In(2))))


@OPS.register
@final
@dataclass(frozen=True)
class Scatter(Elementwise):
    """x with entries replaced, each at a position of its own along an axis: the reverse of
    `gather`.

    `y[i, index[i, j]] = update[i, j]` for axis 1. Positions are at least 0, and no two entries go
    to one place: which of them stays is not defined. `put` replaces a piece.

    Shapes: x `f32[…, n, …]`, index `i64[…, k, …]`, update `f32[…, k, …]` -> `f32[…, n, …]`.

    - `axis`: along which the positions count.

    Example: `y = zeros([n, 10]) -> scatter(label[:, none], ones([n, 1]), axis=1)`
    Errors: W0376 where there is no such axis, W0380 where the ranks differ, W0382 where the
    index holds no positions, W0387 where sizes differ, W0397 where the dtypes differ.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_.html
    """

    name = "scatter"
    moves = True

    @property
    def joined(self) -> None:
        return None


@OPS.register
@final
@dataclass(frozen=True)
class ScatterAdd(Elementwise):
    """x with entries added, each at a position of its own along an axis.

    `y[i, index[i, j]] += update[i, j]` for axis 1. Several entries may go to one place; positions
    are at least 0. `index_add` adds whole slices.

    Shapes: x `f32[…, n, …]`, index `i64[…, k, …]`, update `f32[…, k, …]` -> `f32[…, n, …]`.

    - `axis`: along which the positions count.

    Errors: W0376 where there is no such axis, W0380 where the ranks differ, W0382 where the
    index holds no positions or x is boolean, W0387 where sizes differ, W0397 where the dtypes
    differ.
    Example:

        input bin: i64[n, t]
        input amount: f32[n, t]
        count = zeros([n, 10]) -> scatter_add(bin, amount, axis=1)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_add_.html
    """

    name = "scatter_add"

    @property
    def joined(self) -> Reduce:
        return "sum"

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, index: Symbol, update: Symbol
    ) -> Slopes:
        return [slope, None, lambda: slope.apply("gather", index, axis=self.axis)]


@OPS.register
@final
@dataclass(frozen=True)
class ScatterReduce(Elementwise):
    """x with entries joined with what is there, each at a position of its own along an axis: their
    sum, product, maximum or minimum.

        y[i, index[i, j]] = reduce(x[i, index[i, j]], update[i, j])

    What x holds counts too (PyTorch's `include_self=True`). Positions are at least 0.

    Shapes: x `f32[…, n, …]`, index `i64[…, k, …]`, update `f32[…, k, …]` -> `f32[…, n, …]`.

    - `axis`: along which the positions count.
    - `reduce`: `"sum"`, `"prod"`, `"amax"` or `"amin"`, as in PyTorch.

    Errors: W0376 where there is no such axis, W0380 where the ranks differ, W0382 where the
    index holds no positions or x is boolean, W0387 where sizes differ, W0397 where the dtypes
    differ.
    Example:

        input bin: i64[n, t]
        input amount: f32[n, t]
        best = zeros([n, 10]) -> scatter_reduce(bin, amount, axis=1, reduce="amax")

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_reduce_.html
    """

    name = "scatter_reduce"

    reduce: Reduce

    @property
    def joined(self) -> Reduce:
        return self.reduce

    def torch(self, node: Node) -> Spelling:
        given = (self.leaf("axis"), spell_long(node, 1), In(2), Leaf(self.reduce))
        return Spelling(Method(In(0), "scatter_reduce", given))


@OPS.register
@final
@dataclass(frozen=True)
class IndexAdd(Scattering):
    """x with slices added along an axis, at the positions that a vector says.

    `y[index[j]] += update[j]` for axis 0: sums over the members of groups, the messages to the
    nodes of a graph. Several slices may go to one place; positions are at least 0.

    Shapes: x `f32[…, n, …]`, index `i64[k]`, update `f32[…, k, …]` -> `f32[…, n, …]`.

    - `axis`: along which slices lie.

    Errors: W0376 where there is no such axis, W0380 where the index is no vector or the update
    has other axes than x, W0382 where the index holds no positions or x is boolean, W0387 where
    sizes differ, W0397 where the dtypes differ.
    Example:

        input node: i64[m]
        input messages: f32[m, 8]
        sums = zeros([10, 8]) -> index_add(node, messages, axis=0)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_add_.html
    """

    name = "index_add"
    row_axes = None

    @property
    def joined(self) -> Reduce:
        return "sum"

    def check_shapes(
        self, assume: Assume, axis: int, x: TensorType, index: TensorType, update: TensorType
    ) -> None:
        if index.rank != 1:
            needed = "a vector of positions, one for each slice"
            raise Fault(lambda where: wrong_rank(where.argument("index"), self.name, needed, index))
        wanted = (*x.shape[:axis], index.shape[0], *x.shape[axis + 1 :])
        self.need_shape(2, update, wanted, x, assume)

    def spread_index(self, index: Array, shape: Sequence[int], axis: int) -> Array:
        return index.reshape([-1 if i == axis else 1 for i in range(len(shape))])

    def couple(
        self, outputs: Results, x: NodeInput, index: NodeInput, update: NodeInput
    ) -> Coupling:
        rank = outputs[0].rank
        others = [a for a in range(rank) if a != self.axis % rank]
        return Coupling(tuple((x.axis(a), update.axis(a), result(a)) for a in others))

    def torch(self, node: Node) -> Spelling:
        return Spelling(Method(In(0), "index_add", (self.leaf("axis"), In(1), In(2))))

    def write_index(self, build: OnnxBuilder, index: OnnxInput, update: OnnxInput) -> Any:
        wide = cast(build, index.value, index.dtype, DType.I64)
        beside = [a for a in range(update.rank) if a != self.axis % update.rank]
        return build.op("Expand", [unsqueeze(build, wide, beside), build.shape(update.shape)])

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, index: Symbol, update: Symbol
    ) -> Slopes:
        items: tuple[IndexItem, ...] = (*[SliceItem()] * (self.axis % x.rank), TensorIndex(1))
        return [slope, None, lambda: slope.build.add(Index(items), [slope, index])[0]]
