"""Rows of a table, read as raw columns that are known: as those of a training were."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from compiler.data.cells import SHOWN, WHOLE, Dialect, Samples, convert_cells
from compiler.data.csv_table import Csv, read_cells
from compiler.data.damage import UNREADABLE
from compiler.data.dates import ISO, read_dates, seconds_of
from compiler.data.files import read_text, refuse_file
from compiler.data.memory import write_cells
from compiler.data.npz import check_archive
from compiler.data.raw_columns import RawColumn
from compiler.data.tables import STORED
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.deployed_rows import (
    cells_do_not_fit,
    cells_missing,
    columns_missing,
    unknown_words,
)

Array = NDArray[Any]
Cells = Array | Sequence[str]


def read_rows(
    path: Path,
    columns: Iterable[RawColumn],
    reading: Mapping[str, Any],
    free: Collection[str] = (),
) -> dict[str, Array]:
    """The rows of a file, `[rows, …]` by column; what else stands in it is left out.

    Args:
        path: a table of one of the kinds in `READERS`.
        columns: what is read.
        reading: options of the source of the training (`Csv`), as far as it had some.
        free: columns of words whose codes only tell them apart: any words may stand there.

    Raises:
        Fault: the file is not what its name promises.
        CompileError: it lacks a column, or cells of one are not what the column holds.
    """
    wanted = {column.name: column for column in columns}
    source = Csv(str(path), **_choose_options(path, reading))
    found = READERS[path.suffix.lower()](source, path, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise CompileError([columns_missing(None, str(path), tuple(missing), tuple(found))])
    faults: list[Message] = []
    rows: dict[str, Array] = {}
    for name, column in wanted.items():
        try:
            if name in free and column.column.words:
                column = _take_words(column, found[name])
            rows[name] = read_column(column, found[name], source.dialect)
        except CompileError as error:
            faults += error.messages
    if faults:
        raise CompileError(faults)
    return rows


def _take_words(raw: RawColumn, cells: Cells) -> RawColumn:
    """The column with the words that stand there, `""` where there is none, as its categories."""
    words = write_cells(cells) if isinstance(cells, np.ndarray) else cells
    known = tuple(sorted({"", *(word.strip() for word in words)}))
    return replace(raw, column=replace(raw.column, categories=known, unknown=True))


def _choose_options(path: Path, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a csv file that are known; a file of tabs says so by its name."""
    names = {option.name for option in Csv.options()}
    known = {name: value for name, value in reading.items() if name in names}
    known = {n: tuple(value) if isinstance(value, list) else value for n, value in known.items()}
    if path.suffix.lower() == ".tsv":
        known["separator"] = "\t"
    return known


def _read_csv(source: Csv, path: Path, wanted: Collection[str]) -> Mapping[str, Cells]:
    return read_cells(source, path)


def _read_parquet(source: Csv, path: Path, wanted: Collection[str]) -> Mapping[str, Cells]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name in wanted]
        table = file.read(names)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        refuse_file(str(path), f"it is not a parquet file: {str(error).split('. ')[0]}")
    found: dict[str, Cells] = {}
    for name in names:
        column = table.column(name).combine_chunks()
        plain = not column.null_count and pyarrow.types.is_primitive(column.type)
        found[name] = (
            np.asarray(column.to_numpy(zero_copy_only=False))
            if plain or pyarrow.types.is_temporal(column.type)
            else make_array(column.to_pylist())
        )
    return found


def _read_lines(source: Csv, path: Path, wanted: Collection[str]) -> Mapping[str, Cells]:
    found: dict[str, list[Any]] = {}
    count = 0
    for number, line in enumerate(read_text(path, str(path)).splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            refuse_file(str(path), f"line {number} is no JSON: {error}")
        if not isinstance(entry, dict):
            refuse_file(str(path), f"line {number} holds no object")
        for name, value in entry.items():
            if name in wanted:
                cells = found.setdefault(name, [])
                cells += [None] * (count - len(cells))
                cells.append(value)
        count += 1
    return {name: make_array([*c, *[None] * (count - len(c))]) for name, c in found.items()}


def _read_arrays(source: Csv, path: Path, wanted: Collection[str]) -> Mapping[str, Cells]:
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in wanted}
    except UNREADABLE as error:
        refuse_file(str(path), str(error))


