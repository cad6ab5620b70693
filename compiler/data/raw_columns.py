"""What a deployed file takes: raw columns, told so that rows can be read and judged without the
spec they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compiler.data.base import Column, Written
from compiler.data.cells import EMPTY
from compiler.data.windows import Window
from compiler.records import dataclass
from compiler.types.tensor import TensorType


@dataclass(frozen=True)
class RawColumn:
    """An input of a file that is a raw column. `low` and `high` are the least and the greatest
    number of the training rows, None where nobody has looked; `unseen` the categories that none of
    these rows has."""

    column: Column
    low: float | None = None
    high: float | None = None
    unseen: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the input is called."""
        return self.column.name

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a column of categories, in the order of their codes; none of any other."""
        return self.column.categories

    @property
    def keys(self) -> Iterator[tuple[str, int]]:
        """Each word with its code. Where missing cells are a category, the marks that say so are
        words for it too."""
        yield from ((word, code) for code, word in enumerate(self.words))
        if "" in self.words and self.column.words:
            marks = {*EMPTY, *self.column.written.blanks, *self.marks}
            for mark in sorted(marks.difference(self.words)):
                yield mark, self.words.index("")

    def encode(self) -> dict[str, Any]:
        """The same as data, without what is as usual."""
        column, written = self.column, self.column.written
        found: dict[str, Any] = {
            "name": column.name,
            "kind": column.kind,
            "dtype": str(column.type.dtype),
            "shape": list(column.type.known_shape or ()),
            "words": list(column.categories),
            "missing": column.missing,
            "unknown": column.unknown,
            "unit": written.unit,
            "date": written.date,
            "blanks": list(written.blanks),
            "min": self.low,
            "max": self.high,
            "unseen": list(self.unseen),
            "marks": list(self.marks),
        }
        return {key: value for key, value in found.items() if value not in (None, "", [], False)}


@dataclass(frozen=True)
class RawRows:
    """What rows a file takes: the columns that are its inputs, how the source of the training reads
    text (`DataSource.describe_reading`), and the window whose rows go together, with the columns
    `keys` that say how these follow one another. A window has no
    targets here, and one begins with every row."""

    columns: tuple[RawColumn, ...]
    reading: Mapping[str, object]
    window: Window | None = None
    keys: tuple[RawColumn, ...] = ()

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The words of every column of categories, by its name."""
        return {column.name: column.words for column in self.columns if column.words}

    def encode(self) -> Iterator[tuple[str, object]]:
        """The same as data, under the keys that a file has it by."""
        yield "columns", [column.encode() for column in self.columns]
        if self.reading:
            yield "reading", dict(self.reading)
        if self.window is not None:
            window = self.window
            yield (
                "window",
                {
                    "length": window.length,
                    "gaps": window.gaps,
                    "by": window.by,
                    "group": window.group,
                    "keys": [key.encode() for key in self.keys],
                },
            )


def decode_rows(entries: Mapping[str, object]) -> RawRows | None:
    """What `RawRows.encode` wrote, from what a file has under each key; None without columns.

    Raises:
        ValueError: it did not write this.
    """
    if "columns" not in entries:
        return None
    reading = entries.get("reading", {})
    if not isinstance(reading, dict):
        raise ValueError("how its rows are read is no object")
    columns = _decode_columns(entries["columns"])
    match entries.get("window"):
        case None:
            return RawRows(columns, reading)
        case {
            "length": int(length),
            "gaps": str(gaps),
            "by": str() | None as by,
            "group": str() | None as group,
            "keys": keys,
        }:
            window = Window(length, by=by, group=group, gaps=gaps)
            return RawRows(columns, reading, window, _decode_columns(keys))
    raise ValueError("its window is not what Weft writes")


def _decode_columns(entries: object) -> tuple[RawColumn, ...]:
    if not isinstance(entries, list):
        raise ValueError("its columns are not a list")
    return tuple(map(_decode, entries))


def _decode(entry: object) -> RawColumn:
    if not isinstance(entry, dict) or not entry.keys() >= {"name", "dtype"}:
        raise ValueError("one of its columns has no name or no dtype")
    words = _read_texts(entry, "words")
    kind = _read_type(str(entry["dtype"]), entry)
    written = Written(
        unit=_read_text(entry, "unit"),
        date=_read_text(entry, "date"),
        blanks=_read_texts(entry, "blanks"),
    )
    column = Column(
        str(entry["name"]),
        kind,
        words=bool(words) and not kind.rank,
        categories=words,
        unknown=entry.get("unknown") is True,
        missing=entry.get("missing") is True,
        written=written,
    )
    bounds = (_read_number(entry, "min"), _read_number(entry, "max"))
    return RawColumn(column, *bounds, _read_texts(entry, "unseen"), _read_texts(entry, "marks"))


def _read_type(dtype: str, entry: Mapping[str, Any]) -> TensorType:
    shape = entry.get("shape", [])
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise ValueError("the shape of one of its columns is no list of sizes")
    return TensorType.of(dtype, tuple(shape))


def _read_text(entry: Mapping[str, Any], key: str) -> str:
    return str(entry.get(key, ""))


def _read_texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f"`{key}` of one of its columns is no list")
    return tuple(map(str, found))


def _read_number(entry: Mapping[str, Any], key: str) -> float | None:
    found = entry.get(key)
    return found if isinstance(found, int | float) else None
