"""Tables in csv files, read with the csv module; pandas is what the generated script uses."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NoReturn, final

from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, LoadingCode
from compiler.data.cells import convert_cells, describe_cells
from compiler.data.files import (
    find_files,
    is_pattern,
    read_text,
    refuse_file,
    refuse_setting,
    write_files,
)
from compiler.data.frames import Stamps, stamp_files
from compiler.data.tables import TextTable, is_read_as_text, write_numbers
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import other_separator, ragged_row
from compiler.writing.python import write_path, write_string

LINES_LOOKED_AT = 20
"""How many lines tell that a file has another separator."""
Table = tuple[tuple[Column, Sequence[str]], ...]
"""Columns and their cells as text."""


@SOURCES.register
@final
@dataclass(frozen=True)
class Csv(TextTable):
    """A table in a csv file, or in several of the same columns, one below the other: one row per
    line, its columns named by the first line.

    A column of whole numbers is i64; one of numbers is f32, where missing cells (empty, `NA`,
    `NaN`, `null`, as in pandas) are NaN, to be replaced by `fill`; dates are i64, the seconds
    since 1970; any other is a column of categories: the place of each word in sorted order, to be
    spread by `one_hot`. Write a name with spaces or brackets in backquotes.

    - `path`: the file, relative to the spec's folder, or a pattern: `"part-*.csv"`.
    - `decimal`: what stands before the fraction of a number: `","` in much of Europe.
    - `thousands`: what stands between thousands: `","`, `"."`, `" "`.
    - `unit`: what stands beside each number of some columns (`"kg"`, `"%"`, `["$", "km"]`), and
      is left out: `5 %` is 5.
    - `date`: the form of dates that are not read by themselves, as for Python's strptime:
      `"%d/%m/%y"`.
    - `missing`: more cells that are missing: `["?", "-", "-999"]`.
    - `categories`: columns that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.
    - `separator`: what stands between cells: `";"`, or `"\\t"` for tabs.
    - `header`: whether the first line names the columns; else they are `c0`, `c1`, …
    - `encoding`: how the file writes letters: `"utf-8"`, `"latin-1"`, `"cp1252"`, `"utf-16"`.

    Example:

        source csv("houses.csv", missing=["?"])
        inputs = stack([fill(area, "median"), rooms]) -> standardize

    Source: RFC 4180, https://www.rfc-editor.org/rfc/rfc4180
    """

    name: ClassVar[str] = "csv"
    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"

    def check(self) -> None:
        if len(self.separator) != 1 or self.separator in '"\n\r':
            shown = f'"{self.separator}"'
            refuse_setting(self.name, "separator", shown, 'one character, such as ";"')
        super().check()
        for option in ("decimal", "thousands"):
            if getattr(self, option) == self.separator == ",":
                continue  # cells with one are in quotes
            if getattr(self, option) == self.separator:
                refuse_setting(self.name, option, f'"{self.separator}"', "not the separator")
        try:
            "a".encode(self.encoding)
        except (LookupError, ValueError):
            expected = '"utf-8", "latin-1", "cp1252" or another encoding of Python'
            refuse_setting(self.name, "encoding", f'"{self.encoding}"', expected)

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return tuple(column for column, _ in self._read(folder))

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        dialect = self.dialect
        return {
            column.name: convert_cells(column, cells, dialect)
            for column, cells in self._read(folder)
        }

    def files(self, folder: Path) -> Sequence[Path]:
        return find_files(folder, self.path)

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        several = is_pattern(self.path)
        options = ["path" if several else write_path(self.path)]
        if self.separator != ",":
            options.append(f"sep={write_string(self.separator)}")
        if not self.header:
            options.append("header=None")
        options += self._write_numbers(columns)
        texts = [self._key(c) for c in columns if is_read_as_text(c)]
        if texts:
            options.append(f"dtype={{{', '.join(f'{key}: str' for key in texts)}}}")
        if codecs.lookup(self.encoding).name != "utf-8":
            options.append(f"encoding={write_string(self.encoding)}")
        call = f"pd.read_csv({', '.join(options)})"
        lines = [f"table = {call}"]
        if several:
            lines = [
                f"paths = {write_files(self.path)}",
                f"tables = [{call} for path in paths]",
                "table = pd.concat(tables, ignore_index=True)",
            ]
        found = {c.name: self._expression(c) for c in columns}
        return LoadingCode([*self.helpers(columns), *lines], found)

    def _write_numbers(self, columns: Sequence[Column]) -> list[str]:
        """How pandas reads numbers, and what is missing."""
        options = []
        if self.decimal != ".":
            options.append(f"decimal={write_string(self.decimal)}")
        if self.thousands and self.thousands.isascii():  # pandas reads no other mark
            options.append(f"thousands={write_string(self.thousands)}")
        spaced = {blank for column in columns for blank in column.written.blanks}
        marks = [*self.dialect.missing, *sorted(spaced)]
        if marks:
            options.append(f"na_values=[{', '.join(map(write_string, marks))}]")
        return options

    def _key(self, column: Column) -> str:
        """How pandas calls a column: names keep the spaces around them there."""
        if not self.header:
            return column.name.removeprefix("c")
        return write_string(column.parts[0] if column.parts else column.name)

    def _expression(self, column: Column) -> str:
        series = f"table[{self._key(column)}]"
        if is_read_as_text(column):
            return self.write_text(series, column)
        return write_numbers(series, column)

    def _read(self, folder: Path) -> Table:
        paths = find_files(folder, self.path)
        return _read_table(self, tuple(paths), stamp_files(paths))


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_table(source: Csv, paths: tuple[Path, ...], stamps: Stamps) -> Table:
    """All columns of all files; `stamps` are part of the key of the cache.

    Raises:
        Fault: a file is no csv file, or has other columns than the first.
    """
    names: list[str] = []
    rows: list[list[str]] = []
    for path in paths:
        shown = source.path if len(paths) == 1 else path.name
        own, found = _read_rows(source, shown, read_text(path, shown, source.encoding))
        if not found:
            refuse_file(shown, "it holds no rows")
        names = names or own
        if own != names:
            _refuse_columns(shown, own, paths[0].name, names)
        rows += found
    plain = [name.strip() for name in names] if source.header else names
    source.check_names(plain)
    table = []
    dialect = source.dialect
    for written, name, cells in zip(names, plain, zip(*rows, strict=True), strict=True):
        column = describe_cells(name, cells, dialect)
        parts = (written,) if written != name else ()
        table.append((replace(column, parts=parts) if parts else column, cells))
    source.check_use([column for column, _ in table])
    return tuple(table)


def _refuse_columns(shown: str, found: Sequence[str], first: str, known: Sequence[str]) -> NoReturn:
    """Refuses a file whose columns are not those of the first."""
    lacking = [name for name in known if name not in found]
    others = [name for name in found if name not in known]
    reason = "its columns stand in another order"
    if lacking or others:
        here = f"lacks the column `{lacking[0]}`" if lacking else f"has a column `{others[0]}`"
        reason = f"it {here}"
    refuse_file(shown, f"{reason}, unlike `{first}`")


def read_cells(source: Csv, path: Path) -> Mapping[str, Sequence[str]]:
    """The cells of each column of a file as text, by its name.

    Raises:
        Fault: the file is no csv file, or holds no rows.
    """
    shown = str(path)
    names, rows = _read_rows(source, shown, read_text(path, shown, source.encoding))
    if not rows:
        refuse_file(shown, "it holds no rows")
    plain = [name.strip() for name in names] if source.header else names
    return dict(zip(plain, zip(*rows, strict=True), strict=True))


def _read_rows(source: Csv, shown: str, text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(_split_lines(source, shown, text), delimiter=source.separator, strict=True)
    rows: list[list[str]] = []
    width = 0
    try:
        for row in reader:
            if not row or (len(row) == 1 and row[0].isspace()):
                continue  # a blank line is no row, as in pandas
            if not width:
                width = len(row)
                if width == 1:
                    _refuse_separator(source, shown, text)
            if len(row) != width:
                _refuse_row(source, shown, reader.line_num, len(row), width)
            rows.append(row)
    except csv.Error as error:
        refuse_file(shown, f"line {reader.line_num}: {error}")
    if not rows:
        refuse_file(shown, "it is empty")
    if not source.header:
        return [f"c{index}" for index in range(width)], rows
    _check_header(shown, rows[0])
    return rows[0], rows[1:]


def _split_lines(source: Csv, shown: str, text: str) -> Iterator[str]:
    """The lines with their ends, none of which holds a NUL, which ends texts for pandas."""
    for number, line in enumerate(StringIO(text, newline=""), 1):
        if "\0" in line:
            reason = f"line {number} holds a NUL byte: it is binary, or not {source.encoding}"
            refuse_file(shown, reason, 'text in UTF-16 needs `encoding="utf-16"`')
        yield line


def _check_header(shown: str, header: Sequence[str]) -> None:
    """Refuses columns without a name, and names that stand twice."""
    for name, count in Counter(name.strip() for name in header).items():
        if not name:
            refuse_file(shown, "a column of its first line has no name", "`header=false`?")
        if count > 1:
            refuse_file(shown, f"its first line names `{name}` twice")


def _refuse_separator(source: Csv, shown: str, text: str) -> None:
    """Refuses a file whose lines are one cell each, and several with another separator.

    Raises:
        Fault: which separator it is.
    """
    lines = [line for line in islice(StringIO(text), LINES_LOOKED_AT) if line.strip()]
    found = next((s for s in ";\t,|" if s != source.separator and _separates(s, lines)), None)
    if found is None:
        return
    header, row = lines[0], lines[1]
    decimal = source.decimal != "," != found and re.search(r"\d,\d", row) is not None
    cells = len(next(csv.reader([header], delimiter=found)))
    raise Fault(
        lambda where: other_separator(where.argument("path"), shown, header, found, decimal, cells)
    )


def _separates(separator: str, lines: Sequence[str]) -> bool:
    """Whether there are several lines, each with the same number of cells, more than one."""
    widths = {len(row) for row in csv.reader(lines, delimiter=separator)}
    return len(lines) > 1 and len(widths) == 1 and widths != {1}


def _refuse_row(source: Csv, shown: str, line: int, found: int, expected: int) -> None:
    raise Fault(
        lambda where: ragged_row(
            where.argument("path"), shown, line, found, expected, source.separator
        )
    )
