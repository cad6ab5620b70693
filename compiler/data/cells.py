"""What the cells of a table are: numbers, words or nothing, decided column by column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import Column
from compiler.tensor import TensorType

NUMBER = TensorType.of("f32", ())
WHOLE = TensorType.of("i64", ())

EMPTY = frozenset(
    [
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ]
)
"""Cells that hold nothing: what `pandas.read_csv` reads as missing."""

_WHOLE = re.compile(r"[+-]?\d{1,18}")


def describe_cells(name: str, cells: Iterable[str], decimal: str = ".") -> Column:
    """What a column of text holds: whole numbers (i64), numbers (f32, NaN where a cell is empty)
    or words (i64, the code of each in sorted order; empty cells are the word `""`)."""
    distinct = set(cells)
    filled = distinct - EMPTY
    missing = len(filled) < len(distinct)
    if filled and not missing and all(map(_WHOLE.fullmatch, filled)):
        return Column(name, WHOLE)
    if _read_numbers(filled, decimal) is not None:
        return Column(name, NUMBER, missing=missing)
    words = sorted({"" if c in EMPTY else c for c in distinct})
    return Column(name, WHOLE, words=True, categories=tuple(words))


def convert_cells(column: Column, cells: Sequence[str], decimal: str = ".") -> NDArray[Any]:
    """The rows of a column that `describe_cells` found."""
    distinct = set(cells)
    if column.words:
        codes = {word: code for code, word in enumerate(column.categories)}
        return np.array([codes["" if c in EMPTY else c] for c in cells], np.int64)
    if column.type == WHOLE:
        return np.array([int(c) for c in cells], np.int64)
    numbers = _read_numbers(distinct - EMPTY, decimal)
    assert numbers is not None
    values = dict.fromkeys(distinct & EMPTY, float("nan")) | numbers
    return np.array([values[c] for c in cells], np.float64).astype(np.float32)


def count_numbers(column: Column) -> int:
    """How many different numbers there are among the words of a column."""
    return sum(map(is_number, column.categories))


def is_number(word: str) -> bool:
    """Whether a cell is a number, written with a point."""
    return _read_numbers({word}, ".") is not None


def _read_numbers(cells: set[str], decimal: str) -> dict[str, float] | None:
    """The numbers that distinct cells hold; None if one holds something else."""
    numbers = {}
    for cell in cells:
        text = cell if decimal == "." else cell.replace(decimal, ".")
        try:
            numbers[cell] = float(text)
        except ValueError:
            return None
        if "_" in text:  # Python reads 1_000, no other program does
            return None
    return numbers
