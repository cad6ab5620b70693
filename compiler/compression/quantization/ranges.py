"""Ranges of activations: from numbers that were seen to the scale and zero point of a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compiler.ops.quantization import LEVELS, IntegerName, round_array
from compiler.records import dataclass

Array = NDArray[Any]
Method = Literal["minmax", "percentile", "entropy", "mse"]

OUTSIDE = 1e-4
"""The share of numbers beyond the range of `percentile`, half of it on either side."""
SHRINKS = np.linspace(1.0, 0.3, 36)
PART = 1 << 16
"""Numbers of a weight that are looked at together: they stay in the processor's cache."""
BINS = 2048
"""Bins of the histogram that `entropy` compares (Migacz 2017, 8-bit inference with TensorRT)."""


@dataclass(frozen=True)
class Scaling:
    """A scale and a zero point for all of a tensor, and the integer type."""

    scale: float
    zero_point: int
    dtype: IntegerName

    def round(self, x: Array) -> Array:
        """What numbers are worth in this type."""
        scale, zero = np.asarray(self.scale, np.float32), np.asarray(self.zero_point)
        return round_array(x, scale, zero, self.dtype)


@dataclass(frozen=True)
class Observation:
    """What was seen of a value: its exact bounds, a sample of its elements and how many there
    were, and the mean of each entry of its channel axis (none where no layer reads it)."""

    low: float
    high: float
    sample: Array
    count: int
    means: Array | None = None


def merge_observations(seen: Sequence[Observation]) -> Observation:
    """What was seen of values that share a scale."""
    if len(seen) == 1:
        return seen[0]
    sample = np.concatenate([one.sample for one in seen])
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    return Observation(low, high, sample, sum(one.count for one in seen))


def choose_scaling(
    seen: Observation, method: Method, dtype: IntegerName, *, symmetric: bool
) -> Scaling:
    """The scale and zero point for an activation. Zero is a level, so that padding is exact; a
    value that is never negative has the zero point at the lowest level, so that a ReLU before
    it is absorbed by the clipping."""
    bounded = replace(seen, low=min(seen.low, 0.0), high=max(seen.high, 0.0))
    low, high = METHODS[method](bounded, dtype, symmetric)
    return make_scaling(low, high, dtype, symmetric=symmetric)


def make_scaling(low: float, high: float, dtype: IntegerName, *, symmetric: bool) -> Scaling:
    """The scale and zero point whose levels reach from `low` (at most 0) to `high`."""
    least, greatest = LEVELS[dtype]
    if symmetric:
        middle = (least + greatest + 1) // 2
        return Scaling(_positive(max(-low, high) / (greatest - middle)), middle, dtype)
    scale = _positive((high - low) / (greatest - least))
    return Scaling(scale, int(np.clip(round(least - low / scale), least, greatest)), dtype)


def _positive(scale: float) -> float:
    """The scale as f32 holds it; 1 for a value that is always 0."""
    return float(np.float32(scale)) if scale > np.finfo(np.float32).tiny else 1.0


def _find_bounds(seen: Observation, dtype: IntegerName, symmetric: bool) -> tuple[float, float]:
    return seen.low, seen.high


def _find_quantiles(seen: Observation, dtype: IntegerName, symmetric: bool) -> tuple[float, float]:
    low, high = np.quantile(seen.sample, [OUTSIDE / 2, 1 - OUTSIDE / 2])
    return min(float(low), 0.0), max(float(high), 0.0)


def _find_least_error(
    seen: Observation, dtype: IntegerName, symmetric: bool
) -> tuple[float, float]:
    """The range with the least mean squared error of rounding and clipping together: both ends
    are drawn in alike, then each on its own. The bounds, which the sample need not hold, are one
    element of all each: as elements of the sample they would keep the range far too wide."""
    low, high = seen.low, seen.high
    bounds = np.array([low, high], np.float32)

    def error(low_share: float, high_share: float) -> float:
        made = make_scaling(low * low_share, high * high_share, dtype, symmetric=symmetric)
        rare = np.square(made.round(bounds) - bounds).sum() / max(seen.count, 1)
        return float(np.square(made.round(seen.sample) - seen.sample).mean() + rare)

    both = min(SHRINKS, key=lambda share: error(share, share))
    if symmetric or low == 0.0 or high == 0.0:
        return low * both, high * both
    steps = SHRINKS[::3]
    upper = min([both, *steps], key=lambda share: error(both, share))
    lower = min([both, *steps], key=lambda share: error(share, upper))
    return low * lower, high * upper


