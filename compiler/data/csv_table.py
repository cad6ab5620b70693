"""Tables in csv files, read with the csv module; pandas is what the generated script uses."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from shutil import disk_usage
from tempfile import gettempdir
from typing import Any, ClassVar, NoReturn, TextIO, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, ChunkCode, Column, LoadingCode
from compiler.data.cells import Dialect, convert_cells, describe_cells
from compiler.data.csv_lines import Form, Head, iterate_rows, name_heads, read_lines
from compiler.data.files import (
    find_files,
    is_pattern,
    read_text,
    refuse_file,
    refuse_setting,
    write_files,
)
from compiler.data.frames import Stamps, stamp_files
from compiler.data.holding import MAPPED, MEMORY, Rows
from compiler.data.mapped import map_columns, type_columns
from compiler.data.spilled import PART, SpilledCells, describe_spilled, spill_cells
from compiler.data.suspicions import suspect_points, suspect_total
from compiler.data.tables import TextTable, is_read_as_text, write_numbers
from compiler.records import dataclass
from compiler.writing.python import write_path, write_string

MOST_SUMMED = 10_000
"""Rows of a table with totals, at most: people write such tables."""
LARGE = 64 << 20
"""Bytes of files whose cells are not held in memory while they are looked at."""
BEGINNING = 1 << 16
"""Characters of a large file by which its separator is judged."""
LONGEST_LINE = 64 << 20
"""Characters of a line of a large file."""
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
    - `skip`: lines before the one that names the columns: titles, remarks.
    - `short_lines`: whether lines may end early, the cells that they lack being missing.

    Example:

        source csv("houses.csv", missing=["?"])
        inputs = stack([fill(area, "median"), rooms]) -> standardize

    Source: RFC 4180, https://www.rfc-editor.org/rfc/rfc4180
    """

    name: ClassVar[str] = "csv"
    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"
    skip: int = 0
    short_lines: bool = False

    def check(self) -> None:
        if len(self.separator) != 1 or self.separator in '"\n\r':
            shown = f'"{self.separator}"'
            refuse_setting(self.name, "separator", shown, 'one character, such as ";"')
        if self.skip < 0:
            refuse_setting(self.name, "skip", self.skip, "0 or above")
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
        return {
            column.name: np.concatenate(list(_convert(column, cells, self.dialect)))
            for column, cells in self._read(folder)
        }

    def ways(self) -> tuple[str, ...]:
        return (MEMORY, MAPPED)

    def count_rows(self, folder: Path) -> int | None:
        paths = find_files(folder, self.path)
        return sum(map(_count_lines, paths)) if _is_large(stamp_files(paths)) else None

    def open(self, folder: Path) -> Mapping[str, Rows]:
        paths = find_files(folder, self.path)
        return _map_table(self, tuple(paths), stamp_files(paths))

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        call = f"pd.read_csv({', '.join(self._list_options(columns))})"
        lines = [f"table = {call}"]
        if is_pattern(self.path):
            lines = [
                f"paths = {write_files(self.path)}",
                f"tables = [{call} for path in paths]",
                "table = pd.concat(tables, ignore_index=True)",
            ]
        found = {c.name: self._expression(c) for c in columns}
        return LoadingCode([*self.helpers(columns), *lines], found)

    def chunk_code(self, columns: Sequence[Column]) -> ChunkCode:
        options = [*self._list_options(columns), f"chunksize={PART}"]
        lines, read = list(self.helpers(columns)), f"pd.read_csv({', '.join(options)})"
        files = f"[{write_path(self.path)}]"
        if is_pattern(self.path):
            files = write_files(self.path)
            lines.append(f"paths = {files}")
            read = f"(table for path in paths for table in {read})"
        found = {c.name: self._expression(c) for c in columns}
        return ChunkCode(lines, f"for table in {read}:", (), found, files)

    def _list_options(self, columns: Sequence[Column]) -> list[str]:
        """What pandas is told of a file."""
        options = ["path" if is_pattern(self.path) else write_path(self.path)]
        if self.separator != ",":
            options.append(f"sep={write_string(self.separator)}")
        if self.skip:
            options.append(f"skiprows={self.skip}")
        if not self.header:
            options.append("header=None")
        options += self._write_numbers(columns)
        texts = [self._key(c) for c in columns if is_read_as_text(c)]
        if texts:
            options.append(f"dtype={{{', '.join(f'{key}: str' for key in texts)}}}")
        if codecs.lookup(self.encoding).name != "utf-8":
            options.append(f"encoding={write_string(self.encoding)}")
        return options

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


