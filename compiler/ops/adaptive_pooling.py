"""Pooling to a fixed size: over as many parts of each axis as are asked for."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Symbol
from compiler.ops.axes import axes_constant, need_float
from compiler.ops.indexing import Index
from compiler.ops.items import SliceItem, TensorIndex
from compiler.ops.layers import known, need_least, widen
from compiler.ops.magnitudes import measure_mean
from compiler.ops.registry import OPS
from compiler.ops.windows import Sizes, need_layout, spell_sizes, spread
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Term

MOST_SLICES = 32
"""Parts of an axis that are cut out one by one; of more, the entries are gathered at once."""


class AdaptivePool(Op):
    """Base of poolings over parts of axes. Part i of an axis of size s, cut into k parts, goes
    from floor(i * s / k) to ceil((i + 1) * s / k); neighbours overlap where k does not divide s."""

    keeps_channels = True
    operands = (Operand("x"),)
    onnx_whole: ClassVar[str]
    """ONNX's pooling over all of space."""
    onnx_window: ClassVar[str]
    reduction: ClassVar[str]
    size: Sizes

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        parts = spread("size", self.size, need_layout(self.name, x))
        need_least(self.name, "size", parts, 1)
        return (TensorType(x.dtype, (*x.shape[:2], *map(Dim.of, parts))),)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 2))

    def spell_option(self, field: str) -> Term:
        return spell_sizes(self.leaf(field))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        parts = spread("size", self.size, x.rank - 2)
        if x.dtype is DType.F64:  # of which ONNX Runtime has no kernels of pools
            return [self.write_overlapping(build, x.value, x.type, parts)]
        if all(part == 1 for part in parts):
            return [build.op(self.onnx_whole, [x.value])]
        sizes = [s.known for s in x.shape[2:]]
        if all(s is not None and s % part == 0 for s, part in zip(sizes, parts, strict=True)):
            window = [known(s) // part for s, part in zip(x.shape[2:], parts, strict=True)]
            if math.prod(window) == 1:
                return [build.op("Identity", [x.value])]
            attributes = {"kernel_shape": window, "strides": window}
            return [build.op(self.onnx_window, [x.value], attributes)]
        return [self.write_overlapping(build, x.value, x.type, parts)]

    @abstractmethod
    def write_overlapping(
        self, build: OnnxBuilder, value: Any, x: TensorType, parts: Sequence[int]
    ) -> Any:
        """The nodes for parts that may overlap."""

    def write_slices(
        self, build: OnnxBuilder, value: Any, x: TensorType, parts: Sequence[int]
    ) -> Any:
        """Axis by axis, each part cut out and reduced; where the parts begin and end is computed
        from sizes that are known when the graph runs."""
        for axis, (size, count) in enumerate(zip(x.shape[2:], parts, strict=True), start=2):
            if count > MOST_SLICES:
                value = self.write_gathered(build, value, x, axis, size, count)
                continue
            along = axes_constant(build, [axis])
            pieces = [value]
            if count > 1:
                bounds = [bound_part(size, part, count) for part in range(count)]
                pieces = [
                    build.op("Slice", [value, build.shape([start]), build.shape([stop]), along])
                    for start, stop in bounds
                ]
            made = [build.op(self.reduction, [piece, along]) for piece in pieces]
            value = made[0] if count == 1 else build.op("Concat", made, {"axis": axis})
        return value

    def write_gathered(
        self, build: OnnxBuilder, value: Any, x: TensorType, axis: int, size: Dim, parts: int
    ) -> Any:
        """The entries of every part side by side along a further axis, `[…, parts, longest, …]`,
        and reduced: as many nodes for any number of parts."""
        first, last = (build.constant(np.arange(parts)[:, None] + k) for k in (0, 1))
        whole, one = build.shape([size]), build.constant(np.array([1], np.int64))
        count = build.constant(np.array([parts], np.int64))
        start = build.op("Div", [build.op("Mul", [first, whole]), count])
        above = build.op("Add", [build.op("Mul", [last, whole]), build.op("Sub", [count, one])])
        stop = build.op("Div", [above, count])
        lengths = build.op("Sub", [stop, start])
        longest = build.op("ReduceMax", [lengths], {"keepdims": 0})
        zero, step = (build.constant(np.array(k, np.int64)) for k in (0, 1))
        places = build.op("Add", [start, build.op("Range", [zero, longest, step])])
        inside = build.op("Min", [places, build.op("Sub", [stop, one])])
        gathered = build.op("Gather", [value, inside], {"axis": axis})
        along = axes_constant(build, [axis + 1])
        if self.reduction == "ReduceMax":  # of the last entry several times it is the same
            return build.op("ReduceMax", [gathered, along], {"keepdims": 0})
        behind = axes_constant(build, range(2, x.rank - axis + 1))
        counts = build.op("Less", [places, stop])
        if axis < x.rank - 1:
            counts = build.op("Unsqueeze", [counts, behind])
            lengths = build.op("Unsqueeze", [lengths, behind])
        nothing = build.constant(np.array(0, x.dtype.numpy), x.dtype)
        kept = build.op("Where", [counts, gathered, nothing])
        total = build.op("ReduceSum", [kept, along], {"keepdims": 0})
        lengths = build.op("Squeeze", [lengths, axes_constant(build, [1])])
        return build.op("Div", [total, build.op("Cast", [lengths], {"to": x.dtype})])

    def spell_parts(self, x: Symbol, reduction: str) -> Symbol:
        """Axis by axis, each part cut out and reduced. Many parts of an axis of a known size are
        gathered, as many nodes for any number of them."""
        for axis, count in enumerate(spread("size", self.size, x.rank - 2), start=2):
            length = x.shape[axis].known
            if count > MOST_SLICES and length is not None:
                x = _spell_gathered(x, axis, *place_parts(length, count), reduction)
                continue
            size, zeros = x.shape[axis], [Dim.of(0)] * (2 * (x.rank - 1 - axis))
            bounds = [bound_part(size, part, count) for part in range(count)]
            pieces = [x.pad([*zeros, -start, stop - size]) for start, stop in bounds]
            made = [piece.apply(reduction, axis=axis, keep=True) for piece in pieces]
            x = made[0] if count == 1 else x.build.apply("concat", made, axis=axis)[0]
        return x


def _spell_gathered(x: Symbol, axis: int, places: Array, counts: Array, reduction: str) -> Symbol:
    """The entries at these places along an axis, those of each part along a further one, and
    reduced."""
    index = x.build.constant(places.reshape(-1), DType.I64)
    (picked,) = x.build.add(Index((*[SliceItem()] * axis, TensorIndex(1))), [x, index])
    shape = (*x.shape[:axis], *map(Dim.of, places.shape), *x.shape[axis + 1 :])
    behind = [1] * (x.rank - 1 - axis)
    inside = np.arange(places.shape[1]) < counts[:, None]
    mask = x.build.constant(inside.reshape(*inside.shape, *behind), DType.BOOL)
    parts = picked.reshape(shape)
    if reduction == "max":
        return mask.apply("where", parts, x.like(-math.inf)).apply("max", axis=axis + 1)
    total = mask.apply("where", parts, x.like(0.0)).apply("sum", axis=axis + 1)
    lengths = counts.reshape(-1, *behind).astype(x.dtype.numpy)
    return total / x.build.constant(lengths, x.dtype)


def place_parts(size: int, parts: int) -> tuple[Array, Array]:
    """`[parts, longest]`: the entries of each part of an axis, those of shorter ones followed by
    their last again; `[parts]`: how many each has."""
    numbers = np.arange(parts)
    start, stop = numbers * size // parts, -(-(numbers + 1) * size // parts)
    places = start[:, None] + np.arange((stop - start).max())
    return np.minimum(places, stop[:, None] - 1), stop - start


def bound_part(size: Dim, part: int, parts: int) -> tuple[Dim, Dim]:
    """Where a part of an axis begins and ends."""
    return size * part // parts, (size * (part + 1) + parts - 1) // parts


@OPS.register
@final
@dataclass(frozen=True)
class AdaptiveMaxPool(AdaptivePool):
    """The maximum over as many parts of each axis as are asked for.

        y[n, c, p] = max_k x[n, c, k],   k from p * size // out to ((p + 1) * size - 1) // out

    `size` entries of an axis become `out`.

    Part i of an axis of size s, cut into k parts, goes from floor(i * s / k) to
    ceil((i + 1) * s / k); neighbours overlap where k does not divide s.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, k…]`.

    - `size`: the parts: one number, or a list with one for each axis of space.

    Errors: W0350 for another number of axes.
    Example: `y = features -> adaptive_max_pool(4) -> flatten`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html
    """

    name = "adaptive_max_pool"
    torch_function = "F.adaptive_max_pool{axes}d"
    torch_module = "nn.AdaptiveMaxPool{axes}d"
    onnx_whole = "GlobalMaxPool"
    onnx_window = "MaxPool"
    reduction = "ReduceMax"
    size: Sizes

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        for axis, parts in enumerate(spread("size", self.size, x.ndim - 2), start=2):
            places, _ = place_parts(x.shape[axis], parts)
            x = x.take(places, axis).max(axis + 1)
        return (x,)

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        return [self.spell_parts(x, "max")]

    def write_overlapping(
        self, build: OnnxBuilder, value: Any, x: TensorType, parts: Sequence[int]
    ) -> Any:
        return self.write_slices(build, value, x, parts)


@OPS.register
@final
@dataclass(frozen=True)
class AdaptiveAvgPool(AdaptivePool):
    """The mean over as many parts of each axis as are asked for.

        y[n, c, p] = mean_k x[n, c, k],   k from p * size // out to ((p + 1) * size - 1) // out

    `size` entries of an axis become `out`.

    Part i of an axis of size s, cut into k parts, goes from floor(i * s / k) to
    ceil((i + 1) * s / k); neighbours overlap where k does not divide s.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, k…]`.

    - `size`: the parts: one number, or a list with one for each axis of space.

    Errors: W0350 for another number of axes.
    Example: `y = features -> adaptive_avg_pool(4) -> flatten`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    name = "adaptive_avg_pool"
    torch_function = "F.adaptive_avg_pool{axes}d"
    torch_module = "nn.AdaptiveAvgPool{axes}d"
    onnx_whole = "GlobalAveragePool"
    onnx_window = "AveragePool"
    reduction = "ReduceMean"
    size: Sizes

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_mean(self, operands, results)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        y = widen(x)
        for axis, parts in enumerate(spread("size", self.size, x.ndim - 2), start=2):
            places, counts = place_parts(x.shape[axis], parts)
            behind = [1] * (x.ndim - 1 - axis)
            inside = (np.arange(places.shape[1]) < counts[:, None]).reshape(*places.shape, *behind)
            total = np.where(inside, y.take(places, axis), 0).sum(axis + 1)
            y = total / counts.reshape(-1, *behind).astype(y.dtype)
        return (y.astype(x.dtype, copy=False),)

    def spell_out(self, x: Symbol) -> Sequence[Symbol]:
        return [self.spell_parts(x, "mean")]

    def write_overlapping(
        self, build: OnnxBuilder, value: Any, x: TensorType, parts: Sequence[int]
    ) -> Any:
        """As a product with the shares where all sizes are known, axis by axis, the last one
        first."""
        if any(size.known is None for size in x.shape[2:]):
            return self.write_slices(build, value, x, parts)
        shape = list(x.shape)
        for axis in range(x.rank - 1, 1, -1):
            if parts[axis - 2] == 1:  # its mean
                axes = build.constant(np.array([axis], np.int64))
                value = build.op("ReduceMean", [value, axes])
                shape[axis] = Dim.of(1)
                continue
            shares = divide_axis(known(shape[axis]), parts[axis - 2]).astype(x.dtype.numpy)
            after = shape[axis + 1 :]
            rest = math.prod(known(d) for d in after)
            rows = [*shape[: axis + 1], Dim.of(rest)]
            value = build.reshape(value, shape, rows)
            value = build.op("MatMul", [build.constant(shares, x.dtype), value])
            shape[axis] = Dim.of(parts[axis - 2])
            value = build.reshape(value, [*shape[: axis + 1], Dim.of(rest)], shape)
        return value


def divide_axis(size: int, parts: int) -> Array:
    """`[parts, size]`: the share of each entry in the mean of each part."""
    places, counts = place_parts(size, parts)
    shares = np.zeros((parts, size))
    np.put_along_axis(shares, places, 1 / counts[:, None], axis=1)
    return shares