def _find_least_divergence(
    seen: Observation, dtype: IntegerName, symmetric: bool
) -> tuple[float, float]:
    """The range whose histogram loses the least information by 256 levels: the divergence of
    Kullback and Leibler between the clipped histogram and the same in coarse bins. Zeros are left
    out: zero is a level, and the many that a ReLU makes would spread over all of its coarse bin,
    so that the narrowest range would seem the best one."""
    numbers = seen.sample[seen.sample != 0]
    counts, edges = np.histogram(numbers, BINS, (seen.low, max(seen.high, seen.low + 1e-30)))
    middle = (edges[1:] + edges[:-1]) / 2

    def divergence(share: float) -> float:
        inside = (middle >= seen.low * share) & (middle <= seen.high * share)
        if inside.sum() < 256:
            return np.inf
        wanted = counts[inside].astype(np.float64)
        cut = wanted.copy()
        first, last = np.flatnonzero(inside)[[0, -1]]
        wanted[0] += counts[:first].sum()
        wanted[-1] += counts[last + 1 :].sum()
        return _compare_histograms(wanted, _coarsen(cut))

    share = min(SHRINKS, key=divergence)
    return seen.low * share, seen.high * share


def _coarsen(counts: Array) -> Array:
    """A histogram with 256 levels, spread again over the bins that were not empty."""
    level = np.arange(len(counts)) * 256 // len(counts)
    used = counts > 0
    total = np.bincount(level, counts, 256)
    filled = np.maximum(np.bincount(level, used, 256), 1)
    return np.where(used, (total / filled)[level], 0.0)


def _compare_histograms(wanted: Array, found: Array) -> float:
    floor = 1e-4  # what an empty bin counts: the divergence from zero would be infinite
    left, right = np.maximum(wanted, floor), np.maximum(found, floor)
    left, right = left / left.sum(), right / right.sum()
    return float(np.sum(left * np.log(left / right)))


METHODS: Mapping[str, Callable[[Observation, IntegerName, bool], tuple[float, float]]] = {
    "minmax": _find_bounds,
    "percentile": _find_quantiles,
    "entropy": _find_least_divergence,
    "mse": _find_least_error,
}
"""How a range is found, by the name that specs use."""


def scale_channels(weight: Array, method: Method, *, bits: int, per_channel: bool) -> Array:
    """Symmetric scales of a weight: one for each entry of axis 0, `[out]`, or one for all, `[]`.

    `bits` 7 leaves room where sums of two 8-bit products saturate (AVX2 and AVX512 without VNNI).
    """
    greatest = 2 ** (bits - 1) - 1
    rows = weight.reshape(len(weight), -1) if per_channel else weight.reshape(1, -1)
    shares = SHRINKS[:18:2] if method == "mse" else SHRINKS[:1]
    count = max(1, PART // max(1, rows.shape[1]))
    parts = [rows[start : start + count] for start in range(0, len(rows), count)]
    found = [_scale_rows(part, greatest, shares) for part in parts]
    best = np.concatenate(found).astype(np.float32)
    return best if per_channel else best.reshape(())


def _scale_rows(rows: Array, greatest: int, shares: Array) -> Array:
    """The scale of each row, of those that let levels reach to a share of its largest number,
    whose rounding has the least squared error."""
    bounds = np.abs(rows).max(axis=1) / greatest
    bounds = np.where(bounds > np.finfo(np.float32).tiny, bounds, 1.0)
    best, least = bounds, np.full(len(rows), np.inf)
    for share in shares:
        scale = (bounds * share)[:, None]
        rounded = rows / scale
        np.round(rounded, out=rounded)
        np.clip(rounded, -greatest - 1, greatest, out=rounded)
        rounded *= scale
        rounded -= rows
        error = np.square(rounded, out=rounded).sum(axis=1)
        best = np.where(error < least, bounds * share, best)
        least = np.minimum(error, least)
    return best
