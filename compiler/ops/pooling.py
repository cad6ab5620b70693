"""Pooling: the maximum or the mean over sliding windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import NoDerivative, Slopes, Symbol
from compiler.ops.axes import need_float, operand_type
from compiler.ops.layers import need_least, refuse_option, widen
from compiler.ops.magnitudes import measure_terms
from compiler.ops.registry import OPS
from compiler.ops.window_slopes import gather_windows, return_maxima, scatter_windows
from compiler.ops.windows import (
    Sizes,
    Window,
    array_sizes,
    count_along,
    count_padded,
    count_windows,
    make_windows,
    need_layout,
    pad_space,
    pick,
    spell_sizes,
    spread,
    view_windows,
    write_windows,
)
from compiler.records import dataclass
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Leaf


class WindowPool(Op):
    """Base of poolings over sliding windows; one window stands where the next would."""

    keeps_channels = True
    axis_by_axis = True
    scales_with_operand = True
    operands = (Operand("x"),)
    torch_roles: ClassVar[Mapping[str, str]] = {"kernel": "kernel_size"}
    kernel: Sizes
    stride: Sizes | None
    padding: Sizes
    ceil_mode: bool

    def dilations(self, axes: int) -> tuple[int, ...]:
        """The dilation along each axis of space."""
        return (1,) * axes

    def windows(self, sizes: Sequence[Dim]) -> tuple[Window, ...]:
        """One window for each axis of space of these sizes; with `ceil_mode`, the padding after
        the axis makes room for the last window."""
        axes = len(sizes)
        kernel = spread("kernel", self.kernel, axes)
        stride = kernel if self.stride is None else spread("stride", self.stride, axes)
        made = make_windows(kernel, stride, self.dilations(axes), self.padding, sizes)
        if not self.ceil_mode:
            return made
        return tuple(map(_round_up, made, sizes))

    def check(self, x: TensorType) -> None:
        """Raises `Fault` for a tensor or options that a pooling cannot have."""
        need_float(self.name, x)
        axes = need_layout(self.name, x)
        kernel = spread("kernel", self.kernel, axes)
        need_least(self.name, "kernel", kernel, 1)
        if self.stride is not None:
            need_least(self.name, "stride", spread("stride", self.stride, axes), 1)
        padding = spread("padding", self.padding, axes)
        need_least(self.name, "padding", padding, 0)
        for size, pad in zip(kernel, padding, strict=True):
            if 2 * pad > size:
                hint = "a window must not lie in the padding alone"
                refuse_option(self.name, "padding", pad, "at most half of the kernel", hint)

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.check(x)
        plain = replace(self, ceil_mode=False).windows(x.shape[2:])  # type: ignore[type-var]
        space = count_windows(plain, x.shape[2:], x, assume)
        if self.ceil_mode:
            windows = self.windows(x.shape[2:])
            space = tuple(w.count(s) for w, s in zip(windows, x.shape[2:], strict=True))
        return (TensorType(x.dtype, (*x.shape[:2], *space)),)

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        if axis < 2 or self.ceil_mode:
            return None
        kernel = pick("kernel", self.kernel, axis, options)
        stride = kernel if self.stride is None else pick("stride", self.stride, axis, options)
        dilation = pick("dilation", self.dilations(axis - 1), axis, options)
        padded = size + pick("padding", self.padding, axis, options) * 2
        return count_along(padded, dilation * (kernel - 1) + 1, stride)

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        x = operand_type(inputs, 0)
        return count_padded(x, self.windows(x.shape[2:]))

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 2))

    def spell_option(self, field: str) -> Leaf:
        match field:
            case "stride":
                return self._spell_stride()
            case "kernel" | "padding" | "dilation":
                return spell_sizes(self.leaf(field))
        return self.leaf(field)

    def _spell_stride(self) -> Leaf:
        """The stride; it is PyTorch's default where it equals the kernel."""
        kernel = spell_sizes(self.leaf("kernel")).value
        if self.stride is None:
            return Leaf(kernel, "stride", kernel)
        return replace(spell_sizes(self.leaf("stride")), default=kernel)