def _is_large(stamps: Stamps) -> bool:
    """Whether the cells of files are not held in memory while they are looked at."""
    return sum(size for _, size in stamps) >= LARGE


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 24), b""))


@lru_cache(maxsize=2)  # the rows are mapped once for each command
def _map_table(source: Csv, paths: tuple[Path, ...], stamps: Stamps) -> Mapping[str, Rows]:
    """All columns in a file; `stamps` are part of the key of the cache.

    Raises:
        Fault: a file is no csv file.
    """
    table, dialect = _read_table(source, paths, stamps), source.dialect
    made = {column.name: _convert(column, cells, dialect) for column, cells in table}
    parts = (dict(zip(made, part, strict=True)) for part in zip(*made.values(), strict=True))
    return map_columns(type_columns([column for column, _ in table]), parts)


def _convert(column: Column, cells: Sequence[str], dialect: Dialect) -> Iterator[NDArray[Any]]:
    """The rows of a column, part by part where its cells are not in memory."""
    parts = cells.parts() if isinstance(cells, SpilledCells) else [cells]
    return (convert_cells(column, part, dialect) for part in parts)


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_table(source: Csv, paths: tuple[Path, ...], stamps: Stamps) -> Table:
    """All columns of all files; `stamps` are part of the key of the cache.

    Raises:
        Fault: a file is no csv file, or has other columns than the first.
    """
    columns: Iterable[Sequence[str]]
    if _is_large(stamps):
        heads, columns = _spill_files(source, paths)
    else:
        heads, columns = _read_files(source, paths)
    source.check_names([head.name for head in heads])
    table = []
    dialect = source.dialect
    for head, cells in zip(heads, columns, strict=True):
        if isinstance(cells, SpilledCells):
            column = describe_spilled(head.name, cells, dialect)
        else:
            column = describe_cells(head.name, cells, dialect)
        parts = (head.written,) if head.written != head.name else ()
        table.append((replace(column, parts=parts) if parts else column, cells))
    source.check_use([column for column, _ in table])
    return _suspect(source, table)


def _suspect(source: Csv, table: Sequence[tuple[Column, Sequence[str]]]) -> Table:
    """The columns, with what is to be looked at in a whole table: points in numbers, totals."""
    found = []
    european = source.separator == ";" and source.decimal == "." and not source.thousands
    for column, cells in table:
        if european and column.type.dtype.is_float and not column.trouble and not column.doubt:
            column = replace(column, doubt=suspect_points(column.name, cells))
        found.append((column, cells))
    numbers = {
        c.name: convert_cells(c, cells, source.dialect)
        for c, cells in table
        if c.kind == "numbers" and c.trouble is None and len(cells) < MOST_SUMMED
    }
    words = {c.name: cells[-1].strip() for c, cells in table if c.categories}
    first, cells = found[0]
    if first.doubt is None:
        found[0] = replace(first, doubt=suspect_total(numbers, words)), cells
    return tuple(found)


def _read_files(source: Csv, paths: Sequence[Path]) -> tuple[list[Head], Iterable[Sequence[str]]]:
    """The columns of all files, and their cells."""
    heads: list[Head] = []
    rows: list[list[str]] = []
    for path in paths:
        shown = source.path if len(paths) == 1 else path.name
        own, found = _read_file(source, path, shown)
        heads = heads or own
        if own != heads:
            _refuse_columns(shown, own, paths[0].name, heads)
        rows += found
    return heads, zip(*rows, strict=True)


