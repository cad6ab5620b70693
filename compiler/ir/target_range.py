"""What the entries of a target may be: class numbers, probabilities, distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CLOSE = 1e-2
"""By how much the sum of a distribution may differ from 1."""
ROUNDING = 1e-6
"""By how much a fraction may lie outside: sums of shares are rounded."""


@dataclass(frozen=True)
class TargetRange:
    """Entries from `low` to `high` (None: without end), and `ignored`, which counts nowhere.
    `whole`: only whole numbers. `sums_along`: entries along this axis, counted from the last one,
    add up to 1. `values`: these numbers alone. `divides`: anything but 0."""

    low: float | None = None
    high: float | None = None
    ignored: float | None = None
    whole: bool = False
    sums_along: int | None = None
    values: tuple[float, ...] | None = None
    divides: bool = False

    def find_outside(self, array: Array) -> Array:
        """Which entries lie outside; NaN does."""
        inside = np.ones(array.shape, bool)
        slack = ROUNDING if array.dtype.kind == "f" and not self.whole else 0
        if self.low is not None:
            inside &= array >= self.low - slack
        if self.high is not None:
            inside &= array <= self.high + slack
        if self.whole:
            inside &= array == np.round(array)
        if self.values is not None:
            inside &= np.isin(array, self.values)
        if self.divides:
            inside &= array != 0
        return ~(inside if self.ignored is None else inside | (array == self.ignored))

    def find_sums(self, array: Array) -> Array | None:
        """The sums that should be 1; None where none should."""
        if self.sums_along is None:
            return None
        sums: Array = array.sum(axis=self.sums_along, dtype=np.float64)
        return sums

    def __str__(self) -> str:
        if self.values is not None:
            return " or ".join(f"{value:g}" for value in self.values)
        if self.divides:
            return "anything but 0"
        match self.low, self.high:
            case None, high:
                text = f"{high:g} or below"
            case low, None:
                text = f"{low:g} or above"
            case low, high:
                joint = "or" if self.whole and high - low == 1 else "to"
                text = f"{low:g} {joint} {high:g}"
        return text if self.ignored is None or self.ignored < 0 else f"{text}, or {self.ignored:g}"


PROBABILITY = TargetRange(0, 1)
