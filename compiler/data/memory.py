"""Arrays held in memory: data that a program hands over instead of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import HELD, Column, DataSource, LoadingCode
from compiler.data.cells import (
    PLAIN,
    WHOLE,
    Dialect,
    convert_cells,
    describe_cells,
    describe_moments,
)
from compiler.data.dates import GAP, ISO, seconds_of
from compiler.data.narrowing import choose_float, find_large_entry
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, Message
from compiler.report.messages.cells import column_not_held
from compiler.report.messages.data import array_refused
from compiler.report.messages.wording import count
from compiler.types.tensor import DType, TensorType
from compiler.writing.python import write_string

OBJECTS = "a column of vectors is an array with two axes: `np.stack(frame[name])`"
NUMBERS = "store numbers: of durations `frame[name].dt.total_seconds()`"
_CELLS = (str, bytes, bool, int, float, Decimal, date, np.generic, type(None))
_MISSING = ("NAType", "NaTType")
_DTYPES = {"b": DType.BOOL, "i": DType.I64, "u": DType.I64, "f": DType.F32}


def refuse_array(name: str, reason: str, advice: str = "") -> NoReturn:
    """Raises the `Fault` of an array that no column can be."""
    raise Fault(lambda where: array_refused(where.call, name, reason, advice))


@final
@dataclass(frozen=True, eq=False)
class Memory(DataSource):
    """Columns that a Python program gives to `weft.load(…, data={"digits": {"image": …}})` in
    place of the source that the spec names. Code that is generated for them reads
    `columns.npz`, which is written beside it.

    columns: an array per column, all with one number of rows.
    dialect: how cells of text are written, as the source in the spec says.
    prefix: what the names of the columns begin with in `columns.npz`.
    """

    name: ClassVar[str] = "memory"
    columns: Mapping[str, NDArray[Any]]
    dialect: Dialect = PLAIN
    prefix: str = ""

    def schema(self, folder: Path) -> tuple[Column, ...]:
        first, rows = "", 0
        for name, array in self.columns.items():
            if not array.ndim:
                refuse_array(name, "it is one number, and a column has rows")
            if first and len(array) != rows:
                found = f"it has {count(len(array), 'row')}, and `{first}` has {rows:,}"
                refuse_array(name, found, "the columns of a data item have one number of rows")
            first, rows = first or name, len(array)
        return tuple(
            describe_array(name, array, self.dialect) for name, array in self.columns.items()
        )

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {
            name: convert_array(name, array, self.dialect) for name, array in self.columns.items()
        }

    def reading_words(self, columns: Sequence[str]) -> DataSource:
        named = (*self.dialect.categories, *columns)
        return replace(self, dialect=replace(self.dialect, categories=named))

    def imports(self) -> Sequence[str]:
        return []

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        found = {
            column.name: f"file[{write_string(self.prefix + column.name)}]" for column in columns
        }
        path = f'Path(__file__).with_name("{HELD}")'
        return LoadingCode([], found, f"with np.load({path}) as file:")

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {f"{self.prefix}{name}": array for name, array in self.load(folder).items()}

    def place_held(self, prefix: str) -> DataSource:
        return replace(self, prefix=prefix)


def describe_array(name: str, array: NDArray[Any], dialect: Dialect) -> Column:
    """The column of an array; text is read as the cells of a csv file are."""
    trouble = _find_trouble(name, array)
    if trouble is not None:
        return Column(name, WHOLE, trouble=trouble, stored=str(array.dtype))
    if array.dtype.kind in "OUS" and array.ndim == 1:
        if len(array) and all(isinstance(cell, bool | np.bool_) for cell in array):
            return Column(name, TensorType.of(DType.BOOL, ()))
        return describe_cells(name, write_cells(array), dialect)
    if array.dtype.kind == "M" and array.ndim == 1:
        return describe_moments(name, array, ISO)
    dtype = _dtype_of(array)
    if dtype is DType.F32 and array.ndim <= 2:
        dtype = choose_float(array)
    missing = array.dtype.kind == "f" and bool(np.isnan(array).any())
    kind = TensorType.of(dtype, array.shape[1:])
    return Column(name, kind, missing=missing, trouble=find_large_entry(name, array, dtype))


def convert_array(name: str, array: NDArray[Any], dialect: Dialect) -> NDArray[Any]:
    """The rows of the column of an array."""
    column = describe_array(name, array, dialect)
    if column.stored:
        return np.full(len(array), GAP)
    if array.dtype.kind == "M":
        return seconds_of(array)
    if array.dtype.kind in "OUS" and column.type.dtype is not DType.BOOL:
        return convert_cells(column, write_cells(array), dialect)
    with np.errstate(over="ignore"):  # a column with such numbers may not be used
        return np.asarray(array, column.type.dtype.numpy)


def write_cells(array: NDArray[Any]) -> list[str]:
    """Cells as a csv file would hold them: nothing where a cell is None or not equal to itself,
    as NaN and pandas' NaT are; pandas' NA is equal to nothing."""
    cells = []
    for cell in array.tolist():
        if isinstance(cell, str):
            cells.append(cell)
        elif cell is None or type(cell).__name__ in _MISSING:
            cells.append("")
        elif isinstance(cell, bytes):
            cells.append(cell.decode("utf-8", "replace"))
        else:
            cells.append(str(cell) if cell == cell else "")
    return cells


def _find_trouble(name: str, array: NDArray[Any]) -> Message | None:
    """Why an array can be no column: it holds objects, durations, or text with several axes."""
    if array.dtype.kind in "OUS" and array.ndim == 1:
        for row, cell in enumerate(array.tolist()):
            if not isinstance(cell, _CELLS) and type(cell).__name__ not in _MISSING:
                kind = type(cell).__name__
                reason = f"row {row:,} holds a value of type `{kind}`, neither a number nor text"
                return column_not_held(None, name, reason, OBJECTS)
        return None
    if array.dtype.kind in _DTYPES or (array.dtype.kind == "M" and array.ndim == 1):
        return None
    reason = f"it holds {array.dtype}, and columns hold numbers, dates or text"
    return column_not_held(None, name, reason, NUMBERS)


def _dtype_of(array: NDArray[Any]) -> DType:
    """The dtype of the column of an array of numbers."""
    return DType.U8 if array.dtype == np.uint8 and array.ndim > 1 else _DTYPES[array.dtype.kind]
