"""Columns of pandas frames: what a query or lines of JSON give."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import Column
from compiler.data.cells import WHOLE, Dialect
from compiler.data.memory import convert_array, describe_array
from compiler.data.tables import STORED, TextCells
from compiler.report.messages.cells import column_not_held

Stamps = tuple[tuple[int, int], ...]
"""When files were changed, and how long they are."""
LISTS = "store lists of numbers of one length, or each part as a column of its own"


class FrameTable(TextCells):
    """Base of sources that are read into a frame, of which generated code makes `table`. Whole
    numbers are i64, other numbers f32, NaN where there is none, booleans bool, lists of one
    length and of numbers tensors; text is read as that of a csv file."""

    @abstractmethod
    def read_frame(self, folder: Path) -> Any:
        """The rows as a pandas frame.

        Raises:
            Fault: they cannot be read.
        """

    @abstractmethod
    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        """Raises the `Fault` of a table that cannot be taken."""

    def schema(self, folder: Path) -> tuple[Column, ...]:
        frame = self._read(folder)
        columns = tuple(describe_series(n, self._take(frame, n), self.dialect) for n in frame)
        self.check_use(columns)
        return columns

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        frame, dialect = self._read(folder), self.dialect
        arrays = {name: take_array(self._take(frame, name)) for name in frame}
        return {name: convert_array(name, array, dialect) for name, array in arrays.items()}

    def _take(self, frame: Any, name: str) -> Any:
        """The series of a column; numbers that are to be categories are objects."""
        asked = name in (*self.categories, *self.dialect.with_blank)
        return frame[name].astype(object) if asked else frame[name]

    def write_columns(self, columns: Sequence[Column]) -> dict[str, str]:
        """The expressions of columns of `table`."""
        return {column.name: self.write_cells(column) for column in columns}

    def _read(self, folder: Path) -> Any:
        """The frame, whose columns have names of their own and rows."""
        frame = self.read_frame(folder)
        names = [str(name) for name in frame]
        for name, number in Counter(names).items():
            if not name.strip():
                self.refuse("a column has no name", "give each a name: `select a + b as total`")
            if number > 1:
                self.refuse(f"two columns are called `{name}`", "`select a.id as first_id` renames")
        if not len(frame):
            self.refuse("it holds no rows")
        if not names:
            self.refuse("it holds no columns")
        self.check_names(names)
        return frame


def stamp_files(paths: Sequence[Path]) -> Stamps:
    """What tells that one of some files has changed."""
    return tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths)


def describe_series(name: str, series: Any, dialect: Dialect) -> Column:
    """The column of a pandas series."""
    reason, advice = _find_trouble(series)
    if reason:
        trouble = column_not_held(None, name, reason, advice)
        return Column(name, WHOLE, trouble=trouble, stored=str(series.dtype))
    array = take_array(series)
    column = describe_array(name, array, dialect)
    if array.dtype.kind == "M":
        return replace(column, written=replace(column.written, date=STORED))
    if array.dtype.kind == "O" and not column.type.rank and column.kind != "booleans":
        mixed = not all(isinstance(cell, str) for cell in array if not _is_missing(cell))
        return replace(column, written=replace(column.written, text=True, mixed=mixed))
    return column


def take_array(series: Any) -> NDArray[Any]:
    """The rows of a pandas series as an array of NumPy; lists of one shape are further axes."""
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    array = np.asarray(series.to_numpy())
    if array.dtype.kind != "O" or not _holds_lists(array):
        return array
    try:
        return np.array(array.tolist())
    except ValueError:  # lists of several lengths, which `_find_trouble` tells
        return array


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)


def _holds_lists(array: NDArray[Any]) -> bool:
    return any(isinstance(cell, list | tuple | np.ndarray) for cell in array)


def _find_trouble(series: Any) -> tuple[str, str]:
    """Why a series can be no column, and what to do; empty where it can."""
    array = take_array(series)
    if array.dtype.kind == "O":
        for row, cell in enumerate(array):
            if isinstance(cell, bytes | bytearray | memoryview):
                return f"row {row:,} holds bytes", "store numbers, or text"
            if isinstance(cell, dict):
                return f"row {row:,} holds an object", "store each part as a column of its own"
    if _holds_lists(series.to_numpy()) and array.dtype.kind not in "biuf":
        return _describe_lists(series), LISTS
    return "", ""


def _describe_lists(series: Any) -> str:
    """Why lists are no tensor."""
    cells = series.tolist()
    for row, cell in enumerate(cells):
        if not isinstance(cell, list | tuple | np.ndarray):
            return f"row {row:,} holds no list, and others do"
    lengths = sorted({len(cell) for cell in cells})
    if len(lengths) > 1:
        shown = ", ".join(str(length) for length in lengths[:3])
        return f"its lists differ in length: {shown}{', …' * (len(lengths) > 3)}"
    return "its lists hold what is no number"
