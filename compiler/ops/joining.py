"""Tensors joined and cut: concat, stack, split, chunk, unbind, repeat and repeat_interleave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, final

import numpy as np

from compiler.ir import coupling
from compiler.ir.coupling import Coupling, CutTensor, result
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.symbols import Slopes, Symbol, fill, shorten
from compiler.ops.axes import (
    AlongAxis,
    check_count,
    known_size,
    need_rank,
    places,
    resolve_axis,
    unsqueeze,
)
from compiler.ops.broadcasting import cast_operands, promote_types, promoted
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option, uneven_split
from compiler.report.messages.tensor_shapes import cannot_join
from compiler.types.dims import Dim, equal
from compiler.types.tensor import TensorType
from compiler.vocabulary import spelling
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Index, Leaf, Method, Spelling, Term


def _check_alike(
    op: str, types: Sequence[TensorType], skipped: int | None, assume: Assume
) -> list[Dim]:
    """The common shape; `skipped` is an axis on which sizes may differ.

    Raises:
        Fault: the ranks or the sizes of another axis differ.
    """
    first = types[0]
    shape = list(first.shape)
    for index, other in enumerate(types[1:], start=1):
        if other.rank != first.rank:
            raise _cannot_join(op, types, index, None)
        for axis, size in enumerate(other.shape):
            if axis == skipped or size == shape[axis]:
                continue
            same = equal(size, shape[axis])
            if same is None:
                assume(shape[axis], "==", size)
                shape[axis] = size if size.known is not None else shape[axis]
            elif not same:
                raise _cannot_join(op, types, index, axis)
    return shape


def _cannot_join(op: str, types: Sequence[TensorType], index: int, axis: int | None) -> Fault:
    return Fault(
        lambda where: cannot_join(
            where.call,
            op,
            types[0],
            types[index],
            axis,
            (where.operand(0), where.operand(index)),
        )
    )


@OPS.register
@final
@dataclass(frozen=True)
class Concat(AlongAxis):
    """Tensors joined along an axis that they have.

    All other axes have equal sizes: `f32[n, 3, d]` and `f32[n, 5, d]` with axis 1 make
    `f32[n, 8, d]`. Dtypes promote as in PyTorch.

    Shapes: `f32[…, n, …]`, `f32[…, m, …]` … -> `f32[…, n + m + …, …]`.
    Errors: W0376 where there is no such axis, W0381 where the shapes do not fit.
    Example: `y = concat([a, b], axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.cat.html
    """

    name = "concat"
    torch_function = "torch.cat"
    torch_keywords: ClassVar[Mapping[str, str]] = {"axis": "dim"}
    joins = True
    keeps_channels = True
    onnx_bfloat = True
    in_integers = "joins"
    moves = True
    aliases = ("cat",)
    operands = (Operand("tensors", variadic=True),)

    axis: int = 0

    def infer(self, assume: Assume, *types: TensorType) -> tuple[TensorType, ...]:
        for index, found in enumerate(types):
            need_rank(self.name, found, 1, operand=index)
        axis = resolve_axis(self.name, self.axis, types[0])
        shape = _check_alike(self.name, types, axis, assume)
        for other in types[1:]:
            shape[axis] = shape[axis] + other.shape[axis]
        return (TensorType(promote_types(types), tuple(shape)),)

    def evaluate(self, *tensors: Array) -> tuple[Array, ...]:
        return (np.concatenate(promoted(*tensors), axis=self.axis),)

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], *tensors: Symbol
    ) -> Slopes:
        (slope,) = slopes
        assert slope is not None, "what changes nothing is not asked"
        axis = self.axis % slope.rank
        sizes = shorten([tensor.shape[axis] for tensor in tensors])
        parts = slope.apply_all("split", sizes=sizes, axis=axis) if len(sizes) > 1 else [slope]
        return [part.cast(x.dtype) for part, x in zip(parts, tensors, strict=True)]

    def couple(self, outputs: Results, *tensors: NodeInput) -> Coupling:
        axis = self.axis % outputs[0].rank
        ties = [t for i, t in enumerate(coupling.tie_broadcast(tensors, outputs[0])) if i != axis]
        sizes = [tensor.shape[axis] for tensor in tensors]
        ports = [tensor.axis(axis) for tensor in tensors]
        return Coupling(tuple(ties), coupling.lay_parts(result(axis), ports, sizes))

    def onnx(self, build: OnnxBuilder, outputs: Results, *tensors: OnnxInput) -> Values:
        values = cast_operands(build, tensors, outputs[0].dtype)
        if len(values) == 1:
            return values
        return [build.op("Concat", values, {"axis": self.axis % outputs[0].rank})]

    def join_axis(self, rank: int) -> int:
        return self.axis % rank


@OPS.register
@final
@dataclass(frozen=True)
class Stack(Op):
    """Tensors of equal shape side by side along a new axis.

    Three of `f32[n, d]` make `f32[3, n, d]` with axis 0, `f32[n, d, 3]` with axis -1. Dtypes
    promote as in PyTorch.

    Shapes: k tensors `f32[…, …]` -> `f32[…, k, …]`.
    Errors: W0376 where the result has no such axis, W0381 where the shapes differ.
    Example: `net first = dense(10)`, `net second = dense(10)`, `p = stack([first(x), second(x)])`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.stack.html
    """

    name = "stack"
    row_axes = ("axis",)
    torch_keywords: ClassVar[Mapping[str, str]] = {"axis": "dim"}
    joins = True
    keeps_channels = True
    moves = True
    operands = (Operand("tensors", variadic=True),)

    axis: int = 0

    def infer(self, assume: Assume, *types: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, types[0], added=1)
        shape = _check_alike(self.name, types, None, assume)
        made = (*shape[:axis], Dim.of(len(types)), *shape[axis:])
        return (TensorType(promote_types(types), made),)

    def evaluate(self, *tensors: Array) -> tuple[Array, ...]:
        return (np.stack(promoted(*tensors), axis=self.axis),)

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], *tensors: Symbol
    ) -> Slopes:
        (slope,) = slopes
        assert slope is not None, "what changes nothing is not asked"
        parts = slope.apply_all("unbind", axis=self.axis)
        return [part.cast(x.dtype) for part, x in zip(parts, tensors, strict=True)]

    def couple(self, outputs: Results, *tensors: NodeInput) -> Coupling:
        return Coupling(
            coupling.tie_stack(
                outputs[0].rank, self.axis, coupling.result, [tensor.axis for tensor in tensors]
            )
        )

    def onnx(self, build: OnnxBuilder, outputs: Results, *tensors: OnnxInput) -> Values:
        axis = self.axis % outputs[0].rank
        values = cast_operands(build, tensors, outputs[0].dtype)
        layers = [unsqueeze(build, value, [axis]) for value in values]
        return [build.op("Concat", layers, {"axis": axis})] if len(layers) > 1 else layers

    def stack_axis(self, rank: int) -> int:
        return self.axis % rank


def _uneven(op: str, axis: int, x: TensorType, option: str, reason: str) -> Fault:
    return Fault(
        lambda where: uneven_split(where.argument(option), op, axis, x, reason, places(where, 1))
    )


def _cut(x: TensorType, axis: int, sizes: Sequence[Dim]) -> tuple[TensorType, ...]:
    return tuple(
        TensorType(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes
    )


@OPS.register
@final
@dataclass(frozen=True)
class Split(AlongAxis):
    """A tensor cut along an axis into pieces of given sizes.

    `sizes` is a list that adds up to the axis, or one number: the size of every piece (the
    last may be smaller), as in PyTorch. `chunk` cuts into a number of equal pieces.

    Shapes: x `f32[…, n, …]` -> `f32[…, sizes[0], …]`, `f32[…, sizes[1], …]` …
    Errors: W0376 where there is no such axis, W0383 where the sizes do not add up, W0391 where
    the number of pieces would not be known, W1670 where it is above 10,000.
    Example: `a, b = x -> split([24, 40], axis=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.split.html
    """

    name = "split"
    keeps_channels = True
    onnx_bfloat = True
    moves = True
    operands = (Operand("x"),)
    multiple = True

    sizes: int | Dim | tuple[int | Dim, ...]
    axis: int = 0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        if not isinstance(self.sizes, tuple):
            return _cut(x, axis, self._equal_pieces(x, axis, self.sizes))
        sizes = [Dim.of(s) for s in self.sizes]
        bad = next((s for s in sizes if s.known is not None and s.known < 1), None)
        if bad is not None or not sizes:
            raise _uneven(self.name, axis, x, "sizes", f"{bad} is not a size of a piece")
        total = sum(sizes, start=Dim.of(0))
        same = equal(total, x.shape[axis])
        if same is None:
            assume(total, "==", x.shape[axis])
        elif not same:
            reason = f"the pieces add up to {total}, the axis is {x.shape[axis]}"
            raise _uneven(self.name, axis, x, "sizes", reason)
        return _cut(x, axis, sizes)

    def _equal_pieces(self, x: TensorType, axis: int, size: int | Dim) -> list[Dim]:
        whole, piece = known_size(self.name, x, axis), Dim.of(size).known
        if piece is None or piece < 1:
            raise _uneven(self.name, axis, x, "sizes", f"{size} is not a size of a piece")
        check_count(self.name, -(-whole // piece))
        return [Dim.of(min(piece, whole - at)) for at in range(0, whole, piece)]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        if isinstance(self.sizes, tuple):
            bounds = np.cumsum([Dim.of(s).evaluate({}) for s in self.sizes])[:-1]
        else:
            piece = Dim.of(self.sizes).evaluate({})
            bounds = np.arange(piece, x.shape[self.axis], piece)
        return tuple(np.split(x, bounds, axis=self.axis))

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], x: Symbol
    ) -> Slopes:
        return [x.build.apply("concat", fill(slopes, results), axis=self.axis)[0]]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return coupling.couple_pieces(x, self.axis, outputs)

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        sizes = coupling.cut_pieces(self.axis, outputs)
        return self if sizes is None else replace(self, sizes=sizes)

    def torch(self, node: Node) -> Spelling:
        sizes: Term = self.leaf("sizes", "size")
        if isinstance(self.sizes, tuple):
            leaves = (Leaf(s, f"size{i}", field=f"sizes.{i}") for i, s in enumerate(self.sizes))
            sizes = spelling.Sequence(tuple(leaves), "[]")
        axis = (("dim", self.leaf("axis")),)
        return _spell_parts(node, Method(In(0), "split", (sizes,), axis))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        axis = self.axis % outputs[0].rank
        if len(outputs) == 1:
            return [x.value]
        sizes = build.shape([o.shape[axis] for o in outputs])
        made = build.op("Split", [x.value, sizes], {"axis": axis}, outputs=len(outputs))
        return tuple(made)

    def split_axis(self, rank: int) -> int:
        return self.axis % rank


@OPS.register
@final
@dataclass(frozen=True)
class Chunk(AlongAxis):
    """A tensor cut along an axis into a number of equal pieces.

    Where the axis is no multiple of `parts`, the last piece is smaller, as in PyTorch.

    Shapes: x `f32[…, n, …]` -> `parts` tensors `f32[…, n / parts, …]`.
    Errors: W0376 where there is no such axis, W0383 where there would be fewer pieces than
    `parts`, or a size that is not known is not provably a multiple of it, W1670 where these are
    more than 10,000.
    Example: `q, k, v = x -> dense(192) -> chunk(3, axis=-1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.chunk.html
    """

    name = "chunk"
    keeps_channels = True
    onnx_bfloat = True
    moves = True
    operands = (Operand("x"),)
    multiple = True

    parts: int
    axis: int = 0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        if self.parts < 1:
            reason = f"{self.parts} is not a number of pieces"
            raise Fault(lambda where: bad_option(where.argument("parts"), "chunk", "parts", reason))
        check_count(self.name, self.parts)
        whole = x.shape[axis]
        if whole.known is None:
            piece = whole // self.parts
            if piece * self.parts != whole:
                reason = f"{whole} is not provably a multiple of {self.parts}"
                raise _uneven(self.name, axis, x, "parts", reason)
            return _cut(x, axis, [piece] * self.parts)
        size = -(-whole.known // self.parts)
        sizes = [Dim.of(min(size, whole.known - at)) for at in range(0, whole.known, size)]
        if len(sizes) != self.parts:
            reason = f"{whole} makes {len(sizes)} pieces of {size}, not {self.parts}"
            raise _uneven(self.name, axis, x, "parts", reason)
        return _cut(x, axis, sizes)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        size = -(-x.shape[self.axis] // self.parts)
        return tuple(np.split(x, np.arange(size, x.shape[self.axis], size), axis=self.axis))

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], x: Symbol
    ) -> Slopes:
        return [x.build.apply("concat", fill(slopes, results), axis=self.axis)[0]]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return coupling.couple_pieces(x, self.axis, outputs)

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        sizes = coupling.cut_pieces(self.axis, outputs)
        return self if sizes is None or len({*sizes}) == 1 else Split(sizes, self.axis)

    def torch(self, node: Node) -> Spelling:
        parts = self.leaf("parts")
        axis = (("dim", self.leaf("axis")),)
        return _spell_parts(node, Method(In(0), "chunk", (parts,), axis))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        if self.parts == 1:
            return [x.value]
        attributes = {"axis": self.axis % outputs[0].rank, "num_outputs": self.parts}
        return tuple(build.op("Split", [x.value], attributes, outputs=self.parts))

    def split_axis(self, rank: int) -> int:
        return self.axis % rank


@OPS.register
@final
@dataclass(frozen=True)
class Unbind(Op):
    """The entries along an axis, one tensor each, without that axis.

    Shapes: x `f32[…, n, …]` -> n tensors `f32[…, …]`.
    Errors: W0376 where there is no such axis, W0391 where its size is not known, W1670 where it is
    above 10,000.
    Example: `input v: f32[n, 4]`, `pt, eta, phi, energy = unbind(v, -1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.unbind.html
    """

    name = "unbind"
    row_axes = ("axis",)
    keeps_channels = True
    moves = True
    operands = (Operand("x"),)
    multiple = True

    axis: int = 0

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        axis = resolve_axis(self.name, self.axis, x)
        entry = TensorType(x.dtype, (*x.shape[:axis], *x.shape[axis + 1 :]))
        return (entry,) * check_count(self.name, known_size(self.name, x, axis))

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.moveaxis(x, self.axis, 0))

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], x: Symbol
    ) -> Slopes:
        return [x.build.apply("stack", fill(slopes, results), axis=self.axis)[0]]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        entries = [partial(coupling.result, index=i) for i in range(len(outputs))]
        return Coupling(coupling.tie_stack(x.rank, self.axis, x.axis, entries))

    def torch(self, node: Node) -> Spelling:
        return _spell_parts(node, Method(In(0), "unbind", (Leaf(self.axis, "axis", field="axis"),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        attributes = {"axis": self.axis % (outputs[0].rank + 1)}
        places = [build.constant(np.array(i, np.int64)) for i in range(len(outputs))]
        return [build.op("Gather", [x.value, place], attributes) for place in places]


def _spell_parts(node: Node, parts: Method) -> Spelling:
    """The parts of a tensor; PyTorch gives a tuple also where there is one."""
    if len(node.outputs) > 1:
        return Spelling(parts)
    return Spelling(Index(parts, (Leaf(0),)))
