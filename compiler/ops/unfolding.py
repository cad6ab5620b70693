"""Windows of images as columns, and columns added up to images: unfold and fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, Factors, inner, result, tie_same
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ir.symbols import Slopes, Symbol, shorten
from compiler.ops.axes import axes_constant, need_float, places, unsqueeze
from compiler.ops.creation import check_sizes
from compiler.ops.gathering import write_steps
from compiler.ops.layers import need_least
from compiler.ops.magnitudes import measure_terms
from compiler.ops.registry import OPS
from compiler.ops.windows import (
    Sizes,
    Window,
    array_sizes,
    count_windows,
    make_windows,
    pad_space,
    spell_sizes,
    spread,
    view_windows,
)
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option, sizes_disagree
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, DimError, equal, product
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Term


class Columns(Op):
    """Base of ops between images and the columns of their windows."""

    operands = (Operand("x"),)
    torch_keywords: ClassVar[Mapping[str, str]] = {"kernel": "kernel_size", "size": "output_size"}
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes

    @property
    def sliding(self) -> Mapping[str, Sizes]:
        """The options that say where windows lie."""
        names = ("kernel", "stride", "padding", "dilation")
        return {name: getattr(self, name) for name in names}

    def windows(self, sizes: Sequence[Dim]) -> tuple[Window, ...]:
        """One window for each of the two axes of space."""
        kernel, stride, dilation = (
            spread(option, getattr(self, option), 2) for option in ("kernel", "stride", "dilation")
        )
        return make_windows(kernel, stride, dilation, spread("padding", self.padding, 2), sizes)

    def check(self, x: TensorType, rank: int, needed: str) -> None:
        """Raises `Fault` for a tensor or options that it cannot have."""
        need_float(self.name, x)
        if x.rank != rank:
            raise Fault(
                lambda where: wrong_rank(where.call, self.name, needed, x, places(where, 1))
            )
        for option, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            need_least(self.name, option, spread(option, getattr(self, option), 2), least)

    @property
    def block(self) -> int:
        """Entries of a window in one channel."""
        return math.prod(spread("kernel", self.kernel, 2))

    def spell_option(self, field: str) -> Term:
        leaf = self.leaf(field)
        return leaf if field == "size" else spell_sizes(leaf)


@OPS.register
@final
@dataclass(frozen=True)
class Unfold(Columns):
    """The sliding windows of images as columns (im2col): a convolution is a matrix product of them.

    Column l holds the window l, row by row: entry `c * kh * kw + i * kw + j` is that of channel c
    at row i and column j of the window. `fold` adds columns up to images.

    Shapes: x `f32[n, c, h, w]` -> `f32[n, c * kh * kw, l]`, l windows.

    - `kernel`: size of a window.
    - `stride`: distance of windows.
    - `padding`: zeros around the image.
    - `dilation`: distance of the entries of a window.

    Errors: W0380 where x is no batch of images, W0382 where it is not
    floating-point, W0351 where the window is larger than the image, W0353 for a stride of 0.
    Example: `patches = image -> unfold(kernel=4, stride=4) -> transpose(1, 2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html
    """

    name = "unfold"
    torch_function = "F.unfold"
    torch_module = "nn.Unfold"

    kernel: Sizes
    stride: Sizes = 1
    padding: Sizes = 0
    dilation: Sizes = 1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.check(x, 4, "images `[batch, channels, height, width]`")
        counts = count_windows(self.windows(x.shape[2:]), x.shape[2:], x, assume)
        return (TensorType(x.dtype, (x.shape[0], x.shape[1] * self.block, product(counts))),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        windows = self.windows(array_sizes(x))
        view = view_windows(pad_space(x, windows), windows)  # [n, c, rows, columns, kh, kw]
        columns = view.transpose(0, 1, 4, 5, 2, 3)
        return (columns.reshape(x.shape[0], x.shape[1] * self.block, -1),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("fold", size=shorten(x.shape[2:]), **self.sliding)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        channels = Factors(result(1), (x.axis(1), inner(0, self.block)), kept=0)
        return Coupling(tie_same(x, 1), factors=(channels,))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        windows = self.windows(x.shape[2:])
        counts = [w.count(size) for w, size in zip(windows, x.shape[2:], strict=True)]
        value = x.value
        pads = [pad for w in windows for pad in (w.pads or (0, 0))]
        if any(pads):
            around = axes_constant(build, [0, 0, pads[0], pads[2], 0, 0, pads[1], pads[3]])
            value = build.op("Pad", [value, around])
        # [n, c, kh, rows, w], then [n, c, kh, rows, kw, columns]
        for axis, window, count in zip((2, 4), windows, counts, strict=True):
            value = build.op("Gather", [value, _write_places(build, window, count)], {"axis": axis})
        moved = build.op("Transpose", [value], {"perm": [0, 1, 2, 4, 3, 5]})
        kernel = [Dim.of(w.kernel) for w in windows]
        return [build.reshape(moved, (*x.shape[:2], *kernel, *counts), outputs[0].shape)]


def _write_places(build: OnnxBuilder, window: Window, count: Dim) -> Any:
    """The places along an axis of each entry of each window: `[kernel, count]`."""
    steps = np.arange(window.kernel, dtype=np.int64) * window.dilation
    if count.known is not None:
        starts = np.arange(count.known, dtype=np.int64) * window.stride
        return build.constant(steps[:, None] + starts)
    starts = write_steps(build, count)
    if window.stride != 1:
        starts = build.op("Mul", [starts, build.constant(np.array(window.stride, np.int64))])
    return build.op("Add", [build.constant(steps[:, None]), unsqueeze(build, starts, [0])])


@OPS.register
@final
@dataclass(frozen=True)
class Fold(Columns):
    """Columns of sliding windows added up to images (col2im): what `unfold` takes apart.

        y[c, i + stride * p, j + stride * q] += x[c, i, j, p, q]

    Where windows overlap, their entries are added; the padding is cut off.

    Shapes: x `f32[n, c * kh * kw, l]`, l windows -> `f32[n, c, h, w]`.

    - `size`: height and width of the images.
    - `kernel`: size of a window.
    - `stride`: distance of windows.
    - `padding`: rows and columns around the image that are cut off.
    - `dilation`: distance of the entries of a window.

    Errors: W0380 where x has not three axes, W0382 where it is not floating-point, W0387 where it
    has not a column for each window, W0392 where `size` has not two numbers.
    Example:

        input patches: f32[n, 48, 64]
        image = patches -> fold([32, 32], kernel=4, stride=4)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html
    """

    name = "fold"
    torch_function = "F.fold"
    torch_module = "nn.Fold"

    size: tuple[int | Dim, ...]
    kernel: Sizes
    stride: Sizes = 1
    padding: Sizes = 0
    dilation: Sizes = 1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.check(x, 3, "columns `[batch, channels * kernel, windows]`")
        space = check_sizes(self.name, self.size)
        if len(space) != 2:
            reason = f"{len(space)} numbers, which are height and width"
            raise Fault(lambda where: bad_option(where.argument("size"), "fold", "size", reason))
        try:
            channels = x.shape[1] / self.block
        except DimError:
            reason = f"axis 1 of {x} is not provably a multiple of {self.block}, a window's entries"
            raise _disagree(reason) from None
        image = TensorType(x.dtype, (x.shape[0], channels, *space))
        count = product(count_windows(self.windows(space), space, image, assume))
        same = equal(count, x.shape[2])
        if same is None:
            assume(x.shape[2], "==", count)
        elif not same:
            raise _disagree(f"{image} has {count} windows, and {x} has {x.shape[2]} columns")
        return (image,)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, self.block)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        space = [Dim.of(s) for s in self.size]
        windows = self.windows(space)
        counts = [w.count(s).evaluate({}) for w, s in zip(windows, space, strict=True)]
        columns = x.reshape(len(x), -1, *(w.kernel for w in windows), *counts)
        (top, bottom), (left, right) = (w.pads or (0, 0) for w in windows)
        height, width = (s.evaluate({}) for s in space)
        sheet = (*columns.shape[:2], height + top + bottom, width + left + right)
        made = np.zeros(sheet, np.promote_types(x.dtype, np.float32))
        for i, j in np.ndindex(*columns.shape[2:4]):
            rows, row = (
                slice(n * w.dilation, None, w.stride) for n, w in zip((i, j), windows, strict=True)
            )
            target = made[:, :, rows, row]
            target[:, :, : counts[0], : counts[1]] += columns[:, :, i, j]
        cut = made[:, :, top : top + height, left : left + width]
        return (cut.astype(x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.apply("unfold", **self.sliding)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        channels = Factors(x.axis(1), (result(1), inner(0, self.block)), kept=0)
        return Coupling(tie_same(x, 1), factors=(channels,))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        windows = self.windows(outputs[0].shape[2:])
        pads = [w.pads or (0, 0) for w in windows]
        attributes = {
            "dilations": [w.dilation for w in windows],
            "pads": [low for low, _ in pads] + [high for _, high in pads],
            "strides": [w.stride for w in windows],
        }
        sizes = build.shape(outputs[0].shape[2:])
        block = axes_constant(build, [w.kernel for w in windows])
        return [build.op("Col2Im", [x.value, sizes, block], attributes)]


def _disagree(reason: str) -> Fault:
    return Fault(lambda where: sizes_disagree(where.call, "fold", reason, places(where, 1)))
