"""Derivatives of what slides windows over axes of space: back to the entries that windows saw, and
to the kernel that they were multiplied with."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.symbols import NoDerivative, Symbol
from compiler.ops.windows import Window
from compiler.types.dims import Dim, product


def scatter_windows(
    slope: Symbol, kernel: Symbol, windows: Sequence[Window], sizes: Sequence[Dim], groups: int
) -> Symbol:
    """Every entry times the kernel, added up where its window lay: the adjoint of a convolution
    over axes of these sizes. The kernel is that of the convolution."""
    spread = slope.apply(
        "conv_transpose",
        kernel,
        out=_known(kernel.shape[1]) * groups,
        kernel=tuple(window.kernel for window in windows),
        stride=tuple(window.stride for window in windows),
        dilation=tuple(window.dilation for window in windows),
        groups=groups,
        bias=False,
    )
    return cut_space(spread, [window.low for window in windows], sizes)


def gather_windows(x: Symbol, kernel: Symbol, windows: Sequence[Window]) -> Symbol:
    """Windows times a kernel, added up: a convolution with all of its padding."""
    pairs = zip(x.shape[2:], windows, strict=True)
    spans = [(w.count(size) - 1) * w.stride + w.span for size, w in pairs]
    return cut_space(x, [-window.low for window in windows], spans).apply(
        "conv",
        kernel,
        out=1,
        kernel=tuple(window.kernel for window in windows),
        stride=tuple(window.stride for window in windows),
        dilation=tuple(window.dilation for window in windows),
        bias=False,
    )


def return_maxima(slope: Symbol, places: Symbol, x: Symbol) -> Symbol:
    """The slopes of the maxima of windows, added up at their places in the space of x."""
    front, space = x.shape[:2], product(x.shape[2:])
    entries = (*front, product(slope.shape[2:]))
    zeros = x.zeros().reshape((*front, space))
    total = zeros.apply("scatter_add", places.reshape(entries), slope.reshape(entries), axis=2)
    return total.reshape(x.shape)


def cut_space(x: Symbol, lows: Sequence[Dim], sizes: Sequence[Dim]) -> Symbol:
    """Of each axis of space the part from a place on that has a size; zeros beyond its ends."""
    widths: list[Dim] = []
    for low, found, size in reversed(list(zip(lows, x.shape[2:], sizes, strict=True))):
        widths += [-low, size + low - found]
    return x.pad(widths)


def correlate_windows(
    x: Symbol, slope: Symbol, windows: Sequence[Window], shape: Sequence[Dim], groups: int
) -> Symbol:
    """For each entry of a kernel, what it was multiplied with, added up: the derivative of a
    convolution by its kernel, of this shape. The windows lie in x without padding.

    Raises:
        NoDerivative: there are three axes of space.
    """
    if len(windows) > 2:
        raise NoDerivative("over three axes of space, that by the kernel is not written down")
    if len(windows) == 1:
        x = x.unsqueeze([2])
    ones = (1,) * (2 - len(windows))
    columns = x.apply(
        "unfold",
        kernel=(*ones, *(window.kernel for window in windows)),
        stride=(*ones, *(window.stride for window in windows)),
        dilation=(*ones, *(window.dilation for window in windows)),
    )
    batch, places = x.shape[0], columns.shape[2]
    split = Dim.of(groups)
    seen = columns.reshape((batch, split, columns.shape[1] / groups, places))
    made = slope.reshape((batch, split, slope.shape[1] / groups, product(slope.shape[2:])))
    return (made @ seen.swap()).sum([0]).reshape(shape)


def _known(size: Dim) -> int:
    assert size.known is not None, "kernels have known sizes"
    return size.known
