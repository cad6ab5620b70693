"""Images sampled at given places: grid_sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, final

import numpy as np

from compiler.ir.coupling import Coupling, result
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results
from compiler.ops.axes import need_float, places
from compiler.ops.interpolation import weigh_taps
from compiler.ops.layers import given, refuse_option, widen
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import dtypes_differ, sizes_disagree
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import equal
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling

Padding = Literal["zeros", "border", "reflection"]
_NAMES_SINCE_20 = {"bilinear": "linear", "bicubic": "cubic"}


@OPS.register
@final
@dataclass(frozen=True)
class GridSample(Op):
    """An image sampled at places that a grid names, as a spatial transformer does (Jaderberg et al.
    2015): `y[n, :, i, j]` is x at `(column, row) = grid[n, i, j]`, which goes from -1, the left or
    upper edge, to 1, the right or lower one.

    Of volumes, `y[n, :, i, j, k]` is x at `(column, row, layer) = grid[n, i, j, k]`; ONNX has that
    since opset 20.

    Shapes: x `f32[n, c, h, w]`, grid `f32[n, p, q, 2]` -> `f32[n, c, p, q]`; or x `f32[n, c, l, h,
    w]`, grid `f32[n, o, p, q, 3]` -> `f32[n, c, o, p, q]`.

    - `mode`: "bilinear" between four pixels (of volumes between eight), the "nearest" one, or a
      "bicubic" through sixteen, for images alone.
    - `padding`: what is beyond the image: "zeros", its "border", or its "reflection".
    - `align_corners`: whether -1 and 1 are the centers of the outer pixels, not their edges.

    Errors: W0353 for a "bicubic" of volumes, W0380 for tensors of other ranks, W0382 for whole
    numbers, W0397 where the dtypes differ, W0387 where the sizes do.
    Example: `input theta: f32[n, 2, 3]`, `y = image -> grid_sample(affine_grid(theta, 32, 32))`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
    """

    name = "grid_sample"
    keeps_f32 = True
    operands = (Operand("x"), Operand("grid"))
    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear"
    padding: Padding = "zeros"
    align_corners: bool = False

    def infer(self, assume: Assume, x: TensorType, grid: TensorType) -> tuple[TensorType, ...]:
        for index, found in enumerate((x, grid)):
            need_float(self.name, found, operand=index)
            if found.rank not in (4, 5) or found.rank != x.rank:
                self._refuse_rank(index, found)
        if x.dtype is not grid.dtype:
            raise Fault(
                lambda where: dtypes_differ(where.call, self.name, x, grid, places(where, 2))
            )
        space = x.rank - 2
        if equal(grid.shape[-1], space) is not True:
            held = {2: "pairs", 3: "triples"}[space]
            self._refuse_sizes(f"the last axis of {grid} holds no {held}")
        if self.mode == "bicubic" and space == 3:
            needed = '"bilinear" or "nearest" of volumes'
            refuse_option(self.name, "mode", self.mode, needed)
        same = equal(x.shape[0], grid.shape[0])
        if same is None:
            assume(x.shape[0], "==", grid.shape[0])
        elif not same:
            self._refuse_sizes(f"there are grids {grid} for images {x}")
        return (TensorType(x.dtype, (*x.shape[:2], *grid.shape[1:-1])),)

    def _refuse_rank(self, index: int, found: TensorType) -> None:
        needed = (
            "images [n, c, h, w] or volumes [n, c, l, h, w]",
            "a grid [n, p, q, 2] of images, or [n, o, p, q, 3] of volumes",
        )[index]
        raise Fault(
            lambda where: wrong_rank(where.call, self.name, needed, found, (where.operand(index),))
        )

    def _refuse_sizes(self, reason: str) -> None:
        raise Fault(lambda where: sizes_disagree(where.call, self.name, reason, places(where, 2)))

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # Between neighbours, at places that are rounded as far as an axis is long.
        x, grid = given(operands[0]), given(operands[1])
        reach = max(x.shape[2:]) * np.abs(grid).max(initial=1.0)
        space = tuple(range(2, x.ndim))
        return [2 * np.abs(x).max(axis=space, keepdims=True) * max(1.0, float(reach) / 4)]

    def evaluate(self, x: Array, grid: Array) -> tuple[Array, ...]:
        wide, at = widen(x), widen(grid)
        sizes = wide.shape[2:]
        taps = [
            self._list_taps(self._find_places(at[..., -1 - axis], size), size)
            for axis, size in enumerate(sizes)
        ]
        y = np.zeros((*x.shape[:2], *grid.shape[1:-1]), wide.dtype)
        for found in product(*taps):
            places, weights = zip(*found, strict=True)
            y += self._look_up(wide, places) * np.prod(weights, axis=0)[:, None]
        return (y.astype(x.dtype, copy=False),)

    def _find_places(self, at: Array, size: int) -> Array:
        """Places from -1 to 1 as numbers of pixels; inside, where padding brings them there and
        not what is around each."""
        kind = at.dtype.type
        found = (at + 1) / 2 * kind(size - 1) if self.align_corners else ((at + 1) * size - 1) / 2
        return found if self.mode == "bicubic" else self._pad(found, size)

    def _pad(self, at: Array, size: int) -> Array:
        if self.padding == "zeros":
            return at
        if self.padding == "reflection":
            low, span = (0.0, size - 1) if self.align_corners else (-0.5, size)
            if span == 0:
                return np.zeros_like(at)
            far = np.abs(at - at.dtype.type(low))
            turns, rest = np.floor(far / span), np.fmod(far, at.dtype.type(span))
            at = np.where(turns % 2 == 0, rest, span - rest) + at.dtype.type(low)
        return np.clip(at, 0, size - 1)

    def _list_taps(self, at: Array, size: int) -> list[tuple[Array, Array]]:
        """Numbers of pixels along an axis, and the weight of each."""
        if self.mode == "nearest":
            return [(np.rint(at), np.ones_like(at))]
        low = np.floor(at)
        part = at - low
        if self.mode == "bilinear":
            return [(low, 1 - part), (low + 1, part)]
        return [(self._pad(low + tap, size), weight) for tap, weight in weigh_taps(part)]

    def _look_up(self, x: Array, places: Sequence[Array]) -> Array:
        """Pixels `[n, c, p, q]` at places along each axis, 0 outside of the image."""
        inside = np.all(
            [(at >= 0) & (at < size) for at, size in zip(places, x.shape[2:], strict=True)], axis=0
        )
        at = [np.where(inside, found, 0).astype(np.int64) for found in places]
        samples = np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 2))
        found = np.moveaxis(x, 1, -1)[(samples, *at)]
        return np.moveaxis(found * inside[..., None], -1, 1)

    def couple(self, outputs: Results, x: NodeInput, grid: NodeInput) -> Coupling:
        return Coupling(((x.axis(0), grid.axis(0), result(0)), (x.axis(1), result(1))))

    def torch(self, node: Node) -> Spelling:
        named = (
            ("mode", self.leaf("mode")),
            ("padding_mode", self.leaf("padding")),
            ("align_corners", Leaf(self.align_corners)),  # PyTorch warns where it is left out
        )
        return Spelling(Call("F.grid_sample", (In(0), In(1)), named))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, grid: OnnxInput) -> Values:
        if x.rank == 5:
            build.need_opset("GridSample", 20)
        mode = _NAMES_SINCE_20.get(self.mode, self.mode) if build.opset >= 20 else self.mode
        attributes = {
            "mode": mode,
            "padding_mode": self.padding,
            "align_corners": int(self.align_corners),
        }
        return [build.op("GridSample", [x.value, grid.value], attributes)]
