"""The meaning of resizing in NumPy: each axis is a weighted sum of entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from compiler.ir.operands import Array
from compiler.records import dataclass

CUBIC = -0.75
"""The coefficient of PyTorch's cubic kernel (Keys 1981 has -0.5)."""
SMOOTH_CUBIC = -0.5
"""That of its kernel with antialiasing, which is Pillow's."""


@dataclass(frozen=True)
class Axis:
    """An axis that is resized to `size`; `scale` is the factor where one was given."""

    axis: int
    size: int
    scale: float | None


def interpolate(x: Array, axes: Sequence[Axis], kind: str, *, align_corners: bool) -> Array:
    """`x` with its axes resized; `kind` is "linear", "bicubic" or, with antialiasing,
    "smooth linear" or "smooth bicubic".

    Source: `aten/src/ATen/native/UpSample.h` of PyTorch.
    """
    made = x.astype(np.promote_types(x.dtype, np.float32))
    for item in axes:
        count = x.shape[item.axis]
        places = _find_places(item, count, align_corners=align_corners)
        if kind.startswith("smooth"):
            matrix = _weigh_smoothly(places + 0.5, count, _step(item, count), cubic="bi" in kind)
        else:
            weigh = _weigh_linear if kind == "linear" else _weigh_cubic
            matrix = weigh(places, count)
        moved = np.moveaxis(made, item.axis, -1) @ matrix.T.astype(made.dtype)
        made = np.moveaxis(moved, -1, item.axis)
    return made.astype(x.dtype)


def _step(item: Axis, count: int) -> float:
    """How far apart new entries are, in old ones."""
    return count / item.size if item.scale is None else 1 / item.scale


def _find_places(item: Axis, count: int, *, align_corners: bool) -> Array:
    """Where new entries lie among the old ones."""
    at = np.arange(item.size, dtype=np.float64)
    if align_corners:
        return at * ((count - 1) / (item.size - 1) if item.size > 1 else 0.0)
    return (at + 0.5) * _step(item, count) - 0.5


def _weigh_linear(places: Array, count: int) -> Array:
    places = np.maximum(places, 0)
    low = np.minimum(np.floor(places).astype(np.int64), count - 1)
    part = places - low
    matrix = np.zeros((len(places), count))
    rows = np.arange(len(places))
    np.add.at(matrix, (rows, low), 1 - part)
    np.add.at(matrix, (rows, np.minimum(low + 1, count - 1)), part)
    return matrix


def _weigh_cubic(places: Array, count: int) -> Array:
    low = np.floor(places).astype(np.int64)
    part = places - low
    matrix = np.zeros((len(places), count))
    rows = np.arange(len(places))
    for tap, weight in weigh_taps(part):
        np.add.at(matrix, (rows, np.clip(low + tap, 0, count - 1)), weight)
    return matrix


def weigh_taps(part: Array) -> Iterator[tuple[int, Array]]:
    """The four entries around places that lie `part` behind one, counted from it, and their
    weights in a cubic."""
    for tap in range(-1, 3):
        yield tap, _cubic_kernel(np.abs(part - tap)).astype(part.dtype)


def _weigh_smoothly(centers: Array, count: int, step: float, *, cubic: bool) -> Array:
    """Weights by a kernel that is as wide as what an entry stands for; what of it lies outside of
    the axis does not count.

    Source: `_compute_indices_min_size_weights_aa` of `UpSampleKernel.cpp`.
    """
    wide = max(step, 1.0)
    reach = wide * (2 if cubic else 1)
    matrix = np.zeros((len(centers), count))
    for row, center in enumerate(centers.tolist()):
        start, stop = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), count)
        distance = np.abs((np.arange(start, stop) - center + 0.5) / wide)
        weights = _cubic_kernel(distance, SMOOTH_CUBIC) if cubic else np.maximum(1 - distance, 0)
        matrix[row, start:stop] = weights / weights.sum()
    return matrix


def _cubic_kernel(distance: Array, a: float = CUBIC) -> Array:
    """Keys (1981), Cubic convolution interpolation for digital image processing."""
    d = distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
