"""Numbers that are read as they stand, and that somebody may have meant otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.numerals import Numerals
from compiler.report.diagnostics import Message
from compiler.report.messages.suspicions import (
    grouped_by_points,
    leading_zeros,
    maybe_missing,
    maybe_total,
)

WIDTH = 4
"""Digits of a code, at least: `07` is a month."""
STANDS_FOR_NONE = frozenset([-99, -200, -999, -9999, -99999, 999, 9999, 99999, 999999])
"""Numbers that tables write where they have none."""
_NONE = re.compile(r"-(?:99|200|9{3,5})(?:[.,]0+)?|9{3,6}(?:[.,]0+)?", re.ASCII)
FAR = 3
"""How many times the range of all others such a number is away from them."""
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+", re.ASCII)
LEAST_ROWS = 4
"""Rows of a table whose last one is looked at: of fewer a sum may be one by chance."""


def suspect_numbers(name: str, cells: Collection[str], way: Numerals) -> Message | None:
    """What is to be looked at in a column of numbers, given as its different cells: codes with
    zeros in front, or a number that stands for none."""
    if _are_codes(cells):
        return leading_zeros(None, name, min(cells))
    if not any(map(_NONE.fullmatch, cells)):
        return None
    numbers = way.read(cells)
    values = np.unique([value for value in numbers.values() if np.isfinite(value)])
    for value, others in ((values[0], values[1:]), (values[-1], values[:-1])):
        if value in STANDS_FOR_NONE and len(others) > 1:
            gap = np.abs(others - value).min()
            if gap > FAR * (others[-1] - others[0]):
                text = next(cell for cell, number in numbers.items() if number == value)
                return maybe_missing(None, name, text, f"{others[0]:g} to {others[-1]:g}")
    return None


def _are_codes(cells: Collection[str]) -> bool:
    """Whether whole numbers are codes: all of one length, some with zeros in front."""
    length = len(next(iter(cells), ""))
    if len(cells) < 2 or length < WIDTH or any(len(cell) != length for cell in cells):
        return False
    return all(cell.isdigit() for cell in cells) and any(cell.startswith("0") for cell in cells)


def suspect_points(name: str, cells: Sequence[str]) -> Message | None:
    """Numbers with points that may stand between thousands, in a file whose separator is that of
    countries which write them so."""
    distinct = {cell.strip() for cell in cells} - {""}
    if len(distinct) < 2 or not all(map(_POINTS.fullmatch, distinct)):
        return None
    return grouped_by_points(None, name, next(c.strip() for c in cells if c.strip()))


def suspect_total(numbers: Mapping[str, NDArray[Any]], words: Mapping[str, str]) -> Message | None:
    """A last row that is the sum of those above it, in every column of numbers; `words` are the
    categories of that row by column."""
    arrays = [np.asarray(column, np.float64) for column in numbers.values()]
    if not arrays or len(arrays[0]) < LEAST_ROWS:
        return None
    for array in arrays:
        above = array[:-1][np.isfinite(array[:-1])]
        if not above.any() or not np.isclose(above.sum(), array[-1], rtol=1e-6):
            return None
    column, word = next(iter(words.items()), ("", ""))
    return maybe_total(None, next(iter(numbers)), column, word)