def reduce_windows(function: np.ufunc, x: Array, windows: Sequence[Window]) -> Array:
    """Joins the entries of each window, one place in the kernel after the other: that is several
    times faster than reducing a view of windows."""
    view = view_windows(x, windows)
    places = np.ndindex(*view.shape[x.ndim :])
    result = view[..., *next(places)].copy()
    for place in places:
        function(result, view[..., *place], out=result)
    return result


def _round_up(window: Window, size: Dim) -> Window:
    """The window with enough padding after the axis that the entries left over get a window too.
    As in PyTorch, a window that would begin behind the axis and its first padding is dropped."""
    low, stride, span = window.low.known or 0, window.stride, window.span
    if stride + low > span:  # a window can stride over what it spans: all begin before this
        last = (size + low + stride - 1) // stride - 1
    else:
        last = (size + low + window.high - span + stride - 1) // stride
    high = last * stride + span - size - low
    # Where the last window was dropped, entries at the end are in none.
    return replace(window, high=high if high.known is None else Dim.of(max(high.known, 0)))


@OPS.register
@final
@dataclass(frozen=True)
class MaxPool(WindowPool):
    """The maximum over sliding windows: `y[n, c, p] = max_k x[n, c, stride * p + dilation * k -
    padding]`.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, result…]` with
    `result = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`.

    - `kernel`, `stride`, `padding`, `dilation`: one number, or a list with one for each axis of
      space. The stride is the kernel unless given; the padding never wins.
    - `ceil_mode`: whether entries left over at the end get a window too.

    Errors: W0350 for another number of axes, W0351 where the kernel is larger than its input,
    W0353 where the padding exceeds half of the kernel.
    Example: `y = features -> max_pool(3, stride=2, padding=1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    name = "max_pool"
    in_integers = "moves"
    torch_function = "F.max_pool{axes}d"
    torch_module = "nn.MaxPool{axes}d"
    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    dilation: Sizes = 1
    ceil_mode: bool = False

    def dilations(self, axes: int) -> tuple[int, ...]:
        return spread("dilation", self.dilation, axes)

    def check(self, x: TensorType) -> None:
        super().check(x)
        need_least(self.name, "dilation", self.dilations(x.rank - 2), 1)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        windows = self.windows(array_sizes(x))
        return (reduce_windows(np.maximum, pad_space(x, windows, -np.inf), windows),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        axes = x.rank - 2
        if any(dilation != 1 for dilation in self.dilations(axes)):
            raise NoDerivative("of dilated windows the places of maxima are unknown")
        options = ("kernel", "stride", "padding", "ceil_mode")
        given = {name: getattr(self, name) for name in options}
        _, places = x.apply_all("max_pool_indices", **given)
        return [return_maxima(slope, places, x)]

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        sizes, value = x.shape[2:], x.value
        windows = self.windows(sizes)
        if any(map(_needs_pad, windows, sizes)):
            zeros = [Dim.of(0)] * 2
            pads = [*zeros, *(w.low for w in windows), *zeros, *(w.high for w in windows)]
            lowest = build.constant(np.array(-np.inf, x.dtype.numpy), x.dtype)
            axes = build.constant(np.arange(x.rank, dtype=np.int64))
            value = build.op("Pad", [value, build.shape(pads), lowest, axes])
            windows = tuple(replace(w, low=zeros[0], high=zeros[0]) for w in windows)
        if all(w.pads is not None for w in windows):  # what ceil_mode adds is padding like any
            return [build.op("MaxPool", [value], write_windows(windows))]
        plain = replace(self, ceil_mode=False).windows(sizes)
        return [build.op("MaxPool", [value], {**write_windows(plain), "ceil_mode": 1})]


def _needs_pad(window: Window, size: Dim) -> bool:
    """Whether the padding has to be written before the pool: where a window may lie so that its
    entries step over the axis (runtime_faults: pool_of_padding), or where `ceil_mode` adds as much
    as the kernel has entries, which a dilation makes room for (runtime_faults: wide_padding)."""
    if window.pads is not None and max(window.pads) >= window.kernel:
        return True
    padded = window.low != 0 or window.high != 0
    return padded and window.dilation > 1 and at_most(window.dilation, size) is not True


@OPS.register
@final
@dataclass(frozen=True)
class AvgPool(WindowPool):
    """The mean over sliding windows: `y[n, c, p] = mean_k x[n, c, stride * p + k - padding]`.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> `f32[n, c, result…]` with
    `result = (size + 2 * padding - kernel) // stride + 1`.

    - `kernel`, `stride`, `padding`: one number, or a list with one for each axis of space. The
      stride is the kernel unless given.
    - `ceil_mode`: whether entries left over at the end get a window too.
    - `count_include_pad`: whether zeros of the padding count in the mean; what `ceil_mode` adds
      never does.

    Errors: W0350 for another number of axes, W0351 where the kernel is larger than its input,
    W0353 where the padding exceeds half of the kernel.
    Example: `y = features -> avg_pool(2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
    """

    name = "avg_pool"
    half_rank = 4
    in_integers = "computes"
    torch_function = "F.avg_pool{axes}d"
    torch_module = "nn.AvgPool{axes}d"
    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, 1)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        windows = self.windows(array_sizes(x))
        total = reduce_windows(np.add, pad_space(widen(x), windows), windows)
        return ((total / self._count(x, windows)).astype(x.dtype, copy=False),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        sizes, windows = x.shape[2:], self.windows(x.shape[2:])
        one = x.like(1).expand((Dim.of(1), Dim.of(1), *sizes))
        if self.count_include_pad:
            pads = [Dim.of(p) for p in spread("padding", self.padding, x.rank - 2)]
            padded = [size + 2 * pad for size, pad in zip(sizes, pads, strict=True)]
            one = x.like(1).expand((Dim.of(1), Dim.of(1), *padded))
            windows = tuple(
                replace(w, low=w.low - pad, high=w.high - pad)
                for w, pad in zip(windows, pads, strict=True)
            )
        kernel = x.like(1).expand((Dim.of(1), Dim.of(1), *(Dim.of(w.kernel) for w in windows)))
        counts = gather_windows(one, kernel, windows)
        flat = (slope / counts).reshape(
            (slope.shape[0] * slope.shape[1], Dim.of(1), *slope.shape[2:])
        )
        made = scatter_windows(flat, kernel, self.windows(sizes), sizes, 1)
        return [made.reshape(x.shape)]

    def _count(self, x: Array, windows: Sequence[Window]) -> Array:
        """How many entries each window averages, as a shape that broadcasts."""
        padding = spread("padding", self.padding, x.ndim - 2)
        count: Array = np.ones((1,) * x.ndim, widen(x).dtype)
        for axis, (window, pad) in enumerate(zip(windows, padding, strict=True), start=2):
            first = np.arange(int(window.count(Dim.of(x.shape[axis])).known or 0)) * window.stride
            first = first - pad
            extra = pad if self.count_include_pad else 0
            stop = np.minimum(first + window.kernel, x.shape[axis] + extra)
            along = stop - np.maximum(first, -extra)
            shape = [1] * x.ndim
            shape[axis] = -1
            count = count * along.reshape(shape).astype(count.dtype)
        return count

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        sizes = x.shape[2:]
        plain = replace(self, ceil_mode=False).windows(sizes)
        attributes = write_windows(plain)
        if self.count_include_pad and "pads" in attributes:
            attributes["count_include_pad"] = 1
        if self.ceil_mode:
            attributes["ceil_mode"] = 1
        return [build.op("AveragePool", [x.value], attributes)]
