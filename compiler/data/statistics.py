"""Figures of a column that are fitted on the training rows and kept as buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass

Array = NDArray[Any]
MOMENTS = ("mean", "scale")
"""Methods whose figures of parts make those of all."""


@dataclass(frozen=True)
class Statistic:
    """One fitted buffer of the columns of a data set.

    `path` is the buffer's path in the graph of the columns; `of` names the value of that graph
    of whose training rows it is a figure, element by element; NaN is left out. `method` is
    "mean", "median", "most_frequent" (the smallest of those) or "scale": the standard deviation
    with n, and 1 for what does not vary, as in scikit-learn's StandardScaler. `joined` are the axes
    of the rows, counted from 1, along which all entries have one figure. "balanced" is no figure of
    each element, but a weight for each of so many `classes`, whose numbers the elements are.
    """

    path: str
    method: str
    of: str
    joined: tuple[int, ...] = ()
    classes: int = 0

    def fit(self, rows: Array) -> Array:
        """The figure of `[rows, …]`, as f64 of shape `[…]`, with 1 for the axes that are joined,
        or of shape `[classes]`; NaN where a column has no number."""
        if self.method == "balanced":
            return _balance_classes(rows, self.classes)
        values = _lay_rows(np.asarray(rows, dtype=np.float64), self.joined)
        with np.errstate(invalid="ignore"):
            if self.method == "median":
                return _median(values)
            if self.method == "most_frequent":
                return _find_most_frequent(values)
            mean = _mean(values)
            if self.method == "mean":
                return mean
            scale = np.sqrt(_mean(np.square(values - mean)))
        return np.where(scale == 0, 1.0, scale)


def _balance_classes(rows: Array, classes: int) -> Array:
    """The weight of each class, so that all count as much. Entries that name none are left out:
    they are told where data is validated."""
    entries = np.asarray(rows).ravel()
    counts = np.bincount(entries[(entries >= 0) & (entries < classes)], minlength=classes)
    return np.asarray(counts.sum() / (classes * np.maximum(counts, 1)))


def _lay_rows(values: Array, joined: tuple[int, ...]) -> Array:
    """Rows whose joined axes are rows too, and have size 1 instead."""
    if not joined:
        return values
    turned = np.moveaxis(values, joined, range(1, 1 + len(joined)))
    kept = turned.shape[1 + len(joined) :]
    return np.expand_dims(turned.reshape(-1, *kept), joined)


def _mean(values: Array) -> Array:
    """Mean over axis 0 without NaN, and without NumPy's warning where nothing is left."""
    known = ~np.isnan(values)
    return np.asarray(np.where(known, values, 0).sum(0) / known.sum(0))


def _median(values: Array) -> Array:
    ordered = np.sort(values, axis=0)  # NaN goes to the end
    known = (~np.isnan(values)).sum(0)
    last = len(values) - 1
    low, high = np.clip((known - 1) // 2, 0, last), np.clip(known // 2, 0, last)
    pair = [np.take_along_axis(ordered, index[None], 0)[0] for index in (low, high)]
    return np.asarray((pair[0] + pair[1]) / 2)


def _find_most_frequent(values: Array) -> Array:
    """The number that stands there most often in each column, the smallest of several."""
    rows = values.reshape(len(values), -1)
    found = np.full(rows.shape[1], np.nan)
    for place, column in enumerate(rows.T):
        known, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        if len(known):
            found[place] = known[counts.argmax()]
    return found.reshape(values.shape[1:])


@dataclass(frozen=True)
class Moments:
    """How many rows there are in each entry, their mean, and the sum of the squared differences
    from it, in f64; NaN is left out. Those of parts make those of all (Chan, Golub and LeVeque
    1983, https://doi.org/10.1080/00031305.1983.10483115)."""

    count: Array
    mean: Array
    squares: Array

    @staticmethod
    def of(rows: Array, joined: tuple[int, ...]) -> Moments:
        """Those of rows, of all entries along the joined axes together."""
        values = _lay_rows(np.asarray(rows, np.float64), joined)
        known = ~np.isnan(values)
        count = np.asarray(known.sum(0))
        mean = np.where(known, values, 0).sum(0) / np.maximum(count, 1)
        squares = np.where(known, np.square(values - mean), 0).sum(0)
        return Moments(count, np.asarray(mean), np.asarray(squares))

    def add(self, other: Moments) -> Moments:
        """Those of two parts together."""
        count = self.count + other.count
        shift, share = other.mean - self.mean, other.count / np.maximum(count, 1)
        squares = self.squares + other.squares + np.square(shift) * self.count * share
        return Moments(count, self.mean + shift * share, squares)

    def find(self, method: str) -> Array:
        """The "mean" or the "scale", NaN where no row is known."""
        with np.errstate(invalid="ignore"):
            mean = np.where(self.count > 0, self.mean, np.nan)
            scale = np.sqrt(self.squares / self.count)
        return mean if method == "mean" else np.where(scale == 0, 1.0, scale)
