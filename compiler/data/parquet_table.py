"""Tables in parquet files, read with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, ChunkCode, Column, LoadingCode
from compiler.data.cells import WHOLE, convert_cells, describe_cells, describe_moments
from compiler.data.dates import GAP, seconds_of
from compiler.data.files import find_files, is_pattern, refuse_file, write_files
from compiler.data.frames import Stamps, stamp_files
from compiler.data.holding import MAPPED, MEMORY, Rows
from compiler.data.mapped import map_columns, type_columns
from compiler.data.narrowing import choose_float, find_large_entry
from compiler.data.sizes import check_expansion
from compiler.data.tables import STORED, TextTable
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.cells import column_not_held
from compiler.types.tensor import DType, TensorType
from compiler.writing.python import write_path, write_string

PART = 65_536
"""Rows of a part."""
FLAG = TensorType.of("bool", ())


@SOURCES.register
@final
@dataclass(frozen=True)
class Parquet(TextTable):
    """A table in a parquet file, or in several of the same columns, one below the other.

    Whole numbers are i64, other numbers f32, NaN where a cell is empty (whole numbers with empty
    cells are f32 as well), booleans bool, lists of one length and of numbers f32[length], dates
    and times i64, the seconds since 1970. Columns of text are read as those of a csv file are:
    numbers, dates or categories. Columns of anything else (durations, times of day, bytes, lists
    that differ in length) may stand there as long as nothing reads them. A damaged file is refused;
    where its footer is damaged in a few ways, pyarrow 26 ends the process instead.

    - `path`: the file, relative to the spec's folder, or a pattern: `"jets/*.parquet"`.
    - `decimal`: what stands before the fraction of a number in text.
    - `thousands`: what stands between thousands in text.
    - `unit`: what stands beside each number in text: `"kg"`, `["$", "km"]`.
    - `date`: the form of dates in text that are not read by themselves: `"%d/%m/%y"`.
    - `missing`: more cells of text that are missing: `["?", "-"]`.
    - `categories`: columns of text that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.

    Example: `source parquet("houses.parquet")`, `inputs = stack([area, rooms]) -> standardize`
    Source: https://parquet.apache.org/docs/file-format/
    """

    name: ClassVar[str] = "parquet"

    def schema(self, folder: Path) -> tuple[Column, ...]:
        files = self._open(folder)
        try:
            nulls = _count_nulls(files)
        except UnicodeDecodeError as error:
            refuse_file(self.path, f"it is not a parquet file: {error.reason} in a column's name")
        columns = tuple(self._describe(files, field, nulls) for field in files[0].schema_arrow)
        self.check_use(columns)
        return columns

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        schema = self.schema(folder)
        held = [c.name for c in schema if not c.stored]
        table = self._read(self._open(folder), held)
        loaded = {}
        for column in schema:
            if column.name not in held:
                loaded[column.name] = np.full(len(table), GAP)
                continue
            array = table.column(column.name).combine_chunks()
            loaded[column.name] = self._take(array, column)
        return loaded

    def ways(self) -> tuple[str, ...]:
        return (MEMORY, MAPPED)

    def count_rows(self, folder: Path) -> int | None:
        return sum(int(file.metadata.num_rows) for file in self._open(folder))

    def open(self, folder: Path) -> Mapping[str, Rows]:
        return _map_table(self, folder, stamp_files(self.files(folder)))

    def read_parts(
        self, folder: Path, schema: Sequence[Column]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """The rows of the columns that tensors hold, part by part.

        Raises:
            Fault: a file is damaged.
        """
        import pyarrow

        names = [c.name for c in schema]
        try:
            for file in self._open(folder):
                for batch in file.iter_batches(PART, columns=names):
                    batch.validate(full=True)
                    yield {c.name: self._take(batch.column(c.name), c) for c in schema}
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            refuse_file(self.path, f"its columns cannot be read: {str(error).split('. ')[0]}")

    def _take(self, array: Any, column: Column) -> NDArray[Any]:
        """The rows of a column."""
        if is_text(array.type):
            return convert_cells(column, _read_cells(array), self.dialect)
        return _convert(array, column)

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        names = ", ".join(write_string(c.name) for c in columns)
        lines = [f"table = pd.read_parquet({write_path(self.path)}, columns=[{names}])"]
        if is_pattern(self.path):
            lines = [
                f"paths = {write_files(self.path)}",
                f"tables = [pd.read_parquet(p, columns=[{names}]) for p in paths]",
                "table = pd.concat(tables)",
            ]
        found = {c.name: self.write_cells(c) for c in columns}
        return LoadingCode([*self.helpers(columns), *lines], found)

    def chunk_code(self, columns: Sequence[Column]) -> ChunkCode:
        names = ", ".join(write_string(c.name) for c in columns)
        parts = f"iter_batches({PART}, columns=[{names}])"
        lines = list(self.helpers(columns))
        read = f"parquet.ParquetFile({write_path(self.path)}).{parts}"
        files = f"[{write_path(self.path)}]"
        if is_pattern(self.path):
            files = write_files(self.path)
            lines.append(f"paths = {files}")
            read = f"(b for p in paths for b in parquet.ParquetFile(p).{parts})"
        found = {c.name: self.write_cells(c) for c in columns}
        inside = ["table = batch.to_pandas()"]
        return ChunkCode(lines, f"for batch in {read}:", inside, found, files)

    def _open(self, folder: Path) -> list[Any]:
        """The files, of which only the ends are read."""
        import pyarrow
        from pyarrow import parquet

        paths = find_files(folder, self.path)
        names = [self.path] if len(paths) == 1 else [path.name for path in paths]
        files = []
        for name, path in zip(names, paths, strict=True):
            try:
                files.append(parquet.ParquetFile(path))
                self.check_names(
                    files[-1].schema_arrow.names
                )  # names of a damaged file are no text
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                reason = str(error).split(". ")[0]
                refuse_file(name, f"it is not a parquet file: {reason}")
            if not files[-1].schema_arrow.equals(files[0].schema_arrow):
                refuse_file(name, "its columns differ from those of the first file")
            metadata = files[-1].metadata
            groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
            stored = sum(group.total_byte_size for group in groups)
            # A file of one number repeated is short: lists have more numbers than rows.
            cells = sum(
                group.column(index).num_values
                for group in groups
                for index in range(metadata.num_columns)
            )
            check_expansion(name, max(stored, 4 * cells), path.stat().st_size)
        return files

    def _read(self, files: Sequence[Any], columns: Sequence[str] | None = None) -> Any:
        """The rows of all files as one table of arrow."""
        import pyarrow

        try:
            table = pyarrow.concat_tables([file.read(columns) for file in files])
            table.validate(full=True)  # text of a damaged file may be none
            return table
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            refuse_file(self.path, f"its columns cannot be read: {str(error).split('. ')[0]}")

    def _describe(self, files: Sequence[Any], field: Any, nulls: Mapping[str, bool]) -> Column:
        """The column of a field of the arrow schema."""
        from pyarrow import types

        kind, missing = field.type, nulls.get(field.name, True)
        if types.is_boolean(kind) and not missing:
            return Column(field.name, FLAG)
        if types.is_integer(kind) and not missing:
            large = self._find_large(files, field, WHOLE.dtype)
            return Column(field.name, WHOLE, trouble=large)
        if types.is_null(kind):
            return Column(field.name, TensorType.of("f32", ()), missing=True)
        numbers = (types.is_boolean, types.is_floating, types.is_integer, types.is_decimal)
        if any(test(kind) for test in numbers):
            large = self._find_large(files, field, DType.F32)
            kind = TensorType.of(self._choose_float(files, field), ())
            return Column(field.name, kind, missing=missing, trouble=large)
        if is_text(kind):
            cells = _read_cells(self._read(files, [field.name]).column(0).combine_chunks())
            column = describe_cells(field.name, cells, self.dialect)
            return replace(column, written=replace(column.written, text=True))
        if types.is_date(kind) or types.is_timestamp(kind):
            moments = self._read(files, [field.name]).column(0).to_numpy()
            return describe_moments(field.name, moments, STORED)
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            return self._describe_list(files, field)
        return _refuse(field, f"it holds {kind}, and columns hold numbers, dates or text")

    def _find_large(self, files: Sequence[Any], field: Any, dtype: DType) -> Message | None:
        """The first number that the dtype of its column does not hold. Rows are read only where
        the footers do not rule it out."""
        from pyarrow import types

        wide = types.is_uint64(field.type) or types.is_float64(field.type)
        if not wide or not _may_exceed(files, field.name, dtype.range[1]):
            return None
        array = self._read(files, [field.name]).column(0).to_numpy()
        return find_large_entry(field.name, array, dtype)

    def _choose_float(self, files: Sequence[Any], field: Any) -> DType:
        """The floating-point dtype that keeps the differences of numbers."""
        from pyarrow import types

        if types.is_float32(field.type) or types.is_float16(field.type):
            return DType.F32
        array = self._read(files, [field.name]).column(0).to_numpy()
        return choose_float(np.asarray(array, np.float64))

    def _describe_list(self, files: Sequence[Any], field: Any) -> Column:
        from pyarrow import compute, types

        value = field.type.value_type
        if not (types.is_floating(value) or types.is_integer(value)):
            return _refuse(field, f"it holds {field.type}, no lists of numbers")
        lists = self._read(files, [field.name]).column(0)
        lengths = compute.unique(compute.list_value_length(lists)).to_pylist()
        if None in lengths:
            return _refuse(field, "some of its lists are missing")
        if len(lengths) != 1:
            shown = ", ".join(f"{length}" for length in sorted(lengths)[:3])
            return _refuse(
                field, f"its lists differ in length: {shown}{', …' * (len(lengths) > 3)}"
            )
        if types.is_integer(value) and compute.list_flatten(lists).null_count:
            return _refuse(field, "entries of its lists are missing")
        dtype = "f32" if types.is_floating(value) else "i64"
        return Column(field.name, TensorType.of(dtype, (int(lengths[0]),)))


@lru_cache(maxsize=2)  # the rows are mapped once for each command
def _map_table(source: Parquet, folder: Path, stamps: Stamps) -> dict[str, Rows]:
    """All columns in a file; `stamps` are part of the key of the cache.

    Raises:
        Fault: a file is damaged.
    """
    held = [column for column in source.schema(folder) if not column.stored]
    return dict[str, Rows](map_columns(type_columns(held), source.read_parts(folder, held)))


def _refuse(field: Any, reason: str) -> Column:
    """The column of a field that no tensor holds."""
    from pyarrow import types

    if types.is_duration(field.type):
        advice = "store numbers: `frame[name].dt.total_seconds()`"
    elif types.is_time(field.type):
        advice = "store numbers, such as seconds since midnight"
    elif types.is_nested(field.type):
        advice = "store lists of numbers of one length, or each part as a column of its own"
    else:
        advice = "store numbers, or text"
    trouble = column_not_held(None, field.name, reason, advice)
    return Column(field.name, WHOLE, trouble=trouble, stored=str(field.type))


def _count_nulls(files: Sequence[Any]) -> dict[str, bool]:
    """Whether a column may have empty cells, as far as the footers tell."""
    nulls: dict[str, bool] = {}
    for metadata in (file.metadata for file in files):
        for group, index in product(range(metadata.num_row_groups), range(metadata.num_columns)):
            chunk = metadata.row_group(group).column(index)
            statistics = chunk.statistics
            known = statistics is not None and statistics.has_null_count
            has = not known or statistics.null_count > 0
            nulls[chunk.path_in_schema] = nulls.get(chunk.path_in_schema, False) or has
    return nulls


def _may_exceed(files: Sequence[Any], name: str, largest: float) -> bool:
    """Whether a column may hold numbers of a larger size, as far as the footers tell."""
    for metadata in (file.metadata for file in files):
        for group, index in product(range(metadata.num_row_groups), range(metadata.num_columns)):
            chunk = metadata.row_group(group).column(index)
            if chunk.path_in_schema != name:
                continue
            statistics = chunk.statistics
            if statistics is None or not statistics.has_min_max:
                return True
            if not -largest <= statistics.min <= statistics.max <= largest:
                return True
    return False


def is_text(kind: Any) -> bool:
    """Whether an arrow type holds text, or dictionaries of it."""
    from pyarrow import types

    return any(
        test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view)
    ) or types.is_dictionary(kind)


def _read_cells(array: Any) -> list[str]:
    """The cells of a column of text, `""` where there is none."""
    return ["" if cell is None else str(cell) for cell in array.to_pylist()]


def _convert(array: Any, column: Column) -> NDArray[Any]:
    """An arrow array of anything but text as rows of a column."""
    if column.type.rank:
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, column.type.dtype.numpy).reshape(len(array), -1)
    found = np.asarray(array.to_numpy(zero_copy_only=False))
    if column.written.date:
        return seconds_of(found)
    with np.errstate(over="ignore"):  # a column with such numbers may not be used
        return found.astype(column.type.dtype.numpy)
