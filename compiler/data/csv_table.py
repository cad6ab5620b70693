"""Tables in csv files, read with the csv module; pandas is what the generated script uses."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource
from compiler.data.cells import convert_cells, describe_cells
from compiler.data.files import find_file, refuse_file, refuse_setting
from compiler.data.quoting import quote, write_dtype, write_path
from compiler.diagnostics import Fault
from compiler.messages.data import RaggedRow
from compiler.records import dataclass

Table = tuple[tuple[Column, Sequence[str]], ...]
"""Columns and their cells as text."""


@SOURCES.register
@final
@dataclass(frozen=True)
class Csv(DataSource):
    """A table in a csv file: one row per line, its columns named by the first line.

    A column of whole numbers is i64; one of numbers is f32, where empty cells (and `NA`, `NaN`,
    `null`, as in pandas) are NaN, to be replaced by `fill`; any other is a column of words: the
    number of each word in sorted order, to be spread by `one_hot`. Write a name with spaces or
    brackets in backquotes.

    - `path`: the file, relative to the spec's folder.
    - `separator`: what stands between cells: `";"`, or `"\\t"` for tabs.
    - `header`: whether the first line names the columns; else they are `c0`, `c1`, …
    - `decimal`: what stands before the fraction of a number: `","` in much of Europe.
    """

    name: ClassVar[str] = "csv"
    path: str
    separator: str = ","
    header: bool = True
    decimal: str = "."

    def check(self) -> None:
        if len(self.separator) != 1 or self.separator in '"\n\r':
            shown = f'"{self.separator}"'
            refuse_setting(self.name, "separator", shown, 'one character, such as ";"')
        if self.decimal not in (".", ",") or self.decimal == self.separator:
            expected = '"." or ",", and not the separator'
            refuse_setting(self.name, "decimal", f'"{self.decimal}"', expected)

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return tuple(column for column, _ in self._read(folder))

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {
            column.name: convert_cells(column, cells, self.decimal)
            for column, cells in self._read(folder)
        }

    def files(self, folder: Path) -> Sequence[Path]:
        return [find_file(folder, self.path)]

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        options = [write_path(self.path)]
        if self.separator != ",":
            options.append(f"sep={quote(self.separator)}")
        if self.decimal != ".":
            options.append(f'decimal="{self.decimal}"')
        if not self.header:
            options.append("header=None")
        entries = [f"    {quote(c.name)}: {self._expression(c)}," for c in columns]
        return [f"table = pd.read_csv({', '.join(options)})", "return {", *entries, "}"]

    def _expression(self, column: Column) -> str:
        key = quote(column.name) if self.header else column.name.removeprefix("c")
        return write_column(f"table[{key}]", column)

    def _read(self, folder: Path) -> Table:
        path = find_file(folder, self.path)
        status = path.stat()
        return _read_table(self, path, status.st_mtime_ns, status.st_size)


def write_column(series: str, column: Column) -> str:
    """The expression that turns a pandas series into the array of a column."""
    if column.words:
        words = f"[{', '.join(map(quote, column.categories))}]"
        filled = f'{series}.fillna("")' if "" in column.categories else series
        return f"pd.Categorical({filled}, {words}).codes.astype(np.int64)"
    return f"{series}.to_numpy({write_dtype(column.type.dtype)})"


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_table(source: Csv, path: Path, changed: int, size: int) -> Table:
    """All columns; `changed` and `size` are part of the key of the cache.

    Raises:
        Fault: the file is no csv file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names, rows = _read_rows(source, file)
    except UnicodeDecodeError as error:
        refuse_file(source.path, f"it is no text in UTF-8: {error.reason} at byte {error.start}")
    except csv.Error as error:
        refuse_file(source.path, str(error))
    if not rows:
        refuse_file(source.path, "it holds no rows")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return tuple((describe_cells(name, cells, source.decimal), cells) for name, cells in columns)


def _read_rows(source: Csv, file: Iterator[str]) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(file, delimiter=source.separator)
    rows: list[list[str]] = []
    width = 0
    for row in reader:
        if not row:
            continue  # a blank line is no row, as in pandas
        width = width or len(row)
        if len(row) != width:
            _refuse_row(source, reader.line_num, len(row), width)
        rows.append(row)
    if not rows:
        refuse_file(source.path, "it is empty")
    if not source.header:
        return [f"c{index}" for index in range(width)], rows
    names = rows[0]
    for name in names:
        if not name:
            refuse_file(source.path, "a column of its first line has no name", "`header=false`?")
        if names.count(name) > 1:
            refuse_file(source.path, f"its first line names `{name}` twice")
    return names, rows[1:]


def _refuse_row(source: Csv, line: int, found: int, expected: int) -> None:
    raise Fault(
        lambda where: RaggedRow(
            where.argument("path"), source.path, line, found, expected, source.separator
        )
    )