READERS: Mapping[str, Callable[[Csv, Path, Collection[str]], Mapping[str, Cells]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_lines,
    ".npz": _read_arrays,
}
"""The kinds of files with rows, by how their names end."""


def make_array(values: Sequence[Any]) -> Array:
    """An array with an entry for each value; of lists as many rows as there are."""
    if values and all(isinstance(value, list) for value in values):
        try:
            return np.array(values)
        except ValueError:  # they differ in length
            pass
    made = np.empty(len(values), object)
    made[:] = values
    return made


def read_column(raw: RawColumn, cells: Cells, dialect: Dialect) -> Array:
    """The rows of a column from its cells: text, or what a file has stored.

    Raises:
        CompileError: which cells are not what the column holds.
    """
    column = raw.column
    if column.categories and not column.words:
        return _read_characters(raw, cells)
    if not isinstance(cells, np.ndarray):
        return _read_text(raw, cells, dialect)
    if cells.shape[1:] != (column.type.known_shape or ()):
        expected = f"arrays of {column.type}" if column.type.rank else "one entry for each row"
        _refuse(raw, ((0, f"{list(cells.shape[1:])}"),), len(cells), expected)
    if cells.dtype.kind == "M":
        return _need_rows(raw, seconds_of(cells), np.isnat(cells))
    numbers = None if column.words else _find_numbers(cells)
    if numbers is None:
        return _read_text(raw, write_cells(cells), dialect)
    return _read_numbers(raw, numbers)


def _find_numbers(cells: Array) -> Array | None:
    """An array of numbers or booleans, NaN where one is missing; None where cells are text."""
    if cells.dtype.kind in "biuf":
        return cells
    held = [cell for cell in cells.flat if cell is not None]
    if not all(isinstance(cell, bool | int | float | Decimal) for cell in held):
        return None
    if len(held) < cells.size:
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    whole = all(isinstance(cell, int) and -(2**63) <= cell < 2**63 for cell in held)
    kind = bool if all(isinstance(cell, bool) for cell in held) else np.int64 if whole else float
    return cells.astype(kind)


def _read_characters(raw: RawColumn, cells: Cells) -> Array:
    """The codes of characters: of a text in each row, or of an array of them."""
    (length,) = raw.column.type.known_shape or (0,)
    places = {character: place for place, character in enumerate(raw.words)}
    rows = [
        list(map(str, row)) for row in (cells.tolist() if isinstance(cells, np.ndarray) else cells)
    ]
    wrong = [(k, f"{len(row)} characters") for k, row in enumerate(rows) if len(row) != length]
    if wrong:
        _refuse(raw, tuple(wrong[:SHOWN]), len(wrong), f"texts of {length} characters")
    strange = [(k, c) for k, row in enumerate(rows) for c in row if c not in places]
    if strange:
        raise CompileError([unknown_words(None, raw.name, tuple(strange[:SHOWN]), raw.words)])
    return np.array([[places[c] for c in row] for row in rows], np.int64)


def _read_numbers(raw: RawColumn, array: Array) -> Array:
    """Stored numbers in the dtype of the column."""
    dtype = raw.column.type.dtype
    if dtype.is_float:
        with np.errstate(over="ignore"):
            return array.astype(dtype.numpy)
    if array.dtype.kind == "f":
        _need_rows(raw, array, np.isnan(array))
        with np.errstate(invalid="ignore"):
            lost = array.astype(dtype.numpy) != array
        if lost.any():
            rows = np.flatnonzero(lost.reshape(len(array), -1).any(axis=1))
            samples = tuple((int(r), f"{array[r]}") for r in rows[:SHOWN])
            _refuse(raw, samples, len(rows), f"whole numbers ({dtype})")
    return array.astype(dtype.numpy)


def _read_text(raw: RawColumn, cells: Sequence[str], dialect: Dialect) -> Array:
    """Cells of text as the rows of the column."""
    column = raw.column
    if column.written.date == STORED:
        column = replace(column, written=replace(column.written, date=ISO))
    stripped = {cell: cell.strip() for cell in set(cells)}
    distinct = set(stripped.values())
    filled = distinct - dialect.find_missing(distinct)
    if column.words:
        strange = filled.difference(column.categories)
        if strange and not column.unknown:
            fault = unknown_words(None, raw.name, _find(cells, strange), column.categories)
            raise CompileError([fault])
    elif column.written.date:
        _check_read(raw, cells, filled - read_dates(filled, column.written.date).keys(), "dates")
    else:
        way = dialect.way(column.written.unit)
        whole = column.type == WHOLE
        read = {c for c in filled if way.are_whole({c})} if whole else way.read(filled).keys()
        expected = "whole numbers" if whole else "numbers"
        unit = f" in {column.written.unit}" if column.written.unit else ""
        _check_read(raw, cells, filled - read, expected + unit)
    may_lack = column.type.dtype.is_float or "" in column.categories
    lacking = distinct - filled
    if lacking and not may_lack:
        _refuse_missing(raw, [row for row, c in enumerate(cells) if stripped[c] in lacking])
    return convert_cells(column, cells, dialect)


def _check_read(
    raw: RawColumn, cells: Sequence[str], unread: Collection[str], expected: str
) -> None:
    if unread:
        count = sum(cell.strip() in unread for cell in cells)
        _refuse(raw, _find(cells, unread), count, expected)


def _need_rows(raw: RawColumn, array: Array, gaps: Array) -> Array:
    """The array, none of whose rows is missing."""
    rows = np.flatnonzero(gaps.reshape(len(gaps), -1).any(axis=1))
    if len(rows):
        _refuse_missing(raw, rows.tolist())
    return array


def _refuse_missing(raw: RawColumn, rows: Sequence[int]) -> NoReturn:
    raise CompileError([cells_missing(None, raw.name, tuple(rows[:SHOWN]), len(rows))])


def _refuse(raw: RawColumn, samples: Samples, count: int, expected: str) -> NoReturn:
    raise CompileError([cells_do_not_fit(None, raw.name, samples, count, expected)])


def _find(cells: Sequence[str], wanted: Collection[str]) -> Samples:
    """The first rows of some cells, each cell once."""
    left, found = set(wanted), []
    for row, cell in enumerate(cells):
        if cell.strip() in left:
            left.remove(cell.strip())
            found.append((row, cell.strip()))
            if len(found) == SHOWN:
                break
    return tuple(found)


def is_row_file(path: Path) -> bool:
    """Whether a file holds rows, by its name."""
    return path.suffix.lower() in READERS
