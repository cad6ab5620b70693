"""Factorisations of convolutions: channel, spatial and Tucker-2."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.low_rank.factoring import (
    Factoring,
    Setting,
    SingleRank,
    balance,
    round_up,
)
from compiler.compression.low_rank.matrices import RIDGE, Product
from compiler.compression.low_rank.moments import Moments
from compiler.compression.low_rank.spectra import Spectrum, multiply_self, take_root
from compiler.ir.graph import Op
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.windows import spread

Array = NDArray[Any]


class Seen:
    """A kernel `[out, in, …]` as the inputs show it: multiplied by a root S of the second moment
    of the input channels, which counts every tap alike. `energy` is about the mean."""

    def __init__(self, weight: Array, moments: Moments | None) -> None:
        self.weight = weight.astype(np.float32, copy=False)
        self.root: Array | None = None
        self.inverse: Array | None = None
        self.kernel = self.weight
        self.energy = float(np.sum(np.square(self.weight, dtype=np.float64)))
        if moments is None:
            return
        even = np.eye(weight.shape[1]) * (RIDGE * np.trace(moments.second) / weight.shape[1])
        self.root, self.inverse = take_root(moments.second + even + 1e-30 * np.eye(len(even)))
        self.kernel = multiply_inputs(self.weight, self.root)
        centred = moments.covariance + even
        taps = np.moveaxis(self.weight, 1, -1).reshape(-1, weight.shape[1]).astype(np.float64)
        self.energy = float(np.sum((taps @ centred) * taps))


def multiply_inputs(kernel: Array, matrix: Array) -> Array:
    """A kernel `[out, in, …]` times a matrix `[in, k]`: `[out, k, …]`."""
    made: Array = np.moveaxis(np.tensordot(kernel, matrix, axes=(1, 0)), -1, 1)
    return made


def split_seen(seen: Seen, lay: Callable[[Array], Array], inner: tuple[int, ...]) -> Product:
    """The product of a kernel laid out as a matrix `[outputs, inputs]` that loses least of the
    kernel as it is seen, by the shorter side. A row of inputs has the shape `inner`, its channels
    first."""
    plain, shown = lay(seen.weight), lay(seen.kernel)
    wide = plain.shape[0] <= plain.shape[1]
    spectrum = Spectrum(multiply_self(shown if wide else shown.T))

    def find(rank: int) -> tuple[Array, Array]:
        kept = spectrum.directions[:, :rank]
        if wide:
            left = kept.astype(np.float32)
            return left, left.T @ plain
        rows = kept.T.reshape(-1, *inner)
        if seen.inverse is not None:
            rows = multiply_inputs(rows, seen.inverse)
        return (shown @ kept).astype(np.float32), rows.reshape(kept.T.shape).astype(np.float32)

    return Product(spectrum.lost() / max(seen.energy, 1e-30), find)


@final
class ChannelFactoring(SingleRank):
    """`k×k` to K channels, then `1×1`: the singular value decomposition of `W` as a matrix
    `[out, in·k·k]` (Zhang et al. 2015). Of a transposed convolution likewise."""

    method = "channel"
    sliding = 0

    @staticmethod
    def count(shape: Sequence[int], rank: int) -> int:
        """The numbers in the factors of a kernel of that shape at a rank, or the full one."""
        out, inner = shape[0], math.prod(shape[1:])
        return min(rank, out, inner) * (inner + out)

    def __init__(self, op: Conv | ConvTranspose, seen: Seen) -> None:
        self.op = op
        self.shape = seen.weight.shape
        self.each = self.count(self.shape, 1)
        self.product = split_seen(seen, lambda k: k.reshape(len(k), -1), self.shape[1:])
        self.shares = self.product.shares

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        (rank,) = setting.ranks
        first = replace(self.op, out=rank, bias=False)
        return first, Conv(self.op.out, 1, bias=self.op.bias)

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        (rank,) = setting.ranks
        left, right = balance(*self.product.cut(rank))
        inner = right.reshape(rank, *self.shape[1:])
        if isinstance(self.op, ConvTranspose):
            inner = np.swapaxes(inner, 0, 1)
        return inner, left.reshape(*left.shape, *[1] * (len(self.shape) - 2))


@final
class SpatialFactoring(SingleRank):
    """`k×1` to K channels, then `1×k`: the singular value decomposition of `W` as a matrix
    `[out·k, in·k]` (Jaderberg et al. 2014). Stride, padding and dilation go by axis."""

    method = "spatial"
    rank_fields = (("out", "spatial_rank"),)

    @staticmethod
    def count(shape: Sequence[int], rank: int) -> int:
        """The numbers in the factors of a kernel of that shape at a rank, or the full one."""
        out, inputs, high, wide = shape
        return min(rank, out * wide, inputs * high) * (inputs * high + out * wide)

    def __init__(self, op: Conv, seen: Seen) -> None:
        self.op = op
        self.shape = _, inputs, high, _ = seen.weight.shape
        self.each = self.count(self.shape, 1)
        self.product = split_seen(seen, _lay_spatially, (inputs, high))
        self.shares = self.product.shares

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        (rank,) = setting.ranks
        upright, partial_ones = (_keep_axis(self.op, axis) for axis in (0, 1))
        return replace(upright, out=rank, bias=False), partial_ones

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        (rank,) = setting.ranks
        left, right = balance(*self.product.cut(rank))
        out, inputs, high, wide = self.shape
        first = right.reshape(rank, inputs, high)[:, :, :, None]
        last = left.reshape(out, wide, rank).transpose(0, 2, 1)[:, :, None, :]
        return first, last


def _lay_spatially(kernel: Array) -> Array:
    """`[out, in, h, w]` as a matrix `[out·w, in·h]`."""
    out, inputs, high, wide = kernel.shape
    return kernel.transpose(0, 3, 1, 2).reshape(out * wide, inputs * high)


def _keep_axis(op: Conv, axis: int) -> Conv:
    """The convolution along one of two axes, with that axis' stride, padding and dilation."""

    def keep(option: str, value: int | tuple[int, ...], other: int) -> int | tuple[int, ...]:
        numbers = [other, other]
        numbers[axis] = spread(option, value, 2)[axis]
        return numbers[0] if numbers[0] == numbers[1] else tuple(numbers)

    padding = op.padding
    if not isinstance(padding, str):
        padding = keep("padding", padding, 0)
    return replace(
        op,
        kernel=keep("kernel", op.kernel, 1),
        stride=keep("stride", op.stride, 1),
        dilation=keep("dilation", op.dilation, 1),
        padding=padding,
    )


