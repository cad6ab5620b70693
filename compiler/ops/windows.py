"""Sliding windows over the axes after batch and channels: sizes, padding and NumPy views."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from compiler.ir.operands import Array, Assume
from compiler.ops.layers import refuse_option
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, Label
from compiler.report.messages.windows import (
    nothing_left,
    padding_undecided,
    window_too_large,
    wrong_count,
    wrong_layout,
)
from compiler.types.dims import Dim, at_most, product
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import Leaf

Sizes = int | tuple[int, ...]
Padding = int | tuple[int, ...] | Literal["same", "valid"]

TOGETHER = 1 << 21
"""Entries of windows that a convolution lays out together."""
LAYOUTS = "[batch, channels, size…] with one to three sizes"


@dataclass(frozen=True)
class Window:
    """A window along one axis, and the padding before (`low`) and after (`high`) the axis."""

    kernel: int
    stride: int
    dilation: int
    low: Dim
    high: Dim

    @property
    def span(self) -> int:
        """Entries from the first to the last that the window touches."""
        return self.dilation * (self.kernel - 1) + 1

    def count(self, size: Dim) -> Dim:
        """How many windows fit into an axis of that size."""
        return count_along(size + self.low + self.high, Dim.of(self.span), Dim.of(self.stride))

    @property
    def pads(self) -> tuple[int, int] | None:
        """The padding as numbers, if it is known."""
        low, high = self.low.known, self.high.known
        return None if low is None or high is None else (low, high)


def count_along(padded: Dim, span: Dim, stride: Dim) -> Dim:
    """How many windows fit into a padded axis: floor((padded - span) / stride) + 1."""
    return (padded - span) // stride + 1


def need_layout(op: str, type: TensorType) -> int:
    """The number of axes of space, 1 to 3.

    Raises:
        Fault: the tensor has no such layout.
    """
    if 3 <= type.rank <= 5:
        return type.rank - 2
    hint = "`[:, none]` behind the input adds an axis for one channel" if type.rank == 2 else None
    raise Fault(lambda where: wrong_layout(where.call, op, LAYOUTS, where.operand(0), hint))


def spread(option: str, value: Sizes, axes: int) -> tuple[int, ...]:
    """One number for each axis of space.

    Raises:
        Fault: a list has another length.
    """
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise Fault(
            lambda where: wrong_count(where.argument(option), option, value, axes, where.operand(0))
        )
    return value


def pick(option: str, value: Sizes, axis: int, options: Mapping[str, Dim]) -> Dim:
    """An option along an axis of a tensor: the symbol that stands for it, else its number."""
    place = axis - 2
    known = options.get(f"{option}.{place}", options.get(option))
    if known is not None:
        return known
    return Dim.of(value if isinstance(value, int) else value[place])


def collapse(values: tuple[int, ...]) -> Sizes:
    """One number where all are equal: how a person writes it."""
    return values[0] if len(set(values)) == 1 else values


def make_windows(
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
    sizes: Sequence[Dim],
) -> tuple[Window, ...]:
    """One window for each axis of space, with the padding resolved.

    Raises:
        Fault: the padding is a list of another length, or cannot be decided.
    """
    axes = len(sizes)
    if padding == "same":
        pads = [
            pad_same(size, d * (k - 1) + 1, s, axis)
            for axis, (size, k, s, d) in enumerate(
                zip(sizes, kernel, stride, dilation, strict=True), start=2
            )
        ]
    else:
        numbers = spread("padding", 0 if padding == "valid" else padding, axes)
        pads = [(Dim.of(p), Dim.of(p)) for p in numbers]
    return tuple(
        Window(k, s, d, low, high)
        for k, s, d, (low, high) in zip(kernel, stride, dilation, pads, strict=True)
    )


def pad_same(size: Dim, span: int, stride: int, axis: int) -> tuple[Dim, Dim]:
    """Padding before and after an axis so that ceil(size / stride) windows fit, the odd one
    after: PyTorch's rule for stride 1, TensorFlow's and Keras's for any.

    Raises:
        Fault: the size is symbolic and the rule has no closed form.
    """
    windows = (size + stride - 1) // stride
    total = (windows - 1) * stride + span - size
    if span == 1:
        total = Dim.of(0)
    elif total.known is not None:
        total = Dim.of(max(total.known, 0))
    elif span < stride:
        raise Fault(
            lambda where: padding_undecided(
                where.argument("padding"),
                'padding="same"',
                "a kernel shorter than the stride",
                axis,
                str(size),
                where.operand(0),
            )
        )
    low = total // 2
    return low, total - low


def turn_same(
    kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Window, ...]:
    """The windows of a transposed convolution whose result is `stride` times as large. PyTorch
    cuts as much before as after.

    Raises:
        Fault: an odd number of entries is to be cut. PyTorch's networks cut the odd one before,
            Keras cuts it after.
    """
    windows = []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        total = max(d * (k - 1) + 1 - s, 0)
        cut, odd = divmod(total, 2)
        if odd:
            needed = f'"valid" or a number: kernel {k} with stride {s} cuts one side more'
            before = f"`padding={cut + 1}, output_padding=1` cuts it before, as in PyTorch"
            hint = (
                f"{before}; a kernel of {k + 1} cuts both sides alike" if s > 1 and d == 1 else None
            )
            refuse_option("conv_transpose", "padding", "same", needed, hint)
        windows.append(Window(k, s, d, Dim.of(cut), Dim.of(cut)))
    return tuple(windows)


def count_windows(
    windows: Sequence[Window], sizes: Sequence[Dim], type: TensorType, assume: Assume
) -> tuple[Dim, ...]:
    """The sizes of the output; that a window fits into a symbolic size is assumed.

    Raises:
        Fault: a window is larger than its padded axis.
    """
    for axis, (window, size) in enumerate(zip(windows, sizes, strict=True), start=2):
        padded = size + window.low + window.high
        fits = at_most(window.span, padded)
        if fits is None:
            assume(Dim.of(window.span), "<=", padded)
        elif not fits:
            _refuse_window(window, axis, type)
    return tuple(w.count(s) for w, s in zip(windows, sizes, strict=True))


def _refuse_window(window: Window, axis: int, type: TensorType) -> None:
    raise Fault(
        lambda where: window_too_large(
            where.argument("kernel"),
            window.span,
            window.kernel,
            window.dilation,
            axis,
            str(type.shape[axis]),
            str(window.low + window.high),
            Label(where.operand(0).span, str(type)),
        )
    )


def need_positive(size: Dim, option: str, axis: int, type: TensorType, assume: Assume) -> None:
    """Records that an output has a size of at least 1, or raises `Fault` where it has not."""
    holds = at_most(1, size)
    if holds is None:
        assume(Dim.of(1), "<=", size)
    elif not holds:
        raise Fault(
            lambda where: nothing_left(
                where.argument(option),
                option,
                axis,
                str(size),
                Label(where.operand(0).span, str(type)),
            )
        )


def write_windows(windows: Sequence[Window]) -> dict[str, object]:
    """The attributes of ONNX's convolutions and poolings, without those that are as by default.
    Padding of a size that is not known is "same" padding, which ONNX computes at run time."""
    attributes: dict[str, object] = {"kernel_shape": [w.kernel for w in windows]}
    if any(w.stride != 1 for w in windows):
        attributes["strides"] = [w.stride for w in windows]
    if any(w.dilation != 1 for w in windows):
        attributes["dilations"] = [w.dilation for w in windows]
    pads = [w.pads for w in windows]
    known = [p for p in pads if p is not None]
    if len(known) < len(pads):
        attributes["auto_pad"] = "SAME_UPPER"
    elif any(low or high for low, high in known):
        attributes["pads"] = [low for low, _ in known] + [high for _, high in known]
    return attributes


def spell_sizes(leaf: Leaf) -> Leaf:
    """The leaf of an option with one number for each axis of space, as one number where all are
    the same."""
    return replace(leaf, value=collapse(leaf.value)) if isinstance(leaf.value, tuple) else leaf


def array_sizes(x: Array) -> tuple[Dim, ...]:
    """The sizes of an array's axes of space."""
    return tuple(Dim.of(size) for size in x.shape[2:])


