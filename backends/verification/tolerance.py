"""How far two computations of the same thing may lie apart, entry by entry, and how far they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.types.tensor import DType

Array = NDArray[Any]

STEP = {DType.F64: 2.0**-52, DType.F32: 2.0**-23, DType.F16: 2.0**-10, DType.BF16: 2.0**-7}
"""A rounding step of each dtype, relative to the number."""
ROUNDINGS = {DType.F64: 16, DType.F32: 16, DType.F16: 4, DType.BF16: 4}
"""Rounding steps that one op may lose: sums of some thousand products in another order. An op on
half-precision numbers computes in single precision and rounds its results."""
FACTOR = 2.0
"""How many times the farthest a moved computation came a difference may be."""


@dataclass(frozen=True)
class Difference:
    """Where two arrays lie furthest apart, measured by what is allowed there. `share` is the part
    of it: a fault above 1, infinite where shapes, dtypes, whole numbers or the places of NaN and
    infinities differ and nothing explains it. The others are plain numbers."""

    share: float
    index: tuple[int, ...] = ()
    found: float = math.nan
    expected: float = math.nan
    allowed: float = 0.0
    reason: str = ""

    @property
    def error(self) -> float:
        """How far apart they are."""
        if self.found == self.expected or (math.isnan(self.found) and math.isnan(self.expected)):
            return 0.0
        return abs(self.found - self.expected)


@dataclass
class Spread:
    """What moved computations of one tensor came to, entry by entry, beside its meaning.

    `distance` is the farthest a finite one lay from the meaning, `levels` what values rounded to
    another level explain. The flags say where one was finite, NaN or infinite: a number on the
    edge of what its dtype holds, or of where it is defined.
    """

    distance: Array
    levels: Array
    flags: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, meaning: Array) -> Spread:
        """Before anything was moved."""
        return cls(np.zeros(meaning.shape), np.zeros((1,) * meaning.ndim))

    def add(self, meaning: Array, moved: Array) -> None:
        """Takes one more computation in."""
        kinds, apart = _sort(moved), measure_distance(meaning, moved)
        np.maximum(self.distance, apart, out=self.distance)
        strange = not kinds["finite"].all() or not _sort(meaning)["finite"].all()
        if strange or self.flags:
            for name, where in kinds.items():
                self.flags[name] = where | self.flags.get(name, np.False_)

    def explains(self, kinds: Mapping[str, Array]) -> Array:
        """Where a moved computation was finite, NaN or infinite alike."""
        found = np.zeros(self.distance.shape, bool)
        for name, where in self.flags.items():
            found |= where & kinds[name]
        return found


def compare(meaning: Array, found: Array, dtype: DType, spread: Spread | None = None) -> Difference:
    """The entry of an array that lies furthest from its meaning, in proportion to what is allowed
    there: some rounding steps of its own magnitude, or what the spread explains.

    Args:
        meaning: the reference.
        found: what a backend made of it.
        dtype: the dtype of the tensor in the graph.
        spread: what moved computations came to.
    """
    if meaning.shape != found.shape:
        return Difference(math.inf, reason=f"shape {found.shape}, not {meaning.shape}")
    if meaning.dtype != found.dtype:
        return Difference(math.inf, reason=f"dtype {found.dtype}, not {meaning.dtype}")
    if meaning.size == 0:
        return Difference(0.0)
    spread = spread or Spread.of(meaning)
    apart = measure_distance(meaning, found)
    allowed = np.maximum(FACTOR * spread.distance, spread.levels)
    if dtype.is_float:
        least = 4 * float(np.finfo(meaning.dtype).tiny if dtype is not DType.F16 else 2.0**-24)
        size = np.abs(np.where(np.isfinite(meaning), meaning, 0), dtype=np.float64)
        allowed = np.maximum(allowed, ROUNDINGS[dtype] * STEP[dtype] * size + least)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(apart == 0, 0.0, apart / allowed)
    left, right = _sort(meaning), _sort(found)
    alike = np.any([left[name] & right[name] for name in left], axis=0)
    if dtype in (DType.F16, DType.BF16):
        # A backend may keep a larger number on the way: infinity less infinity is one of both.
        alike |= ~left["finite"] & ~right["finite"]
    if not alike.all():
        share = np.where(alike, share, np.where(spread.explains(right), 0.0, np.inf))
    index = np.unravel_index(int(np.argmax(share)), share.shape)
    return Difference(
        float(share[index]),
        tuple(int(i) for i in index),
        float(found[index]),
        float(meaning[index]),
        float(allowed[index]),
    )


def measure_distance(left: Array, right: Array) -> Array:
    """How far apart entries are; 0 where one of them is no finite number."""
    if left.dtype.kind not in "fV":
        # Whole numbers that double precision does not tell apart still differ.
        apart = np.abs(left.astype(np.float64) - right.astype(np.float64))
        return np.asarray(np.where(left != right, np.maximum(apart, 1.0), 0.0))
    a, b = left.astype(np.float64), right.astype(np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    return np.asarray(np.abs(np.where(both, a, 0.0) - np.where(both, b, 0.0)))


def _sort(array: Array) -> dict[str, Array]:
    """Where entries are finite, NaN, or infinite."""
    if array.dtype.kind not in "fV":
        none = np.zeros(array.shape, bool)
        return {"finite": ~none, "nan": none, "above": none, "below": none}
    return {
        "finite": np.isfinite(array),
        "nan": np.isnan(array),
        "above": array == np.inf,
        "below": array == -np.inf,
    }
