"""How the rows of a source are held: in memory, in a file that is mapped, or read one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.types.tensor import TensorType

Array = NDArray[Any]

MEMORY, MAPPED, STREAMED = "memory", "mapped", "streamed"
WAYS = (MEMORY, MAPPED, STREAMED)
"""Decoded and computed whole; in a file in their own types, of which batches are read; read and
decoded by workers whenever a batch needs them."""
COMPUTED = 4
"""Bytes of each entry of a row as the columns that are computed of it hold it: f32."""
SHARE = 2
"""Rows are held in memory where they take this part of what is free at most: the rest is for nets,
their gradients, and whatever else runs."""
PIECE = 64 << 20
"""Bytes of rows that are looked at together where not all are in memory."""


class Rows(Protocol):
    """A column whose rows are read by their numbers: an array, or what reads them from files."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its entries."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, then the sizes of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Those rows as an array."""


@dataclass(frozen=True, eq=False)
class WrappedRows:
    """Base of what stands for a column that is not in memory, of the same type and length."""

    column: Rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its entries."""
        return self.column.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, then the sizes of one."""
        return self.column.shape

    def __len__(self) -> int:
        return len(self.column)


@dataclass(frozen=True, eq=False)
class ChosenRows(WrappedRows):
    """Some rows of a column that is not in memory, in another order perhaps."""

    rows: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, then the sizes of one."""
        return (len(self.rows), *self.column.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Array:
        return np.asarray(self.column[self.rows[rows]])


def choose_rows(column: Rows, rows: Array) -> Rows:
    """Those rows of a column: at once where it is an array, else whenever they are read."""
    return column[rows] if isinstance(column, np.ndarray) else ChosenRows(column, rows)


@dataclass(frozen=True, eq=False)
class RecodedRows(WrappedRows):
    """A column of codes that is not in memory, with another number for each."""

    codes: Array

    def __getitem__(self, rows: Any, /) -> Array:
        return np.asarray(self.codes[self.column[rows]])


def map_codes(column: Any, codes: Sequence[int]) -> Any:
    """A column of codes with another number for each."""
    made = np.asarray(codes, column.dtype)
    return made[column] if isinstance(column, np.ndarray) else RecodedRows(column, made)


def count_bytes(types: Iterable[TensorType], rows: int) -> int:
    """What rows of columns take in memory: as they are stored, and as they are computed with."""
    entries = [(kind.size.known or 0, kind.dtype.numpy.itemsize) for kind in types]
    return rows * sum(size * (stored + COMPUTED) for size, stored in entries)


def choose_way(ways: Sequence[str], needed: int, available: int) -> str:
    """How rows are held that need so much memory, by the ways that their source has: in memory
    where half of what is free is enough, else in the first other way."""
    others = [way for way in ways if way != MEMORY]
    return others[0] if others and needed > available // SHARE else MEMORY


def is_held(column: Rows) -> TypeGuard[Array]:
    """Whether a column is in memory."""
    return isinstance(column, np.ndarray)


def cut_pieces(columns: Sequence[Rows], rows: Array, step: int = 1) -> Iterator[Array]:
    """Row numbers in parts that may be read at once: all of them where the columns are arrays; else
    a multiple of `step`."""
    lazy = [column for column in columns if not is_held(column)]
    if not lazy:
        yield rows
        return
    size = sum(math.prod(c.shape[1:]) * max(4, c.dtype.itemsize) for c in lazy)
    length = step * max(1, PIECE // max(1, size * step))
    for start in range(0, len(rows), length):
        yield rows[start : start + length]


def read_columns(columns: Mapping[str, Rows], rows: Array | slice) -> dict[str, Array]:
    """Those rows of each column."""
    return {name: np.asarray(column[rows]) for name, column in columns.items()}
