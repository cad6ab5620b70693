"""What the numbers of an operand may be beyond its type: places of a table, divisors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compiler.types.dims import Dim

Array = NDArray[Any]


@dataclass(frozen=True)
class Domain:
    """What entries of an operand may be: places from `least` to below `count`, or `besides`;
    numbers from 0 to `most`; `finite` ones; `matrices` that have an inverse, or are positive
    definite; with none of these, anything but 0."""

    count: Dim | None = None
    besides: int | None = None
    most: float | None = None
    finite: bool = False
    least: int = 0
    matrices: Literal["regular", "definite"] | None = None

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Domain:
        """The same with symbols replaced."""
        return self if self.count is None else replace(self, count=self.count.substitute(sizes))

    def describe(self) -> str:
        """`from 0 to 1`, as messages have it."""
        if self.finite:
            return "finite"
        if self.matrices is not None:
            made = {"regular": "that have an inverse", "definite": "that are positive definite"}
            return f"matrices {made[self.matrices]}"
        if self.most is not None:
            return f"from 0 to {self.most:g}"
        return "not 0" if self.count is None else f"from {self.least} to below {self.count}"

    def holds(self, array: Array) -> bool:
        """Whether all entries are inside."""
        if self.finite:
            return bool(np.all(np.isfinite(array)))
        if self.matrices is not None:
            return self._can_be_solved(array)
        if self.most is not None:
            return bool(np.all((array >= 0) & (array <= self.most)))
        if self.count is None:
            return bool(np.all(array != 0))
        inside = (array >= self.least) & (array < self.count.evaluate({}))
        return bool(np.all(inside if self.besides is None else inside | (array == self.besides)))

    def _can_be_solved(self, matrices: Array) -> bool:
        solve = np.linalg.inv if self.matrices == "regular" else np.linalg.cholesky
        try:
            solve(matrices.astype(np.float64))
        except np.linalg.LinAlgError:
            return False
        return True
