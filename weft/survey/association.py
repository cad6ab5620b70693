"""How strongly two columns go together, from 0 (not at all) to 1 (one follows from the other)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MANY = 50
"""Values of a column of whole numbers up to which it is compared as one of classes."""
MOST = 10_000
"""Categories of a column up to which it is compared with a target of classes."""
EQUAL = 1e-9
"""How far a correlation of columns that are multiples of each other may be from 1."""


@dataclass(frozen=True)
class Association:
    """How strongly a column goes together with a target, by a measure: `Pearson r` of two columns
    of numbers (with its sign), the `correlation ratio` η of numbers within classes, `Cramér's V` of
    classes. `same`: the column is the target under other names, or a multiple of it."""

    column: str
    measure: str
    value: float
    same: bool


def measure_association(
    name: str, column: Array, target: Array, *, classes: bool, of_classes: bool
) -> Association | None:
    """How strongly a column `[rows]` goes together with a target `[rows]`; None where one of them
    has a single value, fewer than two rows have both, or both are of classes and the column has
    more than `MOST`. `classes` and `of_classes` say whether the numbers of the column and of the
    target are names of classes. Rows where one is no finite number are left out.

    Source: Cramér, Mathematical Methods of Statistics (1946), ch. 21; Fisher, Statistical Methods
    for Research Workers (1925), §45, for the correlation ratio.
    """
    both = np.isfinite(column) & np.isfinite(target)
    column, target = column[both], target[both]
    if len(column) < 2 or (column == column[0]).all() or (target == target[0]).all():
        return None
    if classes and of_classes and len(np.unique(column)) > MOST:
        return None
    if classes and of_classes:
        from scipy.stats.contingency import association

        table = _count_pairs(column, target)
        value = float(association(table, method="cramer"))
        return Association(name, "Cramér's V", value, _is_renamed(table))
    if classes or of_classes:
        numbers, names = (target, column) if classes else (column, target)
        same = _is_renamed(_count_pairs(column, target)) if has_classes(numbers) else False
        return Association(name, "correlation ratio", _measure_ratio(numbers, names), same)
    value = _measure_pearson(column, target)
    return Association(name, "Pearson r", value, abs(value) > 1 - EQUAL)


def has_classes(array: Array) -> bool:
    """Whether a column has so few values, all whole, that they are compared as classes."""
    return len(np.unique(array)) <= MANY and bool((array == np.round(array)).all())


def _measure_pearson(a: Array, b: Array) -> float:
    # Scaled to one first: squares of large numbers would overflow.
    a, b = (x / np.abs(x).max() for x in (a.astype(np.float64), b.astype(np.float64)))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def _measure_ratio(numbers: Array, names: Array) -> float:
    """η: the root of the part of the variance that lies between classes."""
    numbers = numbers.astype(np.float64) / np.abs(numbers).max()
    _, codes = np.unique(names, return_inverse=True)
    counts = np.bincount(codes)
    means = np.bincount(codes, numbers) / counts
    whole = float(((numbers - numbers.mean()) ** 2).sum())
    between = float((counts * (means - numbers.mean()) ** 2).sum())
    return float(np.sqrt(min(1.0, between / whole))) if whole > 0 else 0.0


def _is_renamed(table: Array) -> bool:
    """Whether each value of one stands beside a single value of the other, both ways, where values
    are repeated: a key that names every row tells nothing."""
    first, second = table.shape
    return bool(first == second == np.count_nonzero(table) and 2 * first <= table.sum())


def _count_pairs(a: Array, b: Array) -> Array:
    """How many rows have each pair of values, `[values of a, values of b]`."""
    (first, rows), (second, columns) = (np.unique(x, return_inverse=True) for x in (a, b))
    places = rows * len(second) + columns
    return np.bincount(places, minlength=len(first) * len(second)).reshape(len(first), -1)
