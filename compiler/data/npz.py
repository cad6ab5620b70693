"""NumPy archives: npz files whose arrays are columns."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar, final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.damage import UNREADABLE
from compiler.data.dates import GAP
from compiler.data.files import (
    find_files,
    is_pattern,
    refuse_column,
    refuse_file,
    write_files,
)
from compiler.data.narrowing import choose_float, find_large_entry
from compiler.data.sizes import check_expansion, find_excess
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.cells import column_not_held
from compiler.report.messages.data import arrays_differ
from compiler.types.tensor import DType, TensorType
from compiler.writing.python import write_dtype, write_path, write_string

PARTS = ("train", "val", "test")
"""Endings of arrays that hold the rows of one split: `x_train`, `x_test`."""


@dataclass(frozen=True)
class Header:
    """What an array of the archive says about itself."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def column(self) -> DType | None:
        """The dtype of its column; None where it can be none (words, complex numbers)."""
        if self.dtype == np.uint8 and len(self.shape) > 1:
            return DType.U8
        return {"b": DType.BOOL, "i": DType.I64, "u": DType.I64, "f": DType.F32}.get(
            self.dtype.kind
        )

    @property
    def is_usable(self) -> bool:
        """Whether it holds numbers, in rows."""
        return self.column is not None and bool(self.shape)

    @property
    def stored(self) -> str:
        """What its entries are."""
        return "pickled objects" if self.dtype.hasobject else str(self.dtype)


NUMBERS = "store numbers; a csv or parquet file holds text and dates too"


