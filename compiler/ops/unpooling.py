"""Max pooling that says where maxima were, and what puts them back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.coupling import result as port
from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.activation import write_number
from compiler.ops.axes import need_float, need_index, places
from compiler.ops.broadcasting import cast
from compiler.ops.layers import need_least
from compiler.ops.modules import input_type
from compiler.ops.pooling import WindowPool
from compiler.ops.registry import OPS
from compiler.ops.window_slopes import return_maxima
from compiler.ops.windows import (
    Sizes,
    array_sizes,
    need_layout,
    need_positive,
    pad_space,
    spell_sizes,
    spread,
    view_windows,
    write_windows,
)
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option, sizes_disagree
from compiler.types.dims import Dim, at_most, equal, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary import spelling
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Name, Spelling, Term


@OPS.register
@final
@dataclass(frozen=True)
class MaxPoolIndices(WindowPool):
    """`max_pool` with the places of the maxima: `y, indices = x -> max_pool_indices(2)`. A place
    is that in the axes of space of its channel, counted row by row; of equal entries it is the
    first.

        y[n, c, p] = max_k x[n, c, stride * p + dilation * k - padding]

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, result…]` and
    `i64[n, c, result…]`, with `result = (size + 2 * padding - kernel) // stride + 1`.

    - `kernel`, `stride`, `padding`: one number, or a list with one for each axis of space. The
      stride is the kernel unless given; the padding never wins.
    - `ceil_mode`: whether entries left over at the end get a window too.

    Errors: W0350 for another number of axes, W0351 where the kernel is larger than its input,
    W0353 where the padding exceeds half of the kernel.
    Example: `y, indices = features -> max_pool_indices(2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    name = "max_pool_indices"
    keeps_channels = False  # the places of zeros are no zeros
    scales_with_operand = False
    multiple = True
    torch_function = "F.max_pool{axes}d"
    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        (made,) = super().infer(assume, x)
        return made, TensorType(DType.I64, made.shape)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(results[0]), 0.0]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        windows = self.windows(array_sizes(x))
        space = x.shape[2:]
        numbers = np.arange(math.prod(space)).reshape(1, 1, *space)
        values = view_windows(pad_space(x, windows, -np.inf), windows)
        numbers = view_windows(pad_space(numbers, windows, -1), windows)
        shape = values.shape[: x.ndim]
        best, at = np.full(shape, -np.inf, x.dtype), np.full(shape, -1)
        for place in np.ndindex(*values.shape[x.ndim :]):
            value, number = values[..., *place], numbers[..., *place]
            better = (number >= 0) & ((value > best) | np.isnan(value) | (at < 0))
            best, at = np.where(better, value, best), np.where(better, number, at)
        return best, at

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], x: Symbol
    ) -> Slopes:
        slope, places = slopes[0], results[1]
        assert slope is not None, "places have no slope"
        return [return_maxima(slope, places, x)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 2, outputs=2))

    def torch(self, node: Node) -> Spelling:
        spelled = super().torch(node).expression
        assert isinstance(spelled, Call)
        named = (*spelled.kwargs, ("return_indices", Name("True")))
        return Spelling(replace(spelled, kwargs=named))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        sizes = x.shape[2:]
        windows = self.windows(sizes)
        attributes = write_windows(windows)
        if any(w.pads is None for w in windows):
            plain = replace(self, ceil_mode=False).windows(sizes)
            attributes = {**write_windows(plain), "ceil_mode": 1}
        value, places = build.op("MaxPool", [x.value], attributes, outputs=2)
        # ONNX counts through the whole tensor.
        return value, build.op("Mod", [places, build.shape([product(sizes)])])


@OPS.register
@final
@dataclass(frozen=True)
class MaxUnpool(Op):
    """Puts maxima back to where they were before a `max_pool_indices`, and 0 everywhere else. Of
    equal entries of a window only one was the maximum: each comes back once.

        y[n, c, indices[n, c, p]] = x[n, c, p]

    Shapes: x `f32[n, c, size…]`, indices `i64[n, c, size…]` -> `f32[n, c, result…]` with
    `result = (size - 1) * stride - 2 * padding + kernel` unless it is given.

    - `kernel`, `stride`, `padding`: those of the pooling. The stride is the kernel unless given.
    - `size`: the sizes before the pooling, which may have dropped entries at the end: a number, or
      a list with one for each axis of space: `image.shape[2:]`.

    Errors: W0350 for another number of axes, W0382 where the indices are no whole numbers, W0387
    where they have another shape than x, W0392 where no pooling makes x of `size`.
    Example:

        y, indices = features -> max_pool_indices(2)
        restored = y -> max_unpool(indices, 2)

    Source: Zeiler and Fergus 2013, https://arxiv.org/abs/1311.2901;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html
    """

    name = "max_unpool"
    operands = (Operand("x"), Operand("indices", index=True))
    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    size: int | Dim | tuple[int | Dim, ...] | None = None

    def infer(self, assume: Assume, x: TensorType, indices: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        need_layout(self.name, x)
        need_index(self.name, indices, operand=1)
        self._match(x, indices, assume)
        space = self._space(x)
        for axis, size in enumerate(space, start=2):
            need_positive(size, "size" if self.size is not None else "padding", axis, x, assume)
        return (TensorType(x.dtype, (*x.shape[:2], *space)),)

    def _match(self, x: TensorType, indices: TensorType, assume: Assume) -> None:
        """Every entry has its place."""
        if x.rank == indices.rank:
            for left, right in zip(x.shape, indices.shape, strict=True):
                same = equal(left, right)
                if same is None:
                    assume(left, "==", right)
                elif not same:
                    break
            else:
                return
        reason = f"there are places {indices} for entries {x}"
        raise Fault(lambda where: sizes_disagree(where.call, self.name, reason, places(where, 2)))

    def _space(self, x: TensorType) -> tuple[Dim, ...]:
        """The sizes of the result's axes of space."""
        axes = x.rank - 2
        kernel = spread("kernel", self.kernel, axes)
        need_least(self.name, "kernel", kernel, 1)
        stride = kernel if self.stride is None else spread("stride", self.stride, axes)
        need_least(self.name, "stride", stride, 1)
        padding = spread("padding", self.padding, axes)
        need_least(self.name, "padding", padding, 0)
        usual = tuple(
            (s - 1) * st - 2 * p + k
            for s, k, st, p in zip(x.shape[2:], kernel, stride, padding, strict=True)
        )
        if self.size is None:
            return usual
        given = self.size if isinstance(self.size, tuple) else (self.size,) * axes
        sizes = tuple(map(Dim.of, given))
        if len(sizes) != axes:
            raise self._refuse(f"it has {len(sizes)} sizes for {axes} axes of space")
        for size, least, st in zip(sizes, usual, stride, strict=True):
            if at_most(size, least + st - 1) is False or at_most(least - st + 1, size) is False:
                raise self._refuse(f"this pooling makes no axis of {x} from one of size {size}")
        return sizes

    def _refuse(self, reason: str) -> Fault:
        return Fault(lambda where: bad_option(where.argument("size"), self.name, "size", reason))

    def domains(self, x: NodeInput, indices: NodeInput) -> Mapping[NodeInput, Domain]:
        return {indices: Domain(product(self._space(x.type)))}

    def evaluate(self, x: Array, indices: Array) -> tuple[Array, ...]:
        (made,) = self.infer(
            lambda *_: None, TensorType.of(DType.F32, x.shape), TensorType.of(DType.I64, x.shape)
        )
        shape = [size.evaluate({}) for size in made.shape]
        rows = (*x.shape[:2], -1)
        laid = np.zeros((*x.shape[:2], math.prod(shape[2:])), x.dtype)
        np.put_along_axis(laid, indices.reshape(rows).astype(np.int64), x.reshape(rows), axis=2)
        return (laid.reshape(shape),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol, indices: Symbol) -> Slopes:
        front, entries = x.shape[:2], product(x.shape[2:])
        flat = slope.reshape((*front, product(slope.shape[2:])))
        picked = flat.apply("gather", indices.reshape((*front, entries)), axis=2)
        return [picked.reshape(x.shape), None]

    def couple(self, outputs: Results, x: NodeInput, indices: NodeInput) -> Coupling:
        return Coupling(tuple((port(axis), x.axis(axis), indices.axis(axis)) for axis in range(2)))

    def torch(self, node: Node) -> Spelling:
        axes = input_type(node).rank - 2
        size: Term | None = None
        if self.size is not None:
            given = self.size if isinstance(self.size, tuple) else (self.size,) * axes
            leaves = (
                Leaf(Dim.of(value), f"size{i}", dim=("out", 0, i + 2))
                for i, value in enumerate(given)
            )
            size = spelling.Sequence(tuple(leaves))
        named: list[tuple[str, Term]] = []
        if self.stride is not None:
            named.append(("stride", spell_sizes(self.leaf("stride"))))
        named.append(("padding", spell_sizes(self.leaf("padding"))))
        if size is not None:
            named.append(("output_size", size))
        found = input_type(node, 1).dtype
        at: Term = In(1) if found is DType.I64 else Method(In(1), "long")
        kernel = spell_sizes(self.leaf("kernel", "kernel_size"))
        return Spelling(Call(f"F.max_unpool{axes}d", (In(0), at, kernel), tuple(named)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, indices: OnnxInput
    ) -> Values:
        made = outputs[0]
        rows = (*x.shape[:2], product(x.shape[2:]))
        laid = (*x.shape[:2], product(made.shape[2:]))
        values = build.reshape(x.value, x.shape, rows)
        where = build.reshape(
            cast(build, indices.value, indices.dtype, DType.I64), indices.shape, rows
        )
        zeros = build.op("Expand", [write_number(build, 0, x.type), build.shape(laid)])
        filled = build.op("ScatterElements", [zeros, where, values], {"axis": 2})
        return [build.reshape(filled, laid, made.shape)]
