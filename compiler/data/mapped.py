"""Columns in a file in their own types, of which rows are read without the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import Column
from compiler.data.holding import PIECE
from compiler.records import dataclass
from compiler.types.tensor import TensorType

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class MappedRows:
    """A column of a file of rows, of which a numbered field is one of the columns. The file is
    mapped anew whenever rows are read, piece by piece, so that what was read takes no memory. It
    has no name any more: the system takes it away with the process."""

    file: IO[bytes]
    row: np.dtype[Any]
    field: str
    count: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its entries."""
        return self.row[self.field].base

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, then the sizes of one."""
        return (self.count, *self.row[self.field].shape)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: Any, /) -> Array:
        numbers = np.arange(self.count)[rows]
        if not numbers.ndim:
            return np.asarray(self[numbers[None]][0])
        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        length = max(1, PIECE // self.row.itemsize)
        for start in range(0, len(numbers), length):
            chosen = numbers[start : start + length]
            mapped = np.memmap(self.file, self.row, "r")
            found[start : start + length] = mapped[self.field][chosen]
        return found


def map_columns(
    types: Mapping[str, TensorType], parts: Iterable[Mapping[str, Array]]
) -> dict[str, MappedRows]:
    """Columns of these types per row, of which all rows are given in parts, in order. Their file
    lies where the system's `TMPDIR` says.

    Raises:
        OSError: there is no room.
    """
    fields = {name: f"f{place}" for place, name in enumerate(types)}
    row = np.dtype([_describe_field(fields[name], kind) for name, kind in types.items()])
    file, rows = tempfile.TemporaryFile(prefix="weft-rows-"), 0  # noqa: SIM115
    for part in parts:
        made = np.empty(len(next(iter(part.values()))), row)
        for name, field in fields.items():
            made[field] = part[name]
        file.write(made.tobytes())
        rows += len(made)
    file.flush()
    return {name: MappedRows(file, row, field, rows) for name, field in fields.items()}


def _describe_field(field: str, kind: TensorType) -> tuple[str, Any, tuple[int, ...]]:
    return field, kind.dtype.numpy, tuple(dim.known or 0 for dim in kind.shape)


def type_columns(schema: Sequence[Column]) -> dict[str, TensorType]:
    """The types of columns by name."""
    return {column.name: column.type for column in schema}
