"""What a deployed file takes: raw columns, told so that rows can be read and judged without the
spec they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from compiler.data.base import Column, Written
from compiler.data.cells import EMPTY
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
            marks = {*EMPTY, *self.column.written.blanks}
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
            "unit": written.unit,
            "date": written.date,
            "blanks": list(written.blanks),
            "min": self.low,
            "max": self.high,
            "unseen": list(self.unseen),
        }
        return {key: value for key, value in found.items() if value not in (None, "", [], False)}


def decode_columns(entries: object) -> tuple[RawColumn, ...]:
    """The columns that `RawColumn.encode` wrote.

    Raises:
        ValueError: it did not write these.
    """
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
        missing=entry.get("missing") is True,
        written=written,
    )
    bounds = (_read_number(entry, "min"), _read_number(entry, "max"))
    return RawColumn(column, *bounds, _read_texts(entry, "unseen"))


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
    return float(found) if isinstance(found, int | float) else None


def find_words(columns: Iterable[RawColumn]) -> dict[str, tuple[str, ...]]:
    """The words of every column of categories, by its name."""
    return {column.name: column.words for column in columns if column.words}