@SOURCES.register
@final
@dataclass(frozen=True)
class Npz(DataSource):
    """The arrays of an npz file, or of several with the same arrays, one below the other: one row
    per entry of the first axis.

    Arrays `x_train`, `x_test` (and `x_val`) are one column `x`, and the file's own splits:
    `split given`. Floats become f32; whole numbers i64, but bytes of images stay u8. Pickled
    arrays are not read, because a pickle can run code.

    - `path`: the file, relative to the spec's folder, or a pattern: `"part-*.npz"`.
    - `columns`: the arrays to read; all that have rows where it is not given.

    Example: `source npz("waves.npz")`, `signal = x / 10`
    Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html
    """

    name: ClassVar[str] = "npz"
    unreadable: ClassVar[tuple[str, ...]] = (
        "BadZipFile",
        "EOFError",
        "KeyError",
        "ValueError",
        "zlib.error",
    )
    path: str
    columns: tuple[str, ...] = ()

    def schema(self, folder: Path) -> tuple[Column, ...]:
        headers = self._read_headers(folder)
        columns = []
        for name, parts in self._arrange(headers).items():
            first = headers[parts[0]]
            for other in (headers[part] for part in parts[1:]):
                if other.shape[1:] != first.shape[1:] or other.column != first.column:
                    reason = f"rows of `{first.name}` and `{other.name}` differ in shape or dtype"
                    refuse_file(self.path, reason)
            assert first.column is not None
            row = TensorType.of(self._choose_dtype(folder, first, parts), first.shape[1:])
            columns.append(Column(name, row, parts=parts if len(parts) > 1 else ()))
        columns += (_describe_other(headers[name]) for name in self._find_others(headers))
        return tuple(columns)

    def given_splits(self, folder: Path) -> Mapping[str, int] | None:
        headers = self._read_headers(folder)
        arranged = self._arrange(headers)
        parts = next(iter(arranged.values()))
        if len(parts) == 1:
            return None
        return {part.rpartition("_")[2]: headers[part].shape[0] for part in parts}

    def files(self, folder: Path) -> Sequence[Path]:
        return find_files(folder, self.path)

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        headers = self._read_headers(folder)
        loaded = {}
        for name, parts in self._arrange(headers).items():
            dtype = self._choose_dtype(folder, headers[parts[0]], parts)
            arrays = [_narrow(name, array, dtype) for array in self._read(folder, parts)]
            loaded[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        rows = len(next(iter(loaded.values())))
        return loaded | {name: np.full(rows, GAP) for name in self._find_others(headers)}

    def _find_others(self, headers: Mapping[str, Header]) -> list[str]:
        """The arrays that nothing can read, where none were chosen."""
        return [n for n, h in headers.items() if not (self.columns or h.is_usable)]

    def _choose_dtype(self, folder: Path, first: Header, parts: Sequence[str]) -> DType:
        """The dtype of a column; of vectors and numbers stored as f64 by what these hold."""
        assert first.column is not None
        if first.column is not DType.F32 or first.dtype.itemsize < 8 or len(first.shape) > 2:
            return first.column
        return choose_float(np.concatenate(self._read(folder, parts)))

    def _read(self, folder: Path, parts: Sequence[str]) -> list[NDArray[Any]]:
        """The arrays of each name, of all files.

        Raises:
            Fault: one cannot be read.
        """
        arrays: dict[str, list[NDArray[Any]]] = {part: [] for part in parts}
        paths = find_files(folder, self.path)
        for path in paths:
            try:
                with np.load(path, allow_pickle=False) as file:
                    for part in parts:
                        arrays[part].append(file[part])
            except UNREADABLE as error:
                refuse_file(self._show(path, paths), f"its arrays cannot be read: {error}")
        return [array for part in parts for array in arrays[part]]

    def _show(self, path: Path, paths: Sequence[Path]) -> str:
        """What one of the files is called in a message."""
        return self.path if len(paths) == 1 else path.name

    def imports(self) -> Sequence[str]:
        return []

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        found = {
            column.name: f"{self._expression(column)}.astype({write_dtype(column.type.dtype)})"
            for column in columns
        }
        if not is_pattern(self.path):
            return LoadingCode([], found, f"with np.load({write_path(self.path)}) as file:")
        return LoadingCode([f"files = [np.load(path) for path in {write_files(self.path)}]"], found)

    def _expression(self, column: Column) -> str:
        parts = column.parts or (column.name,)
        names = [f"file[{write_string(part)}]" for part in parts]
        if not is_pattern(self.path):
            return names[0] if len(names) == 1 else f"np.concatenate([{', '.join(names)}])"
        if len(names) == 1:
            return f"np.concatenate([{names[0]} for file in files])"
        listed = ", ".join(map(write_string, parts))
        return f"np.concatenate([file[part] for part in ({listed}) for file in files])"

    def _read_headers(self, folder: Path) -> dict[str, Header]:
        """Names, shapes and dtypes; the numbers are not read. Of several files, each array has
        the rows of all."""
        paths = find_files(folder, self.path)
        merged: dict[str, Header] = {}
        for path in paths:
            shown = self._show(path, paths)
            try:
                headers, unpacked = read_headers(path)
            except UNREADABLE as error:
                refuse_file(shown, f"it is not an npz file: {error}")
            check_expansion(shown, unpacked, path.stat().st_size)
            merged = _join(merged, headers, shown, paths[0].name) if merged else headers
        return merged

    def _arrange(self, headers: Mapping[str, Header]) -> dict[str, tuple[str, ...]]:
        """Names of columns, and the arrays that hold their rows, in order."""
        usable = {n: h for n, h in headers.items() if h.is_usable}
        other = {n: h for n, h in headers.items() if n in self.columns and h.column is None}
        for name, header in other.items():
            reason = f"the array `{name}` holds {header.stored}, and columns hold numbers"
            refuse_file(self.path, reason, option="columns")
        if not usable:
            held = sorted({header.stored for header in headers.values()})
            there = f"; it holds {', '.join(held)}" if held else ""
            refuse_file(self.path, f"it holds no arrays of numbers with rows{there}")
        split = _pair_parts(usable)
        if split and not set(self.columns) - set(split):
            chosen = {n: p for n, p in split.items() if not self.columns or n in self.columns}
        else:
            chosen = {n: (n,) for n in usable if not self.columns or n in self.columns}
        self._refuse_unknown(usable, split)
        lengths = {n: sum(usable[part].shape[0] for part in p) for n, p in chosen.items()}
        if len(set(lengths.values())) > 1:
            self._refuse_lengths(lengths)
        return chosen

    def _refuse_unknown(
        self, usable: Mapping[str, Header], split: Mapping[str, tuple[str, ...]]
    ) -> None:
        known = (*split, *usable)
        for name in self.columns:
            if name not in known:
                refuse_column(name, known)

    def _refuse_lengths(self, lengths: Mapping[str, int]) -> None:
        longest = max(lengths.values(), key=list(lengths.values()).count)
        names = ", ".join(f'"{n}"' for n, length in lengths.items() if length == longest)
        advice = f"choose those that belong together: `columns=[{names}]`"
        raise Fault(
            lambda where: arrays_differ(
                where.argument("path"), self.path, tuple(lengths.items()), advice
            )
        )


def _join(
    known: Mapping[str, Header], headers: Mapping[str, Header], shown: str, first: str
) -> dict[str, Header]:
    """The headers of arrays whose rows follow those of others.

    Raises:
        Fault: a file has other arrays.
    """
    for name in sorted(known.keys() ^ headers.keys()):
        here = "lacks" if name in known else "has"
        refuse_file(shown, f"it {here} the array `{name}`, unlike `{first}`")
    joined = {}
    for name, header in known.items():
        other = headers[name]
        if (header.shape[1:], header.dtype) != (other.shape[1:], other.dtype):
            reason = f"rows of `{name}` have another shape or dtype than those of `{first}`"
            refuse_file(shown, reason)
        rows = [array.shape[0] for array in (header, other) if array.shape]
        joined[name] = replace(header, shape=(sum(rows), *header.shape[1:])) if rows else header
    return joined


def _describe_other(header: Header) -> Column:
    """The column of an array that holds no numbers, or has no rows, which nothing may read."""
    reason = f"the array holds {header.stored}, and columns hold numbers"
    if header.column is not None:
        reason = "the array has no axes, and columns have rows"
    trouble = column_not_held(None, header.name, reason, NUMBERS)
    return Column(header.name, TensorType.of(DType.I64, ()), trouble=trouble, stored=header.stored)


def read_headers(path: Path) -> tuple[dict[str, Header], int]:
    """The headers of an archive by name, and the bytes that its arrays take.

    Raises:
        One of `UNREADABLE`: it is no archive of NumPy's, or a header promises what is not there.
    """
    headers, unpacked = {}, 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                header = check_array(stream, entry.file_size, entry.filename.removesuffix(".npy"))
            if header.name in headers:
                raise ValueError(f"it holds {header.name} twice")
            headers[header.name] = header
            unpacked += entry.file_size
    return headers, unpacked


def check_archive(path: Path) -> None:
    """Refuses an archive that promises more than it can hold.

    Raises:
        One of `UNREADABLE`: why.
    """
    _, unpacked = read_headers(path)
    reason = find_excess(unpacked, path.stat().st_size)
    if reason is not None:
        raise ValueError(reason)


def check_array(stream: IO[bytes], size: int, name: str = "") -> Header:
    """Name, shape and dtype of an array in NumPy's format, of which nothing else is read.

    Args:
        stream: its bytes.
        size: how many these are.
        name: what it is called.

    Raises:
        ValueError: it is no such array, or its header promises what is not there.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    header = Header(name, shape, dtype)
    if any(extent < 0 for extent in shape):
        raise ValueError(f"an array has the shape {list(shape)}")
    expected = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and stream.tell() + expected != size:
        raise ValueError(
            f"the array {name} promises {expected:,} bytes and has {size - stream.tell():,}"
        )
    return header


def _pair_parts(headers: Mapping[str, Header]) -> dict[str, tuple[str, ...]]:
    """Columns that are stored split by split, if there are any: `x` -> `x_train`, `x_test`."""
    columns: dict[str, tuple[str, ...]] = {}
    for name in headers:
        stem, _, part = name.rpartition("_")
        if stem and part == "train":
            parts = tuple(f"{stem}_{p}" for p in PARTS if f"{stem}_{p}" in headers)
            if len(parts) > 1:
                columns[stem] = parts
    return columns


def _narrow(name: str, array: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """An array in the dtype of its column.

    Raises:
        Fault: it holds a number that the dtype does not.
    """
    large = find_large_entry(name, array, dtype)
    if large is not None:
        raise Fault(lambda where: replace(large, span=where.argument("path")))
    return array.astype(dtype.numpy, copy=False)
