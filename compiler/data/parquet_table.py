"""Tables in parquet files, read with pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource
from compiler.data.cells import NUMBER, WHOLE
from compiler.data.files import find_files, refuse_file
from compiler.data.quoting import quote, write_dtype, write_path
from compiler.records import dataclass
from compiler.tensor import TensorType

FLAG = TensorType.of("bool", ())


@SOURCES.register
@final
@dataclass(frozen=True)
class Parquet(DataSource):
    """A table in a parquet file, or in several of the same columns, one below the other.

    Whole numbers are i64, other numbers f32, NaN where a cell is empty (whole numbers with empty
    cells are f32 as well), truth values bool, lists of one length and of numbers f32[length].
    Text is a column of words: the number of each word in sorted order, empty cells the word `""`.

    - `path`: the file, relative to the spec's folder, or a pattern: `"jets/*.parquet"`.
    """

    name: ClassVar[str] = "parquet"
    path: str

    def schema(self, folder: Path) -> tuple[Column, ...]:
        files = self._open(folder)
        nulls = _count_nulls(files)
        return tuple(self._describe(files, field, nulls) for field in files[0].schema_arrow)

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        table = self._read(self._open(folder))
        loaded = {}
        for column in self.schema(folder):
            array = table.column(column.name).combine_chunks()
            loaded[column.name] = _convert(array, column)
        return loaded

    def files(self, folder: Path) -> Sequence[Path]:
        return find_files(folder, self.path)

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        names = ", ".join(quote(c.name) for c in columns)
        lines = [f"table = pd.read_parquet({write_path(self.path)}, columns=[{names}])"]
        if set("*?[") & set(self.path):
            lines = [
                f"paths = sorted(folder.glob({quote(self.path)}))",
                f"tables = [pd.read_parquet(p, columns=[{names}]) for p in paths]",
                "table = pd.concat(tables)",
            ]
        entries = [f"    {quote(c.name)}: {_write_column(c)}," for c in columns]
        return [*lines, "return {", *entries, "}"]

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
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).split(". ")[0]
                refuse_file(name, f"it is no parquet file: {reason}")
            if not files[-1].schema_arrow.equals(files[0].schema_arrow):
                refuse_file(name, "its columns differ from those of the first file")
        return files

    def _read(self, files: Sequence[Any], columns: Sequence[str] | None = None) -> Any:
        """The rows of all files as one table of arrow."""
        import pyarrow

        return pyarrow.concat_tables([file.read(columns) for file in files])

    def _describe(self, files: Sequence[Any], field: Any, nulls: Mapping[str, bool]) -> Column:
        """The column of a field of the arrow schema."""
        from pyarrow import types

        kind, missing = field.type, nulls.get(field.name, True)
        if types.is_boolean(kind) and not missing:
            return Column(field.name, FLAG)
        if types.is_integer(kind) and not missing:
            return Column(field.name, WHOLE)
        if types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind):
            return Column(field.name, NUMBER, missing=missing)
        if types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
            words = self._read(files, [field.name]).column(0).combine_chunks().unique().to_pylist()
            categories = tuple(sorted({"" if word is None else str(word) for word in words}))
            return Column(field.name, WHOLE, words=True, categories=categories)
        if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
            refuse_file(self.path, f"the column `{field.name}` is {kind}, which no tensor holds")
        return Column(field.name, self._describe_list(files, field))

    def _describe_list(self, files: Sequence[Any], field: Any) -> TensorType:
        from pyarrow import compute, types

        value = field.type.value_type
        if not (types.is_floating(value) or types.is_integer(value)):
            refuse_file(self.path, f"the column `{field.name}` is {field.type}, no list of numbers")
        lists = self._read(files, [field.name]).column(0)
        lengths = compute.unique(compute.list_value_length(lists))
        if len(lengths) != 1 or lengths[0].as_py() is None:
            reason = f"the lists of `{field.name}` differ in length"
            refuse_file(
                self.path, reason, "rows of varying length need `pad`, which is not built yet"
            )
        dtype = "f32" if types.is_floating(value) else "i64"
        return TensorType.of(dtype, (int(lengths[0].as_py()),))


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


def _convert(array: Any, column: Column) -> NDArray[Any]:
    """An arrow array as rows of a column."""
    if column.words:
        codes = {word: code for code, word in enumerate(column.categories)}
        cells = array.to_pylist()
        return np.array([codes["" if c is None else str(c)] for c in cells], np.int64)
    if column.type.rank:
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, column.type.dtype.numpy).reshape(len(array), -1)
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(column.type.dtype.numpy)


def _write_column(column: Column) -> str:
    series = f"table[{quote(column.name)}]"
    dtype = write_dtype(column.type.dtype)
    if column.type.rank:
        return f"np.stack({series}.to_list()).astype({dtype})"
    if column.words:
        words = f"[{', '.join(map(quote, column.categories))}]"
        series += ".astype(str)" if "" not in column.categories else '.fillna("").astype(str)'
        return f"pd.Categorical({series}, {words}).codes.astype(np.int64)"
    return f"{series}.to_numpy({dtype})"