def count_padded(type: TensorType, windows: Sequence[Window]) -> Dim:
    """Entries of a tensor once it is padded along its axes of space."""
    sizes = zip(type.shape[2:], windows, strict=True)
    return product((*type.shape[:2], *(size + w.low + w.high for size, w in sizes)))


def pad_space(x: Array, windows: Sequence[Window], value: float = 0.0) -> Array:
    """An array padded along its axes of space."""
    pads = [(0, 0), (0, 0)] + [w.pads or (0, 0) for w in windows]
    if not any(low or high for low, high in pads):
        return x
    return np.pad(x, pads, constant_values=value)


def view_windows(x: Array, windows: Sequence[Window]) -> Array:
    """A view `[n, c, *windows, *kernel]` of a padded array."""
    axes = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, [w.span for w in windows], axis=axes)
    steps = [slice(None, None, w.stride) for w in windows]
    inner = [slice(None, None, w.dilation) for w in windows]
    return view[:, :, *steps, *inner]


def convolve(view: Array, weight: Array, groups: int) -> Array:
    """Multiplies windows `[n, c, *out, *kernel]` with a weight `[o, c / groups, *kernel]`: one
    matrix product per sample and group, of few samples at a time, whose windows fit in a cache."""
    axes = weight.ndim - 2
    n, _, *sizes = view.shape
    out, window = sizes[:axes], sizes[axes:]
    inner, places = weight.shape[1] * math.prod(window), math.prod(out)
    rows = weight.reshape(groups, 1, weight.shape[0] // groups, inner)
    product = np.empty((groups, n, weight.shape[0] // groups, places), np.result_type(view, weight))
    count = max(1, TOGETHER // max(1, groups * inner * places))
    for start in range(0, n, count):
        part = slice(start, start + count)
        columns = _lay_columns(view[part], groups, axes)
        np.matmul(rows, columns.reshape(groups, -1, inner, places), out=product[:, part])
    return product.swapaxes(0, 1).reshape(n, weight.shape[0], *out)


def _lay_columns(view: Array, groups: int, axes: int) -> Array:
    """Windows `[n, c, *out, *kernel]` as `[groups, n, c / groups, *kernel, *out]`. Copying the
    places of one kernel entry after the other moves long runs of memory."""
    n, channels, *sizes = view.shape
    out, window = sizes[:axes], sizes[axes:]
    columns = np.empty((groups, n, channels // groups, *window, *out), view.dtype)
    if math.prod(window) > math.prod(out):
        split = view.reshape(n, groups, channels // groups, *sizes)
        order = (1, 0, 2, *range(3 + axes, 3 + 2 * axes), *range(3, 3 + axes))
        columns[...] = split.transpose(order)
        return columns
    for offset in np.ndindex(*window):
        seen = view[..., *offset].reshape(n, groups, channels // groups, *out)
        columns[:, :, :, *offset] = seen.swapaxes(0, 1)
    return columns
