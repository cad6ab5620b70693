"""Tables in parquet files, read with pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource
from compiler.data.cells import NUMBER, WHOLE
from compiler.data.files import find_file, refuse_file
from compiler.data.quoting import quote, write_dtype, write_path
from compiler.records import dataclass
from compiler.tensor import TensorType

FLAG = TensorType.of("bool", ())


@SOURCES.register
@final
@dataclass(frozen=True)
class Parquet(DataSource):
    """A table in a parquet file.

    Whole numbers are i64, other numbers f32, NaN where a cell is empty (whole numbers with empty
    cells are f32 as well), truth values bool, lists of one length and of numbers f32[length].
    Text is a column of words: the number of each word in sorted order, empty cells the word `""`.

    path: the file, relative to the spec's folder.
    """

    name: ClassVar[str] = "parquet"
    path: str

    def schema(self, folder: Path) -> tuple[Column, ...]:
        file = self._open(folder)
        nulls = _count_nulls(file)
        return tuple(self._describe(file, field, nulls) for field in file.schema_arrow)

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        file = self._open(folder)
        table = file.read()
        loaded = {}
        for column in self.schema(folder):
            array = table.column(column.name).combine_chunks()
            loaded[column.name] = _convert(array, column)
        return loaded

    def files(self, folder: Path) -> Sequence[Path]:
        return [find_file(folder, self.path)]

    def imports(self) -> Sequence[str]:
        return ["import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        names = ", ".join(quote(c.name) for c in columns)
        head = f"table = pd.read_parquet({write_path(self.path)}, columns=[{names}])"
        entries = [f"    {quote(c.name)}: {_write_column(c)}," for c in columns]
        return [head, "return {", *entries, "}"]

    def _open(self, folder: Path) -> Any:
        import pyarrow
        from pyarrow import parquet

        path = find_file(folder, self.path)
        try:
            file = parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            refuse_file(self.path, f"it is no parquet file: {str(error).split('. ')[0]}")
        return file

    def _describe(self, file: Any, field: Any, nulls: Mapping[str, bool]) -> Column:
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
            words = file.read([field.name]).column(0).combine_chunks().unique().to_pylist()
            categories = tuple(sorted({"" if word is None else str(word) for word in words}))
            return Column(field.name, WHOLE, words=True, categories=categories)
        if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
            refuse_file(self.path, f"the column `{field.name}` is {kind}, which no tensor holds")
        return Column(field.name, self._describe_list(file, field))

    def _describe_list(self, file: Any, field: Any) -> TensorType:
        from pyarrow import compute, types

        value = field.type.value_type
        if not (types.is_floating(value) or types.is_integer(value)):
            refuse_file(self.path, f"the column `{field.name}` is {field.type}, no list of numbers")
        lengths = compute.unique(compute.list_value_length(file.read([field.name]).column(0)))
        if len(lengths) != 1 or lengths[0].as_py() is None:
            reason = f"the lists of `{field.name}` differ in length"
            refuse_file(
                self.path, reason, "rows of varying length need `pad`, which is not built yet"
            )
        dtype = "f32" if types.is_floating(value) else "i64"
        return TensorType.of(dtype, (int(lengths[0].as_py()),))


def _count_nulls(file: Any) -> dict[str, bool]:
    """Whether a column may have empty cells, as far as the footer tells."""
    metadata = file.metadata
    nulls: dict[str, bool] = {}
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
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