def _spill_files(source: Csv, paths: Sequence[Path]) -> tuple[list[Head], list[SpilledCells]]:
    """The same of large files, whose cells are not held in memory."""
    size, free = sum(path.stat().st_size for path in paths), disk_usage(gettempdir()).free
    if size > free:
        held = f"{free / 2**30:.1f} GiB are free in {gettempdir()}, where its cells are laid out"
        refuse_file(source.path, f"it has {size / 2**30:.1f} GiB, and {held}", "set TMPDIR")
    heads: list[Head] = []
    rows = _iterate_files(source, paths, heads)
    first = next(rows)  # the names are known then
    columns = spill_cells(chain([first], rows), len(heads))
    kept = [
        (head, cells)
        for head, cells in zip(heads, columns, strict=True)
        if not head.written.startswith("Unnamed: ") or any(map(str.strip, cells))
    ]
    return [head for head, _ in kept], [cells for _, cells in kept]


def _iterate_files(source: Csv, paths: Sequence[Path], heads: list[Head]) -> Iterator[list[str]]:
    """The rows of all files; `heads` are those of all of them once the first row is there."""
    form = _find_form(source)
    for path in paths:
        shown = source.path if len(paths) == 1 else path.name
        rows = _open_rows(form, path, shown)
        first = next(rows)
        own = name_heads(form, shown, first)
        heads[:] = heads or own
        if own != heads:
            _refuse_columns(shown, own, paths[0].name, heads)
        rows = rows if source.header else chain([first], rows)
        found = False
        for row in rows:
            found = True
            yield row
        if not found:
            refuse_file(shown, "it holds no rows")


def _open_rows(form: Form, path: Path, shown: str) -> Iterator[list[str]]:
    """The rows of a large file, the line that names its columns among them."""
    plain = codecs.lookup(form.encoding).name == "utf-8"
    try:
        with path.open(encoding="utf-8-sig" if plain else form.encoding, newline="") as file:
            text = file.read(BEGINNING)
            file.seek(0)
            yield from iterate_rows(form, shown, text, _bound_lines(shown, file))
    except UnicodeError:
        read_text(path, shown, form.encoding)  # says where
        raise


def _bound_lines(shown: str, file: TextIO) -> Iterator[str]:
    """The lines of a file, none of which is longer than any table's: a file without ends of lines
    would come as one."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and "\0" not in line:
            reason = f"line {number:,} has more than {LONGEST_LINE >> 20} million characters"
            refuse_file(shown, reason, "a csv file has a row on each line")
        yield line


def _refuse_columns(
    shown: str, found: Sequence[Head], first: str, known: Sequence[Head]
) -> NoReturn:
    """Refuses a file whose columns are not those of the first."""
    names, wanted = ([head.name for head in heads] for heads in (found, known))
    lacking = [name for name in wanted if name not in names]
    others = [name for name in names if name not in wanted]
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
    heads, rows = _read_file(source, path, str(path))
    return dict(zip([head.name for head in heads], zip(*rows, strict=True), strict=True))


def _read_file(source: Csv, path: Path, shown: str) -> tuple[list[Head], list[list[str]]]:
    """The columns of a file, and its rows.

    Raises:
        Fault: it is no csv file, or holds no rows.
    """
    text = read_text(path, shown, source.encoding)
    heads, rows = read_lines(_find_form(source), shown, text)
    if not rows:
        refuse_file(shown, "it holds no rows")
    return heads, rows


def _find_form(source: Csv) -> Form:
    """How the lines of its files are written."""
    return Form(
        separator=source.separator,
        header=source.header,
        skip=source.skip,
        short_lines=source.short_lines,
        encoding=source.encoding,
        decimal=source.decimal,
    )
