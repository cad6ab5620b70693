"""Rows that lie outside of what a net was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.holding import Rows
from compiler.data.raw_columns import RawColumn
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.deployed_rows import rows_outside

Array = NDArray[Any]
SHOWN = 3
"""Rows of a column that a message names."""
CHUNK = 4096
"""Rows that are looked at together."""


def describe_training(column: RawColumn, rows: Rows, numbers: Array) -> RawColumn:
    """The column with what its training rows hold: the range of numbers, whether some are missing,
    which categories none of them has. Of images and other whole numbers with axes of their own,
    nothing.

    Args:
        column: the column.
        rows: all rows, `[rows, …]`.
        numbers: the numbers of the training rows.
    """
    raw = column.column
    if raw.words:
        seen = set(np.unique(rows[numbers]).tolist())
        unseen = (word for code, word in enumerate(column.words) if code not in seen)
        return replace(column, unseen=tuple(unseen))
    if not _has_range(column):
        return column
    low, high, missing = np.inf, -np.inf, False
    for start in range(0, len(numbers), CHUNK):
        part = np.asarray(rows[numbers[start : start + CHUNK]])
        found = part[np.isfinite(part)]
        missing = missing or bool(np.isnan(part).any())
        if found.size:
            low, high = min(low, found.min().item()), max(high, found.max().item())
    described = replace(column, column=replace(raw, missing=missing))
    return described if low > high else replace(described, low=low, high=high)


def _has_range(column: RawColumn) -> bool:
    """Whether the numbers of a column have a range that says something."""
    dtype = column.column.type.dtype
    return dtype.is_float or (dtype.is_integer and not column.words and not column.column.type.rank)


@dataclass(frozen=True)
class Outside:
    """Rows of a column that lie outside, and in which way."""

    column: str
    what: str
    rows: Array


def find_outside(columns: Iterable[RawColumn], rows: Mapping[str, Array]) -> Iterator[Outside]:
    """The rows that lie outside of the training rows of each column, `[rows, …]` by name. Words
    are codes."""
    for column in columns:
        array = rows[column.name]
        if column.column.words and column.unseen:
            codes = [column.words.index(word) for word in column.unseen]
            yield from _report(
                column, "of a category that no training row has", np.isin(array, codes)
            )
        elif _has_range(column):
            yield from _find_far(column, array)


def _find_far(column: RawColumn, array: Array) -> Iterator[Outside]:
    if array.dtype.kind == "f" and not column.column.missing:
        yield from _report(column, "missing, as no training row is", np.isnan(array))
    if column.low is not None and column.high is not None:
        low, high = (_show(column, bound) for bound in (column.low, column.high))
        yield from _report(column, f"below {low}, the least in training", array < column.low)
        yield from _report(column, f"above {high}, the greatest in training", array > column.high)


def _show(column: RawColumn, bound: float) -> str:
    """A bound as its column has it."""
    if column.column.written.date:
        return str(np.datetime64(int(bound), "s")).removesuffix("T00:00:00")
    return f"{bound:,.0f}" if column.column.type.dtype.is_integer else f"{bound:.6g}"


def _report(column: RawColumn, what: str, outside: Array) -> Iterator[Outside]:
    rows = np.flatnonzero(outside.reshape(len(outside), -1).any(axis=1))
    if len(rows):
        yield Outside(column.name, what, rows)


def warn_outside(
    found: Sequence[Outside], total: int, names: Array | None = None
) -> Message | None:
    """The warning about rows that lie outside, of so many; None where there are none. `names` are
    the numbers by which the rows are known, if these are others."""
    if not found:
        return None
    names = np.arange(total) if names is None else names
    rows = len(np.unique(np.concatenate([part.rows for part in found])))
    told = (
        (part.column, len(part.rows), part.what, tuple(names[part.rows[:SHOWN]].tolist()))
        for part in found
    )
    return rows_outside(None, rows, total, tuple(told))
