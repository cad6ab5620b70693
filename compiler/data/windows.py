"""Windows of consecutive rows: which rows follow one another, and where windows may begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.report.source import Span

Array = NDArray[Any]
GAPS = ("refuse", "split", "ignore")
"""What becomes of steps in time that differ from the usual one: an error, no window goes across
them, or nothing."""


@dataclass(frozen=True)
class Irregular:
    """The first two rows that do not stand one step apart: their numbers in the order of the
    windows, how far they are apart, the usual step, and how many such pairs there are."""

    row: int
    found: int
    usual: int
    count: int
    least: int
    most: int


@dataclass(frozen=True)
class Window:
    """How rows become windows of `length` consecutive rows, a new one every `stride` rows.

    The columns `targets` are taken `ahead` rows after the last of a window, or, where `steps` has
    several such numbers, as many rows of each, up to `ahead`. Rows are brought into
    the order of the column `by`, within each value of the column `group`; without these, they
    follow one another as the source has them. `gaps` is one of `GAPS`.
    """

    length: int
    ahead: int = 0
    steps: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    by: str | None = None
    group: str | None = None
    gaps: str = "refuse"
    stride: int = 1
    span: Span | None = None

    @property
    def reach(self) -> int:
        """How many rows after its first one the last row lies that a window reads."""
        return self.length - 1 + self.ahead

    @property
    def offsets(self) -> tuple[int, ...]:
        """How many rows after its first one those lie that targets of several rows are of."""
        return tuple(self.length - 1 + step for step in self.steps)

    def describe_ahead(self) -> str:
        """How many rows after a window its targets lie: `1`, `1, 6`."""
        return ", ".join(map(str, self.steps or (self.ahead,)))

    @property
    def keys(self) -> tuple[str, ...]:
        """The raw columns that say how rows follow one another, the first in rank first."""
        return tuple(name for name in (self.group, self.by) if name is not None)

    @property
    def has_order(self) -> bool:
        """Whether rows are brought into an order."""
        return bool(self.keys)

    @property
    def has_steps(self) -> bool:
        """Whether the steps between rows count."""
        return self.by is not None and self.gaps != "ignore"

    def sort(self, raw: Mapping[str, Array], given: Sequence[int] = ()) -> Array | None:
        """The numbers of the rows in order, those of the splits that the source brings, of so many
        rows each, one after the other; None where they stay as they are."""
        if not self.has_order:
            return None
        keys = [raw[name] for name in reversed(self.keys)]
        if given:
            keys.append(np.repeat(np.arange(len(given)), given))
        return np.asarray(np.lexsort(keys))

    def number_stretches(
        self, raw: Mapping[str, Array], rows: int, given: Sequence[int] = ()
    ) -> Array:
        """The number of the stretch that each row belongs to, of rows in order: within one, each
        follows on the one before."""
        begins = self._find_beginnings(raw, rows, given)
        if self.has_steps:
            steps = self._find_steps(raw)
            begins = begins | (steps != find_usual(steps[~begins]))
        return np.asarray(np.append(0, np.cumsum(begins)))

    def find_irregular(
        self, raw: Mapping[str, Array], rows: int, given: Sequence[int] = ()
    ) -> Irregular | None:
        """What is wrong with the steps of rows in order, where these have to be the same."""
        if not self.has_steps or self.gaps != "refuse":
            return None
        begins, steps = self._find_beginnings(raw, rows, given), self._find_steps(raw)
        inside = steps[~begins]
        usual = find_usual(inside)
        wrong = np.flatnonzero(~begins & (steps != usual))
        if not len(wrong):
            return None
        first = int(wrong[0])
        span = int(inside.min()), int(inside.max())
        return Irregular(first, int(steps[first]), usual, len(wrong), *span)

    def _find_beginnings(self, raw: Mapping[str, Array], rows: int, given: Sequence[int]) -> Array:
        """Whether each row but the first begins another series, or split of the source, than the
        one before."""
        parts = np.repeat(np.arange(len(given)), given) if given else np.zeros(rows, int)
        series = raw[self.group] if self.group is not None else parts
        return np.asarray((np.diff(parts) != 0) | (np.diff(series) != 0))

    def _find_steps(self, raw: Mapping[str, Array]) -> Array:
        assert self.by is not None
        return np.diff(raw[self.by])

    def find_starts(self, rows: Array, stretches: Array) -> Array:
        """The first rows of the windows that lie in a split, whose rows are given in order."""
        reach = self.reach
        if len(rows) <= reach:
            return rows[:0]
        begins = (np.diff(rows) != 1) | (np.diff(stretches[rows]) != 0)
        runs = np.append(0, np.cumsum(begins))
        places = np.arange(len(rows)) - np.searchsorted(runs, runs)  # within each run
        count = len(rows) - reach
        fits = (runs[:count] == runs[reach:]) & (places[:count] % self.stride == 0)
        return np.asarray(rows[:count][fits])

    def view(self, name: str, column: Array) -> Array:
        """A column of rows in order by the first row of each window; without a copy, but of targets
        of several rows."""
        if name in self.targets and self.steps:
            count = max(0, len(column) - self.reach)
            return np.stack([column[start : start + count] for start in self.offsets], axis=1)
        if name in self.targets:
            return column[self.reach :]
        if len(column) < self.length:
            return np.empty((0, self.length, *column.shape[1:]), column.dtype)
        return np.moveaxis(sliding_window_view(column, self.length, axis=0), -1, 1)

    @property
    def has_stretches(self) -> bool:
        """Whether there may be neighbours in a split that no window holds both of."""
        return self.group is not None or (self.has_steps and self.gaps == "split")


def find_usual(steps: Array) -> int:
    """The step in the middle of all; 0 where there is none."""
    return int(np.sort(steps)[(len(steps) - 1) // 2]) if len(steps) else 0
