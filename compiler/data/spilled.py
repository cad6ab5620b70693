"""Cells of large tables, kept in a file of their own: a column of them is read part by part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any, overload

import numpy as np

from compiler.data.base import Column, Written
from compiler.data.cells import EMPTY, SHOWN, Dialect, describe_cells
from compiler.data.narrowing import choose_float
from compiler.data.numerals import find_large
from compiler.types.tensor import TensorType

PART = 50_000
"""Rows of a part."""
WHOLE = TensorType.of("i64", ())


class SpilledCells(Sequence[str]):
    """The cells of a column, which no row holds a NUL in: places in a file of its parts, and their
    sizes."""

    def __init__(self, file: IO[bytes], places: list[tuple[int, int]], count: int) -> None:
        self.file, self.places, self.total = file, places, count

    def parts(self) -> Iterator[list[str]]:
        """The cells, so many rows at a time."""
        for start, size in self.places:
            yield os.pread(self.file.fileno(), size, start).decode().split("\0")

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            yield from part

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> Sequence[str]: ...
    def __getitem__(self, rows: int | slice) -> str | Sequence[str]:
        if isinstance(rows, int):
            return next(islice(self, rows % self.total, None))
        return list(islice(self, rows.start, rows.stop, rows.step))


def spill_cells(rows: Iterable[Sequence[str]], width: int) -> list[SpilledCells]:
    """The columns of rows of so many cells. Their file has no name: the system takes it away with
    the process.

    Raises:
        OSError: there is no room.
    """
    file = tempfile.TemporaryFile(prefix="weft-cells-")  # noqa: SIM115
    places: list[list[tuple[int, int]]] = [[] for _ in range(width)]
    left, count, start = iter(rows), 0, 0
    while part := list(islice(left, PART)):
        count += len(part)
        for column, cells in enumerate(zip(*part, strict=True)):
            text = "\0".join(cells).encode()
            file.write(text)
            places[column].append((start, len(text)))
            start += len(text)
    file.flush()
    return [SpilledCells(file, found, count) for found in places]


def describe_spilled(name: str, cells: SpilledCells, dialect: Dialect) -> Column:
    """What a column holds, as `describe_cells` finds it: of numbers part by part."""
    found = None
    if name not in (*dialect.categories, *dialect.missing_category):
        found = _Numbers(name, dialect).describe(cells)
    return found or describe_cells(name, cells, dialect)


class _Numbers:
    """A column of plain numbers, as far as its parts were looked at."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name, self.dialect, self.way = name, dialect, dialect.way()
        self.whole, self.padded = True, False
        self.blanks: set[str] = set()
        self.filled = 0
        self.numbers: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self.examples: dict[str, None] = {}

    def describe(self, cells: SpilledCells) -> Column | None:
        """The column; None where it is none of plain numbers that its type holds."""
        missing = False
        for part in cells.parts():
            raw = set(part)
            stripped = {cell: cell.strip() for cell in raw}
            empty = self.dialect.find_missing(stripped.values())
            filled = {cell: text for cell, text in stripped.items() if text not in empty}
            if not self._add(set(filled.values())):
                return None
            self.padded |= any(cell != text for cell, text in filled.items())
            self.blanks |= raw - filled.keys() - EMPTY - set(self.dialect.missing)
            missing |= len(filled) < len(stripped)
            self._count(part, filled)
        text = not self.way.thousands.isascii()
        blanks = tuple(sorted(self.blanks))
        written = Written(padded=self.padded, blanks=blanks, text=text)
        numbers = np.unique(np.concatenate(self.numbers))
        if not numbers.size:
            return None
        if self.whole and not missing:
            return Column(self.name, WHOLE, written=written)
        kind = TensorType.of(choose_float(np.append(numbers, np.nan)), ())
        if not missing:
            return Column(self.name, kind, written=written)
        gaps, examples = len(cells) - self.filled, tuple(self.examples)
        return Column(self.name, kind, missing=True, written=written, gaps=gaps, examples=examples)

    def _add(self, distinct: set[str]) -> bool:
        """Takes in different cells of a part; whether all are numbers that fit."""
        numbers = self.way.read(distinct)
        if len(numbers) < len(distinct) or find_large(numbers):
            return False
        self.whole = self.whole and self.way.are_whole(distinct)
        if self.whole and self.way.find_large_whole(distinct):
            return False
        self.numbers.append(np.unique(np.array([*numbers.values()], np.float64)))
        return True

    def _count(self, part: list[str], filled: dict[str, str]) -> None:
        for cell in part:
            if cell in filled:
                self.filled += 1
                if len(self.examples) < SHOWN:
                    self.examples[filled[cell]] = None
