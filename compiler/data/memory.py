"""Arrays held in memory: data that a program hands over instead of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import HELD, Column, DataSource, Written
from compiler.data.cells import PLAIN, SHOWN, WHOLE, Dialect, convert_cells, describe_cells
from compiler.data.dates import ISO, seconds_of
from compiler.messages.cells import MissingCells
from compiler.records import dataclass
from compiler.tensor import DType, TensorType
from compiler.writing.python import write_string


@final
@dataclass(frozen=True, eq=False)
class Memory(DataSource):
    """Columns that a Python program gives to `weft.load(…, data={"digits": {"image": …}})` in
    place of the source that the spec names. Code that is generated for them reads
    `columns.npz`, which is written beside it.

    columns: an array per column, all with one number of rows.
    dialect: how cells of text are written, as the source in the spec says.
    """

    name: ClassVar[str] = "memory"
    columns: Mapping[str, NDArray[Any]]
    dialect: Dialect = PLAIN

    def schema(self, folder: Path) -> tuple[Column, ...]:
        rows = {len(array) if array.ndim else -1 for array in self.columns.values()}
        if len(rows) != 1 or -1 in rows:
            raise ValueError(f"columns need one number of rows, and these have {sorted(rows)}")
        return tuple(_describe(name, array, self.dialect) for name, array in self.columns.items())

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {name: _convert(name, array, self.dialect) for name, array in self.columns.items()}

    def imports(self) -> Sequence[str]:
        return []

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        keys = [write_string(column.name) for column in columns]
        names = ", ".join(f"{key}: file[{key}]" for key in keys)
        path = f'Path(__file__).with_name("{HELD}")'
        return [f"with np.load({path}) as file:", f"    return {{{names}}}"]

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return self.load(folder)


def _describe(name: str, array: NDArray[Any], dialect: Dialect) -> Column:
    """The column of an array; text is read as the cells of a csv file are."""
    if array.dtype.kind in "OUS" and array.ndim == 1:
        if len(array) and all(isinstance(cell, bool | np.bool_) for cell in array):
            return Column(name, TensorType.of(DType.BOOL, ()))
        return describe_cells(name, _write_cells(name, array), dialect)
    if array.dtype.kind == "M" and array.ndim == 1:
        rows = np.flatnonzero(np.isnat(array))
        shown = tuple(int(row) for row in rows[:SHOWN])
        gaps = MissingCells(None, name, "dates", len(rows), len(array), shown)
        return Column(name, WHOLE, written=Written(date=ISO), trouble=gaps if shown else None)
    dtype = _dtype_of(name, array)
    missing = array.dtype.kind == "f" and bool(np.isnan(array).any())
    return Column(name, TensorType.of(dtype, array.shape[1:]), missing=missing)


def _convert(name: str, array: NDArray[Any], dialect: Dialect) -> NDArray[Any]:
    """The rows of the column of an array."""
    column = _describe(name, array, dialect)
    if array.dtype.kind == "M":
        return seconds_of(array)
    if array.dtype.kind in "OUS" and column.type.dtype is not DType.BOOL:
        return convert_cells(column, _write_cells(name, array), dialect)
    return np.asarray(array, column.type.dtype.numpy)


def _write_cells(name: str, array: NDArray[Any]) -> list[str]:
    """Cells as a csv file would hold them: nothing where a cell is None or not equal to itself,
    as NaN and pandas' NaT are; pandas' NA is equal to nothing.

    Raises:
        ValueError: a cell is no text, number or date.
    """
    cells = []
    for row, cell in enumerate(array.tolist()):
        if isinstance(cell, str):
            cells.append(cell)
        elif cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
            cells.append("")
        elif isinstance(cell, bytes):
            cells.append(cell.decode("utf-8", "replace"))
        elif isinstance(cell, bool | int | float | Decimal | date | np.generic):
            cells.append(str(cell))
        else:
            kind = type(cell).__name__
            raise ValueError(f"column {name} holds a {kind} in row {row}, which no tensor holds")
    return cells


def _dtype_of(name: str, array: NDArray[Any]) -> DType:
    """The dtype of the column of an array.

    Raises:
        ValueError: it holds objects, or text with several axes.
    """
    if array.dtype == np.uint8 and array.ndim > 1:
        return DType.U8
    kinds = {"b": DType.BOOL, "i": DType.I64, "u": DType.I64, "f": DType.F32}
    if array.dtype.kind not in kinds:
        raise ValueError(f"column {name} holds {array.dtype}, and a tensor holds numbers")
    return kinds[array.dtype.kind]
