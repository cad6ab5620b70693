"""Which rows go to which split: the meaning, and the lines of the generated script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.report.source import Span

Array = NDArray[Any]
ORDER = ("train", "val", "test")
"""Names of splits, in order."""


@dataclass(frozen=True)
class Split:
    """How rows are divided. A share is a fraction where it is a float, and a number of rows where
    it is an int; the sum of fractions is at most 1.

    With the method "given" the source brings its own splits: `given` holds their numbers of
    rows in the order of the rows, and `shares` are cut from the rows of `train`, drawn at
    random. `overlap` is how many of the rows after a row share cells with it (windows over one
    text): a split in order leaves that many out behind each border. One that is `timed` goes by
    an array, `times`, and not by the order of the rows; rows of one time stay together. Where rows
    were `chosen` before, `given` holds the numbers of all, and those that are left follow from an
    array, `parts`: the number of the split of each row. `by` is the raw column with the `times`,
    if it is one, and `group` the one whose values go whole into one split each: shares are parts
    of them.
    """

    method: str  # "random", "in_order" or "given"
    shares: tuple[tuple[str, int | float], ...]  # in order: train, val, test
    seed: int = 0
    stratify: str | None = None
    span: Span | None = None
    given: tuple[tuple[str, int], ...] = ()
    overlap: int = 0
    timed: bool = False
    chosen: bool = False
    by: str | None = None
    group: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The raw columns that it goes by."""
        return tuple(name for name in (self.stratify, self.by, self.group) if name is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits there are, training first."""
        known = {name for name, _ in (*self.shares, *self.given)}
        return tuple(name for name in ORDER if name in known)

    def choose(self, rows: Array) -> Split:
        """The split of these rows of the source, given in order."""
        if not self.given:
            return self
        ends = np.cumsum([count for _, count in self.given])
        counts = np.diff(np.searchsorted(rows, ends), prepend=0)
        names = (name for name, _ in self.given)
        given = tuple(zip(names, map(int, counts), strict=True))
        return replace(self, given=given)

    def count_wanted(self, rows: int) -> tuple[int, int]:
        """How many rows the shares take, and of how many: those of `train` where the source
        brings its own splits."""
        known = dict(self.given).get("train", rows) if self.method == "given" else rows
        return count_rows([share for _, share in self.shares], known)[-1], known

    def divide(
        self,
        rows: int,
        labels: Array | None = None,
        times: Array | None = None,
        groups: Array | None = None,
    ) -> dict[str, Array]:
        """Row numbers of each split, of at least as many rows as `count_wanted` says. `labels` is
        the column `stratify`: its classes are kept in proportion. `times` is what a split that is
        `timed` goes by, `groups` the column `group`."""
        if self.method == "given":
            return self._divide_given()
        if groups is not None:
            return self._divide_groups(groups)
        if self.method == "in_order":
            order = np.arange(rows)
        else:
            order = np.random.default_rng(self.seed).permutation(rows)
            if labels is not None:
                order = _interleave(order, labels)
        borders = count_rows([share for _, share in self.shares], rows)
        parts = {}
        for (name, _), start, stop in zip(self.shares, borders, borders[1:], strict=False):
            skipped = self.overlap if self.method == "in_order" and start > 0 else 0
            parts[name] = order[start + skipped : stop]
        if times is not None:
            ends = np.append(np.sort(times), times.max() + 1)
            for (name, _), start, stop in zip(self.shares, borders, borders[1:], strict=False):
                parts[name] = np.flatnonzero((times >= ends[start]) & (times < ends[stop]))
        return parts

    def _divide_groups(self, groups: Array) -> dict[str, Array]:
        order = np.random.default_rng(self.seed).permutation(np.unique(groups))
        borders = count_rows([share for _, share in self.shares], len(order))
        return {
            name: np.flatnonzero(np.isin(groups, order[low:high]))
            for (name, _), low, high in zip(self.shares, borders, borders[1:], strict=False)
        }

    def _divide_given(self) -> dict[str, Array]:
        parts: dict[str, Array] = {}
        start = 0
        for name, count in self.given:
            parts[name] = np.arange(start, start + count)
            start += count
        if self.shares:
            order = np.random.default_rng(self.seed).permutation(parts["train"])
            borders = count_rows([share for _, share in self.shares], len(order))
            for (name, _), low, high in zip(self.shares, borders, borders[1:], strict=False):
                parts[name] = order[low:high]
            parts["train"] = order[borders[-1] :]
        return {name: parts[name] for name in self.names}

    def code(self) -> tuple[list[str], dict[str, str]]:
        """Generated code that is equal to `divide`: statements, which may read `rows`, the number
        of rows, and arrays: `labels` where the split is stratified, `times` where it is timed,
        `groups` where it has them, `parts` where rows of splits that are given were chosen; and
        the expression for the rows of each split."""
        if self.method == "given":
            return self._code_given()
        if self.group is not None:
            return self._code_groups()
        lines = []
        if self.method == "random":
            lines.append(f"order = np.random.default_rng({self.seed}).permutation(rows)")
        if self.method == "random" and self.stratify is not None:
            lines += _INTERLEAVE.splitlines()
        if self.timed:
            lines.append("ends = np.append(np.sort(times), times.max() + 1)")
        borders = _border_code([share for _, share in self.shares], "rows")
        parts = {}
        for index, (name, _) in enumerate(self.shares):
            low, high = borders[index], borders[index + 1]
            if self.method == "in_order" and index and self.overlap:
                low = f"{low} + {self.overlap}"
            stretch = f"np.arange({low}, {high})" if low else f"np.arange({high})"
            drawn = _write_slice("order", low, high)
            part = stretch if self.method == "in_order" else drawn
            parts[name] = _write_period(low, high) if self.timed else part
        return lines, parts

    def _code_groups(self) -> tuple[list[str], dict[str, str]]:
        drawn = f"np.random.default_rng({self.seed}).permutation(np.unique(groups))"
        borders = _border_code([share for _, share in self.shares], "len(order)")
        parts = {}
        for (name, _), low, high in zip(self.shares, borders, borders[1:], strict=False):
            taken = _write_slice("order", low, "" if high == "len(order)" else high)
            parts[name] = f"np.flatnonzero(np.isin(groups, {taken}))"
        return [f"order = {drawn}"], parts

    def _code_chosen(self) -> tuple[list[str], dict[str, str]]:
        """The same of rows that were chosen, whose splits are numbered by `parts`."""
        numbers = {name: number for number, (name, _) in enumerate(self.given)}
        ranges = {name: f"np.flatnonzero(parts == {n})" for name, n in numbers.items()}
        lines = []
        if self.shares:
            drawn = ranges["train"]
            lines.append(f"order = np.random.default_rng({self.seed}).permutation({drawn})")
            borders = _border_code([share for _, share in self.shares], "len(order)")
            for (name, _), low, high in zip(self.shares, borders, borders[1:], strict=False):
                ranges[name] = _write_slice("order", low, high)
            ranges["train"] = _write_slice("order", borders[-1], "")
        return lines, {name: ranges[name] for name in self.names}

    def _code_given(self) -> tuple[list[str], dict[str, str]]:
        if self.chosen:
            return self._code_chosen()
        ranges: dict[str, str] = {}
        start = 0
        for name, count in self.given:
            ranges[name] = (
                f"np.arange({start}, {start + count})" if start else f"np.arange({count})"
            )
            start += count
        lines = []
        if self.shares:
            train = dict(self.given)["train"]
            drawn = str(train) if self.given[0][0] == "train" else ranges["train"]
            lines.append(f"order = np.random.default_rng({self.seed}).permutation({drawn})")
            borders = count_rows([share for _, share in self.shares], train)
            for (name, _), low, high in zip(self.shares, borders, borders[1:], strict=False):
                ranges[name] = _write_slice("order", str(low or ""), str(high))
            ranges["train"] = f"order[{borders[-1]}:]"
        return lines, {name: ranges[name] for name in self.names}


def count_rows(shares: Sequence[int | float], rows: int) -> list[int]:
    """Borders of the splits, from 0: ints are numbers of rows, fractions are rounded together, so
    that shares of 100% leave no row out."""
    borders, share, fixed = [0], 0.0, 0
    for value in shares:
        if isinstance(value, int):
            fixed += value
        else:
            share += value
        borders.append(fixed + round(round(share, 12) * rows))
    return borders


def _interleave(order: Array, labels: Array) -> Array:
    """The order in which every stretch holds the classes in their proportion: rows are sorted
    by how far they stand in their own class."""
    _, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    place = np.empty(len(order))
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.argsort((place + 0.5) / counts[classes], kind="stable")]


_INTERLEAVE = """\
_, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
by_class = np.argsort(classes, kind="stable")
place = np.empty(rows)
place[by_class] = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
order = order[np.argsort((place + 0.5) / counts[classes], kind="stable")]"""


def _write_slice(array: str, low: str, high: str) -> str:
    """`array[low:high]` with the spaces that formatters put around bounds that are calls."""
    if "(" not in low + high:
        return f"{array}[{low}:{high}]"
    return f"{array}[{low}{' ' if low else ''}:{' ' if high else ''}{high}]"


def _write_period(low: str, high: str) -> str:
    """The rows from one border in time to another."""
    before = f"times < ends[{high}]"
    return (
        f"np.flatnonzero((times >= ends[{low}]) & ({before}))"
        if low
        else (f"np.flatnonzero({before})")
    )


def _border_code(shares: Sequence[int | float], rows: str) -> list[str]:
    """Expressions of the borders, the first of which is empty; the last is too where the shares
    make up everything."""
    borders, share, fixed = [""], 0.0, 0
    for value in shares:
        if isinstance(value, int):
            fixed += value
        else:
            share += value
        if share == 0:
            borders.append(str(fixed))
        else:
            total = round(share, 12)  # 0.7 + 0.2 + 0.1 is a little less than 1
            scaled = rows if total == 1 else f"round({total!r} * {rows})"
            borders.append(f"{fixed} + {scaled}" if fixed else scaled)
    return borders