@final
class TuckerFactoring(Factoring):
    """`1×1` to K channels, `k×k` to L, then `1×1`: Tucker's decomposition along the input and
    output channels (Kim et al. 2016), by the directions of both unfoldings (HOSVD).

    Projections on orthonormal directions lose exactly the energy that the core lacks, so the loss
    at every pair of ranks is read off the full core.
    """

    method = "tucker"
    rank_fields = (("out", "rank_in"), ("out", "rank"))
    sliding = 1

    @staticmethod
    def count(shape: Sequence[int], rank: int) -> int:
        """The numbers in the factors of a kernel of that shape at a rank, or the full ones."""
        out, inputs, *taps = shape
        outer, inner = min(rank, out), min(rank, inputs)
        return inner * inputs + outer * inner * math.prod(taps) + outer * out

    def __init__(self, op: Conv, seen: Seen) -> None:
        self.op = op
        self.shape = out, inputs, *_ = seen.weight.shape
        self.taps = math.prod(self.shape[2:])
        kernel = seen.kernel.astype(np.float64)
        outer = Spectrum(multiply_self(kernel.reshape(out, -1))).directions
        inner = np.swapaxes(kernel, 0, 1).reshape(inputs, -1)
        self.outer, self.inner = outer, Spectrum(multiply_self(inner)).directions
        core = np.tensordot(outer.T, multiply_inputs(kernel, self.inner), axes=1)
        energy = np.square(core).reshape(out, inputs, -1).sum(axis=2)
        kept = np.pad(energy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        self.lost = np.maximum(kept[-1, -1] - kept, 0.0) / max(seen.energy, 1e-30)
        self.core = core
        self.inverse = seen.inverse
        rows, columns = np.ogrid[: out + 1, : inputs + 1]
        self.sizes = columns * inputs + rows * columns * self.taps + rows * out

    def _setting(self, outer: int, inner: int) -> Setting:
        lost = float(self.lost[outer, inner])
        return Setting((inner, outer), int(self.sizes[outer, inner]), lost)

    def at_rank(self, rank: int) -> Setting:
        out, inputs = self.shape[:2]
        return self._setting(max(1, min(rank, out)), max(1, min(rank, inputs)))

    def align(self, setting: Setting, multiple: int) -> Setting:
        out, inputs = self.shape[:2]
        inner, outer = (round_up(rank, multiple) for rank in setting.ranks)
        return self._setting(min(outer, out), min(inner, inputs))

    def smallest(self, lost: float) -> Setting:
        fits = self.lost[1:, 1:] <= lost + 1e-10
        place = np.argmin(np.where(fits, self.sizes[1:, 1:], np.iinfo(np.int64).max))
        return self._setting(*(int(i) + 1 for i in np.unravel_index(place, fits.shape)))

    def within(self, parameters: float) -> Setting | None:
        fits = self.sizes[1:, 1:] <= parameters
        if not fits.any():
            return None
        place = np.argmin(np.where(fits, self.lost[1:, 1:], np.inf))
        return self._setting(*(int(i) + 1 for i in np.unravel_index(place, fits.shape)))

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        inner, outer = setting.ranks
        middle = replace(self.op, out=outer, bias=False)
        return Conv(inner, 1, bias=False), middle, Conv(self.op.out, 1, bias=self.op.bias)

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        inner, outer = setting.ranks
        down = self.inner[:, :inner].T
        if self.inverse is not None:
            down = down @ self.inverse
        core = np.swapaxes(self.core[:outer, :inner], 0, 1).reshape(inner, -1)
        core, down = balance(core.T, down)
        core = np.swapaxes(core.T.reshape(inner, outer, *self.shape[2:]), 0, 1)
        up, rows = balance(self.outer[:, :outer], core.reshape(outer, -1))
        ones = (1,) * (len(self.shape) - 2)
        return _widen(down, ones), rows.reshape(core.shape), _widen(up, ones)


def _widen(matrix: Array, ones: tuple[int, ...]) -> Array:
    return matrix.reshape(*matrix.shape, *ones)
